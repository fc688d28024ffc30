// The data calls of page.js and node_client.mjs, as in python_data.py: messages, streams, RPC and data tracks, by either of
// the published JavaScript SDKs. `Data(sdk)` makes one participant's; `attach` comes first.

globalThis.Data = (sdk) => {
  const SLOW_MILLISECONDS = 30_000;
  const CHUNK_BYTES = 65_536; // what crypto gives at once
  const messages = [];
  const numbers = [];
  const streams = [];
  const frames = [];
  let room;
  let track;

  const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const digest = async (bytes) => hex(await crypto.subtle.digest("SHA-256", bytes));
  const encode = (text) => new TextEncoder().encode(text);

  function noise(size) {
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size; at += CHUNK_BYTES) crypto.getRandomValues(bytes.subarray(at, at + CHUNK_BYTES));
    return bytes;
  }

  function joined(chunks) {
    const whole = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.length, 0));
    let at = 0;
    for (const chunk of chunks) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    return whole;
  }

  async function takeMessage(bytes, participant, kind, topic) {
    if (topic === "numbers") {
      numbers.push(Number(new TextDecoder().decode(bytes)));
      return;
    }
    const message = { from: participant?.identity ?? null, topic: topic ?? "", reliable: kind === sdk.DataPacket_Kind.RELIABLE };
    messages.push(message);
    message.text = topic === "noise" ? await digest(bytes) : new TextDecoder().decode(bytes);
  }

  async function takeStream(topic, identity, bytes) {
    streams.push({ from: identity, topic, size: bytes.length, digest: await digest(bytes) });
  }

  async function readFrames(remote) {
    for await (const frame of remote.subscribe()) frames.push(await digest(frame.payload));
  }

  return {
    attach(joining) {
      room = joining;
      room.on(sdk.RoomEvent.DataReceived, takeMessage);
      room.on(sdk.RoomEvent.DataTrackPublished, readFrames);
      room.on(sdk.RoomEvent.DataTrackUnpublished, () => frames.push("unpublished"));
      room.registerTextStreamHandler("text", async (reader, { identity }) => {
        await takeStream("text", identity, encode(await reader.readAll()));
      });
      room.registerByteStreamHandler("bytes", async (reader, { identity }) => {
        await takeStream("bytes", identity, joined(await reader.readAll()));
      });
    },

    calls: {
      async send_data({ text, reliable, to, topic }) {
        const how = { reliable, topic: topic || undefined, destinationIdentities: to, destination_identities: to };
        await room.localParticipant.publishData(encode(text), how);
      },

      async send_noise({ size }) {
        const bytes = noise(size);
        await room.localParticipant.publishData(bytes, { reliable: true, topic: "noise" });
        return digest(bytes);
      },

      async send_numbers({ count }) {
        for (let number = 0; number < count; number += 1) {
          await room.localParticipant.publishData(encode(`${number}`), { reliable: true, topic: "numbers" });
        }
      },

      messages: () => messages.filter((message) => message.text !== undefined),

      numbers: () => ({ count: numbers.length, in_order: numbers.every((number, at) => number === at) }),

      async stream_bytes({ size, to }) {
        const bytes = noise(size);
        const about = { name: "noise.bin", totalSize: size, topic: "bytes", destinationIdentities: to };
        const writer = await room.localParticipant.streamBytes(about);
        await writer.write(bytes);
        await writer.close();
        return digest(bytes);
      },

      async stream_text({ size, to }) {
        const text = hex(noise(size / 2));
        await room.localParticipant.sendText(text, { topic: "text", destinationIdentities: to });
        return digest(encode(text));
      },

      streams: () => streams,

      async publish_data_track({ name }) {
        track = await room.localParticipant.publishDataTrack({ name });
      },

      async push_frame({ size }) {
        const payload = noise(size);
        await track.tryPush({ payload });
        return digest(payload);
      },

      async unpublish_data_track() {
        await track.unpublish();
      },

      frames: () => frames,

      serve_rpc() {
        const server = room.registerRpcMethod ? room : room.localParticipant;
        server.registerRpcMethod("echo", async ({ callerIdentity, payload }) => `${callerIdentity}: ${payload}`);
        server.registerRpcMethod("refuse", async () => {
          throw new sdk.RpcError(1600, "refused", "on purpose");
        });
        server.registerRpcMethod("dawdle", () => new Promise((late) => setTimeout(late, SLOW_MILLISECONDS, "late")));
      },

      async rpc({ to, method, payload, seconds }) {
        try {
          const call = { destinationIdentity: to, method, payload, responseTimeout: seconds * 1000 };
          return { result: await room.localParticipant.performRpc(call) };
        } catch (error) {
          return { code: error.code, message: error.message, data: error.data };
        }
      },
    },
  };
};
