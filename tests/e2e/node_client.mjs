// A participant of the published Node SDK, in a process of its own, told what to do by JSON lines as in python_client.py.
// It has that client's data calls, and of its others `join`, `leave` and a `state` without media.

import { createInterface } from "node:readline";
import * as sdk from "@livekit/rtc-node";
import "./data.js";

const data = globalThis.Data(sdk);
let room;
let reason = null;
let reconnections = 0;

const calls = {
  async join({ url, token, layout }) {
    room = new sdk.Room();
    room.on(sdk.RoomEvent.Disconnected, (why) => {
      reason = sdk.DisconnectReason[why];
    });
    room.on(sdk.RoomEvent.Reconnected, () => {
      reconnections += 1;
    });
    data.attach(room);
    await room.connect(url, token, { autoSubscribe: true, dynacast: false, singlePeerConnection: layout === "single" });
  },

  async leave() {
    await room.disconnect();
  },

  state: () => ({
    connected: room?.isConnected ?? false,
    reason,
    sid: room?.localParticipant?.sid ?? "",
    reconnections,
    participants: Object.fromEntries([...(room?.remoteParticipants.keys() ?? [])].map((identity) => [identity, {}])),
  }),

  ...data.calls,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, call, with: options } = JSON.parse(line);
  try {
    console.log(JSON.stringify({ id, result: (await calls[call](options)) ?? null }));
  } catch (error) {
    console.error(error);
    console.log(JSON.stringify({ id, error: `${error}` }));
  }
}
await sdk.dispose();
process.exit();
