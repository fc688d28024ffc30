"""A plain WebRTC peer made of the published aiortc, in a process of its own, told what to do by JSON lines.

The lines are python_client.py's. It publishes by WHIP or watches by WHEP; neither has anything of LiveKit in it.
"""

import asyncio
import fractions
import json
import logging
import sys

import aiohttp
import av
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from python_client import answer
from tone import FRAME_SAMPLES, SAMPLE_RATE, tone

WIDTH, HEIGHT = 320, 240


class Colour(VideoStreamTrack):
    """Sends one colour, at aiortc's own pace."""

    def __init__(self, colour):
        super().__init__()
        self._picture = np.full((HEIGHT, WIDTH, 3), colour, np.uint8)

    async def recv(self):
        frame = av.VideoFrame.from_ndarray(self._picture, format="rgb24")
        frame.pts, frame.time_base = await self.next_timestamp()
        return frame


class Tone(MediaStreamTrack):
    """Sends a sine."""

    kind = "audio"

    def __init__(self, frequency):
        super().__init__()
        self._frequency = frequency
        self._at = 0
        self._began = None

    async def recv(self):
        now = asyncio.get_running_loop().time()
        self._began = self._began or now
        await asyncio.sleep(max(0, self._began + self._at / SAMPLE_RATE - now))
        samples = tone(self._frequency, self._at)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, self._at, fractions.Fraction(1, SAMPLE_RATE)
        self._at += FRAME_SAMPLES
        return frame


class Peer:
    """At most one session."""

    def __init__(self):
        self._connection = RTCPeerConnection()
        self._session = None
        self._headers = {}
        self._reading = []
        self._frames = 0
        self._energy = 0.0
        self._colour = [0, 0, 0]

    def call(self, name):
        return getattr(self, f"do_{name}")

    async def do_publish(self, url, token, colour, frequency):
        self._connection.addTrack(Tone(frequency))
        self._connection.addTrack(Colour(colour))
        return await self._post(url, token)

    async def do_watch(self, url, token):
        self._connection.on("track", self._read)
        for kind in ("audio", "video"):
            self._connection.addTransceiver(kind, direction="recvonly")
        return await self._post(url, token)

    async def do_state(self):
        return {"frames": self._frames, "energy": self._energy, "colour": self._colour}

    async def do_leave(self):
        async with aiohttp.ClientSession(headers=self._headers) as http, http.delete(self._session) as response:
            status = response.status
        await self._connection.close()
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)
        return status

    async def _post(self, url, token):
        await self._connection.setLocalDescription(await self._connection.createOffer())
        self._headers = {"Authorization": f"Bearer {token}"}
        headers = {"Content-Type": "application/sdp"}
        offer = self._connection.localDescription.sdp
        async with (
            aiohttp.ClientSession(headers=self._headers) as http,
            http.post(url, data=offer, headers=headers) as response,
        ):
            sdp = await response.text()
            assert response.status == 201, sdp
            self._session = str(response.url.join(response.url.with_path(response.headers["Location"])))
        await self._connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        return sdp

    def _read(self, track):
        read = self._see if track.kind == "video" else self._hear
        self._reading.append(asyncio.create_task(read(track)))

    async def _see(self, track):
        while True:
            frame = await track.recv()
            self._frames += 1
            mean = frame.to_ndarray(format="rgb24").reshape(-1, 3).mean(axis=0)
            self._colour = [round(float(part)) for part in mean]

    async def _hear(self, track):
        while True:
            samples = (await track.recv()).to_ndarray().astype(float) / 32768
            self._energy += float((samples**2).sum()) / SAMPLE_RATE


async def main():
    peer = Peer()
    requests = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    async for line in requests:
        sys.stdout.write(json.dumps(await answer(peer, json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(main())
