"""The data calls of `python_client.py`: messages, streams and RPC by the published Python SDK."""

import asyncio
import hashlib
import random

from livekit import rtc

RPC_ERROR = rtc.RpcError(1600, "refused", "on purpose")
SLOW_SECONDS = 30


def noise(size, seed):
    """Return bytes that nothing makes smaller."""
    return random.Random(seed).randbytes(size)


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Data:
    """The calls. Each is a method named `do_<call>`; `attach` comes first."""

    def __init__(self):
        self._room = None
        self._messages = []
        self._streams = []
        self._reading = []
        self._frames = []
        self._track = None

    def attach(self, room):
        self._room = room
        room.on("data_received", self._on_data)
        room.on("data_track_published", self._on_data_track)
        room.on("data_track_unpublished", lambda sid: self._frames.append("unpublished"))
        room.register_text_stream_handler("text", self._on_text)
        room.register_byte_stream_handler("bytes", self._on_bytes)

    async def do_send_data(self, text, reliable, to, topic):
        await self._room.local_participant.publish_data(text, reliable=reliable, destination_identities=to, topic=topic)

    async def do_send_noise(self, size, seed):
        """Send one message."""
        data = noise(size, seed)
        await self._room.local_participant.publish_data(data, topic="noise")
        return digest(data)

    async def do_send_numbers(self, count):
        """Send many messages, as fast as the SDK takes them."""
        for number in range(count):
            await self._room.local_participant.publish_data(str(number), topic="numbers")

    async def do_messages(self):
        """Return what came, but for numbers: who sent it, on what topic, what kind, its text or its digest."""
        return [each for each in self._messages if each["topic"] != "numbers"]

    async def do_numbers(self):
        """Return how many numbers came, and whether in order from 0."""
        numbers = [int(each["text"]) for each in self._messages if each["topic"] == "numbers"]
        return {"count": len(numbers), "in_order": numbers == list(range(len(numbers)))}

    async def do_stream_bytes(self, size, seed, to):
        data = noise(size, seed)
        writer = await self._room.local_participant.stream_bytes(
            "noise.bin", total_size=size, topic="bytes", destination_identities=to
        )
        await writer.write(data)
        await writer.aclose()
        return digest(data)

    async def do_stream_text(self, size, seed, to):
        text = noise(size // 2, seed).hex()
        await self._room.local_participant.send_text(text, topic="text", destination_identities=to)
        return digest(text.encode())

    async def do_streams(self):
        """Return the streams that have come to their end."""
        return self._streams

    async def do_publish_data_track(self, name):
        self._track = await self._room.local_participant.publish_data_track(name=name)

    async def do_push_frame(self, size, seed):
        """Push one frame, as many packets as it takes."""
        data = noise(size, seed)
        self._track.try_push(rtc.DataTrackFrame(payload=data))
        return digest(data)

    async def do_unpublish_data_track(self):
        await self._track.unpublish()

    async def do_frames(self):
        """Return the digests of the frames that came, of all tracks, and `unpublished` where one ended."""
        return self._frames

    async def do_set_attributes(self, attributes):
        await self._room.local_participant.set_attributes(attributes)

    async def do_transcribe(self, segment, text, of):
        """Write down what somebody says, as agents do: by a text stream."""
        attributes = {"lk.segment_id": segment, "lk.transcription_final": "false"}
        writer = await self._room.local_participant.stream_text(
            topic="lk.transcription", attributes=attributes, sender_identity=of
        )
        await writer.write(text)
        await writer.aclose()

    async def do_transcribe_by_packet(self, segment, text, of):
        """Write down what somebody says, as agents did."""
        written = rtc.TranscriptionSegment(id=segment, text=text, start_time=0, end_time=0, language="", final=True)
        await self._room.local_participant.publish_transcription(rtc.Transcription(of, "", [written]))

    async def do_serve_rpc(self):
        self._room.local_participant.register_rpc_method("echo", self._echo)
        self._room.local_participant.register_rpc_method("refuse", self._refuse)
        self._room.local_participant.register_rpc_method("dawdle", self._dawdle)

    async def do_rpc(self, to, method, payload, seconds):
        try:
            result = await self._room.local_participant.perform_rpc(
                destination_identity=to, method=method, payload=payload, response_timeout=seconds
            )
        except rtc.RpcError as error:
            return {"code": error.code, "message": error.message, "data": error.data}
        return {"result": result}

    async def _echo(self, call):
        return f"{call.caller_identity}: {call.payload}"

    async def _refuse(self, call):
        raise RPC_ERROR

    async def _dawdle(self, call):
        await asyncio.sleep(SLOW_SECONDS)
        return "late"

    def _on_data_track(self, track):
        self._reading.append(asyncio.create_task(self._read_frames(track)))

    async def _read_frames(self, track):
        async for frame in track.subscribe():
            self._frames.append(digest(frame.payload))

    def _on_data(self, packet):
        is_noise = packet.topic == "noise"
        self._messages.append(
            {
                "from": packet.participant.identity if packet.participant else None,
                "topic": packet.topic,
                "reliable": packet.kind == rtc.DataPacketKind.KIND_RELIABLE,
                "text": digest(packet.data) if is_noise else packet.data.decode(),
            }
        )

    def _on_text(self, reader, identity):
        self._reading.append(asyncio.create_task(self._read_text(reader, identity)))

    def _on_bytes(self, reader, identity):
        self._reading.append(asyncio.create_task(self._read_bytes(reader, identity)))

    async def _read_text(self, reader, identity):
        self._note_stream("text", identity, (await reader.read_all()).encode())

    async def _read_bytes(self, reader, identity):
        self._note_stream("bytes", identity, b"".join([chunk async for chunk in reader]))

    def _note_stream(self, topic, identity, data):
        self._streams.append({"from": identity, "topic": topic, "size": len(data), "digest": digest(data)})
