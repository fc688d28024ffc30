"""A participant of the published Python SDK, in a process of its own, told what to do by JSON lines.

Each line on standard input is `{"id": 1, "call": "join", "with": {...}}`, each line on standard output the answer,
`{"id": 1, "result": ...}` or `{"id": 1, "error": "..."}`. It ends when its input does. `page.js` is the same for a
browser: the same calls, the same `state`.
"""

import asyncio
import json
import logging
import sys

import numpy as np
from livekit import rtc
from python_data import Data
from tone import FRAME_SAMPLES, SAMPLE_RATE, tone

logger = logging.getLogger(__name__)

WIDTH, HEIGHT = 640, 360
FRAMES_PER_SECOND = 15
SOURCES = {rtc.TrackSource.SOURCE_CAMERA: "camera", rtc.TrackSource.SOURCE_MICROPHONE: "microphone"}


class Watched:
    """What has been seen of one remote video track.

    Frames are counted by its decoder's statistics: when the first frames of two tracks come in the same moment, the SDK
    (1.2.1) may stop handing out those of one of them at once, while it decodes on. In one of some dozens of calls it
    hands out none, nor to a second stream of the same track: then the log has the decoder's statistics.
    """

    def __init__(self, track, joined_at):
        self._track = track
        self._joined_at = joined_at
        self._first_frame_seconds = None
        self._last = None
        self._is_reported = False
        self._stream = rtc.VideoStream(track, format=rtc.VideoBufferType.RGB24)
        self._reading = asyncio.create_task(self._read())  # ends with the stream

    async def _read(self):
        async for event in self._stream:
            self._last = event.frame

    async def state(self):
        statistics = await self._track.get_stats()
        decoded = sum(each.inbound_rtp.inbound.frames_decoded for each in statistics)
        if decoded and self._first_frame_seconds is None:
            self._first_frame_seconds = asyncio.get_running_loop().time() - self._joined_at
        if self._last is None and decoded > FRAMES_PER_SECOND and not self._is_reported:
            self._is_reported = True
            logger.warning("%s frames were decoded, and none was handed out: %s", decoded, statistics)
        colour = np.frombuffer(self._last.data, np.uint8).reshape(-1, 3).mean(axis=0) if self._last else (0, 0, 0)
        return {
            "frames": decoded,
            "first_frame_seconds": self._first_frame_seconds,
            "colour": [round(float(part)) for part in colour],
        }


class Heard:
    """What has been heard of one remote audio track."""

    def __init__(self, track):
        self._stream = rtc.AudioStream(track, sample_rate=SAMPLE_RATE, num_channels=1)
        self._energy = 0.0
        self._recent = np.zeros(SAMPLE_RATE // 4)
        self._reading = asyncio.create_task(self._read())  # ends with the stream

    async def _read(self):
        async for event in self._stream:
            samples = np.frombuffer(event.frame.data, np.int16) / 32768
            self._energy += float(np.square(samples).sum()) / SAMPLE_RATE
            self._recent = np.concatenate([self._recent, samples])[-len(self._recent) :]

    async def state(self):
        spectrum = np.abs(np.fft.rfft(self._recent * np.hanning(len(self._recent))))
        return {"energy": self._energy, "frequency": int(spectrum.argmax()) * SAMPLE_RATE / len(self._recent)}


async def show(source, colour):
    frame = rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.RGB24, bytes(colour) * (WIDTH * HEIGHT))
    due = asyncio.get_running_loop().time()
    while True:
        source.capture_frame(frame)
        due += 1 / FRAMES_PER_SECOND
        await asyncio.sleep(due - asyncio.get_running_loop().time())


async def sound(source, frequency):
    sample = 0
    while True:
        await source.capture_frame(rtc.AudioFrame(tone(frequency, sample).tobytes(), SAMPLE_RATE, 1, FRAME_SAMPLES))
        sample += FRAME_SAMPLES


class Participant:
    """The calls. Each is a method named `do_<call>`."""

    def __init__(self):
        self._room = None
        self._publishing = []
        self._received = {}
        self._published = []
        self._reason = None
        self._reconnections = 0
        self._joined_at = 0.0
        self._data = Data()

    def call(self, name):
        """Return what carries out a call."""
        return getattr(self, f"do_{name}", None) or getattr(self._data, f"do_{name}")

    async def do_join(self, url, token, layout):
        self._room, self._reason, self._reconnections = rtc.Room(), None, 0
        self._joined_at = asyncio.get_running_loop().time()
        self._room.on("track_subscribed", self._on_track_subscribed)
        self._room.on("track_unsubscribed", self._on_track_unsubscribed)
        self._room.on("reconnected", self._on_reconnected)
        self._room.on("disconnected", self._on_disconnected)
        self._data.attach(self._room)
        await self._room.connect(url, token, rtc.RoomOptions(single_peer_connection=layout == "single"))

    async def do_publish(self, colour, frequency, codec="vp8"):
        camera, microphone = rtc.VideoSource(WIDTH, HEIGHT), rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=200)
        self._publishing = [
            asyncio.create_task(show(camera, colour)),
            asyncio.create_task(sound(microphone, frequency)),
        ]
        tracks = [
            (rtc.LocalVideoTrack.create_video_track("camera", camera), rtc.TrackSource.SOURCE_CAMERA),
            (rtc.LocalAudioTrack.create_audio_track("microphone", microphone), rtc.TrackSource.SOURCE_MICROPHONE),
        ]
        for track, source in tracks:
            options = rtc.TrackPublishOptions(source=source, video_codec=rtc.VideoCodec.Value(codec.upper()))
            self._published.append(await self._room.local_participant.publish_track(track, options))

    async def do_mute(self):
        for publication in self._published:
            publication.track.mute()

    async def do_unmute(self):
        for publication in self._published:
            publication.track.unmute()

    async def do_unpublish(self):
        for publication in self._published:
            await self._room.local_participant.unpublish_track(publication.sid)
        await self._stop_publishing()

    async def do_leave(self):
        await self._room.disconnect()
        await self._stop_publishing()
        self._received.clear()

    async def do_state(self):
        received = {sid: await each.state() for sid, each in list(self._received.items())}
        return {
            "connected": self._room is not None and self._room.isconnected(),
            "reason": self._reason,
            "sid": self._room.local_participant.sid if self._room else "",
            "reconnections": self._reconnections,
            "participants": {
                identity: {
                    SOURCES[publication.source]: {
                        "muted": publication.muted,
                        "codec": publication.mime_type,
                        **received.get(sid, {}),
                    }
                    for sid, publication in participant.track_publications.items()
                }
                for identity, participant in (self._room.remote_participants.items() if self._room else ())
            },
        }

    def _on_track_subscribed(self, track, publication, participant):
        video = track.kind == rtc.TrackKind.KIND_VIDEO
        self._received[publication.sid] = Watched(track, self._joined_at) if video else Heard(track)

    def _on_track_unsubscribed(self, track, publication, participant):
        self._received.pop(publication.sid, None)

    def _on_disconnected(self, reason):
        self._reason = rtc.DisconnectReason.Name(reason)

    def _on_reconnected(self):
        self._reconnections += 1

    async def _stop_publishing(self):
        for task in self._publishing:
            task.cancel()
        await asyncio.gather(*self._publishing, return_exceptions=True)
        self._publishing.clear()
        self._published.clear()


async def answer(participant, request):
    try:
        result = await participant.call(request["call"])(**request["with"])
    except Exception as error:  # the fence of a call: whoever asked is told
        logger.exception("%s", request["call"])
        return {"id": request["id"], "error": f"{type(error).__name__}: {error}"}
    return {"id": request["id"], "result": result}


async def main():
    participant = Participant()
    requests = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    async for line in requests:
        sys.stdout.write(json.dumps(await answer(participant, json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(main())
