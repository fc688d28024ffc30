"""An agent worker of the published `livekit-agents`, in an environment of its own: requirements/agents.lock.

Its one agent waits until it hears somebody, and then sounds a tone: `agent_worker.py URL KEY SECRET FREQUENCY`.
"""

import asyncio
import logging
import sys

import numpy as np
from livekit import rtc
from livekit.agents import AgentServer, JobContext, JobExecutorType, JobRequest
from tone import FRAME_SAMPLES, SAMPLE_RATE, tone

LOUD = 0.05
"""The level of what counts as heard, where 1 is the loudest."""

URL, KEY, SECRET = sys.argv[1:4]
FREQUENCY = float(sys.argv[4])

logger = logging.getLogger("agent")


async def accept(request: JobRequest) -> None:
    await request.accept(identity="agent", name="Agent")


async def hear(track: rtc.Track) -> None:
    """Return once there is sound on a track."""
    async for event in rtc.AudioStream(track, sample_rate=SAMPLE_RATE, num_channels=1):
        if np.abs(np.frombuffer(event.frame.data, np.int16)).max() > LOUD * 32768:
            return


async def sound(source: rtc.AudioSource) -> None:
    sample = 0
    while True:
        await source.capture_frame(rtc.AudioFrame(tone(FREQUENCY, sample).tobytes(), SAMPLE_RATE, 1, FRAME_SAMPLES))
        sample += FRAME_SAMPLES


async def serve_room(context: JobContext) -> None:
    subscribed: asyncio.Queue[rtc.Track] = asyncio.Queue()
    context.room.on("track_subscribed", lambda track, *_: subscribed.put_nowait(track))
    await context.connect()
    while (track := await subscribed.get()).kind != rtc.TrackKind.KIND_AUDIO:
        pass
    logger.info("subscribed to %s", track.sid)
    await hear(track)
    logger.info("heard somebody")
    source = rtc.AudioSource(SAMPLE_RATE, 1, queue_size_ms=200)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    microphone = rtc.LocalAudioTrack.create_audio_track("microphone", source)
    await context.room.local_participant.publish_track(microphone, options)
    logger.info("published %s", microphone.sid)
    await sound(source)


server = AgentServer(
    ws_url=URL,
    api_key=KEY,
    api_secret=SECRET,
    job_executor_type=JobExecutorType.THREAD,
    num_idle_processes=0,
    host="127.0.0.1",
    port=0,
    load_fnc=lambda *_: 0.1,
)
server.rtc_session(serve_room, on_request=accept)

if __name__ == "__main__":
    logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(server.run(devmode=True))
