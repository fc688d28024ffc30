"""Record the layers of Chromium's VP9 and AV1: `python -m tools.record_layers`, from the root, after `make e2e`.

A page of headless Chromium publishes a drawing that changes to a server in this process, in three spatial and three temporal
layers in one stream (L3T3_KEY), with the dependency descriptor. What the server's receiver is given, decrypted and in
order, is written to tests/vectors/layers, from the first key picture on that has all the layers. Key pictures are asked for
now and then: each begins a group that can be decoded without those before it.
"""

import gzip
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final
from unittest.mock import patch

import trio

from rtp.errors import DecodeError
from rtp.extensions import find_extension
from rtp.packet import RtpHeader, parse_header, payload_end
from rtp.payload.dependency_descriptor import parse_dependency_descriptor
from rtp.serial import unwrap
from sfu.media.receiver import Receiver
from sfu.media.source_stream import SourceStream
from tests.e2e.pages import Browser, open_browser
from triforium.app import serve
from triforium.config import Config, RtcConfig

FOLDER: Final = Path(__file__).parents[1] / "tests" / "vectors" / "layers"
MODE: Final = "L3T3_KEY"
GROUPS: Final = 4
GROUP_SECONDS: Final = 1.2
PATIENCE_SECONDS: Final = 20
FRAMES_PER_SECOND: Final = 12
MAX_BITRATE: Final = 700_000

PUBLISH: Final = """(async () => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [1024, 576]; // of less, libwebrtc makes fewer layers than are asked for
  const paint = canvas.getContext("2d");
  let number = 0;
  setInterval(() => {
    number += 1;
    paint.fillStyle = "#204060";
    paint.fillRect(0, 0, 1024, 576);
    paint.fillStyle = `hsl(${number * 11}, 60%, 50%)`;
    paint.fillRect((number * 37) % 900, 120 + ((number * 23) % 330), 120, 120);
    paint.fillStyle = "white";
    paint.font = "96px sans-serif";
    paint.fillText(String(number), 40, 96);
  }, 1000 / FRAMES_PER_SECOND);
  const connection = new RTCPeerConnection();
  window.connection = connection;
  const video = connection.addTransceiver(canvas.captureStream().getVideoTracks()[0], {
    direction: "sendonly",
    sendEncodings: [{ scalabilityMode: "MODE", maxBitrate: MAX_BITRATE }],
  });
  const { codecs } = RTCRtpSender.getCapabilities("video");
  const isProfile0 = ({ sdpFmtpLine }) => !sdpFmtpLine?.includes("profile") || /profile(-id)?=0/.test(sdpFmtpLine);
  video.setCodecPreferences(codecs.filter((codec) => codec.mimeType === "CODEC" && isProfile0(codec)));
  video.setHeaderExtensionsToNegotiate(video.getHeaderExtensionsToNegotiate().map((extension) => ({
    ...extension,
    direction: extension.uri.includes("dependency-descriptor") ? "sendrecv" : extension.direction,
  })));
  await connection.setLocalDescription();
  const response = await fetch("/whip/v1", {
    method: "POST",
    headers: { Authorization: "Bearer TOKEN", "Content-Type": "application/sdp" },
    body: connection.localDescription.sdp,
  });
  if (response.status !== 201) return await response.text();
  await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
  return navigator.userAgent;
})()"""


class Recording:
    """What came of one stream, as the receiver was given it."""

    def __init__(self) -> None:
        self.receiver: Receiver | None = None
        self.packets: dict[int, tuple[float, bytes]] = {}  # by unwrapped number
        self._newest = 0

    def tap(self, receive: Callable[..., None]) -> Callable[..., None]:
        """Return `Receiver.receive`, which notes what it is given."""

        def tapped(
            receiver: Receiver, stream: SourceStream, packet: bytes, header: RtpHeader, now: float, **how: bool
        ) -> None:
            self.receiver = receiver
            number = unwrap(header.sequence, near=self._newest) if self.packets else header.sequence
            self._newest = max(self._newest, number) if self.packets else number
            self.packets.setdefault(number, (now, packet))
            receive(receiver, stream, packet, header, now, **how)

        return tapped

    @property
    def descriptor_id(self) -> int:
        """The header extension for the dependency descriptor."""
        assert self.receiver is not None, "something came"
        assert self.receiver._descriptor_id is not None, "it was agreed on"  # noqa: SLF001 - a tap is no caller
        return self.receiver._descriptor_id  # noqa: SLF001 - as above

    async def complete(self) -> None:
        """Ask for key pictures until there are enough groups."""
        while True:
            await trio.sleep(GROUP_SECONDS)
            if self.receiver is None:
                continue
            if len(self.starts()) > GROUPS:
                return
            self.receiver.request_keyframe(0)

    def starts(self) -> list[int]:
        """Return the numbers of the packets that begin key pictures with all the layers."""
        starts, structure = [], None
        for number, (_, packet) in sorted(self.packets.items()):
            data = find_extension(packet, parse_header(packet), self.descriptor_id)
            try:
                descriptor = None if data is None else parse_dependency_descriptor(data, structure)
            except DecodeError:
                continue  # the structure that it needs was lost
            if descriptor is None:
                continue
            structure = descriptor.structure
            if descriptor.attached and not descriptor.spatial_id and not descriptor.frame_diffs:
                active = structure.all_targets if descriptor.active_targets is None else descriptor.active_targets
                if len(structure.target_layers) == 9 and active == structure.all_targets:
                    starts.append(number)
        return starts

    def write(self, path: Path, codec: str, client: str) -> None:
        """Write what came between the first of these and the last; a group that misses a packet is worth nothing."""
        starts = self.starts()
        first, end = starts[0], starts[-1]
        numbers = [number for number in sorted(self.packets) if first <= number < end]
        assert numbers == list(range(first, end)), "nothing is missing"
        began = self.packets[first][0]
        lines = [{"what": "session", "codec": codec, "mode": MODE, "client": client, "dd": self.descriptor_id}]
        for arrived_at, packet in (self.packets[number] for number in numbers):
            header = parse_header(packet)
            if payload_end(packet, header) > header.size:  # else it is but padding, to probe for bandwidth
                lines.append({"t_ms": round(1000 * (arrived_at - began), 1), "hex": packet.hex()})
        text = "".join(json.dumps(line) + "\n" for line in lines)
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
        print(path.name, len(starts) - 1, "groups,", len(lines) - 1, "packets,", path.stat().st_size, "bytes")


async def record(browser: Browser, codec: str) -> None:
    """Record one codec."""
    recording = Recording()
    config = Config(
        keys={"devkey": "secret" * 6},
        development=True,
        bind_addresses=("127.0.0.1",),
        port=0,
        rtc=RtcConfig(udp_port=0, enable_loopback_candidate=True),
    )
    with patch.object(Receiver, "receive", recording.tap(Receiver.receive)):
        async with serve(config) as server:
            page = await browser.open(codec, server.url.replace("ws", "http", 1))
            script = PUBLISH.replace("CODEC", f"video/{codec}").replace("TOKEN", server.token("lobby", "alice"))
            script = script.replace("MODE", MODE).replace("MAX_BITRATE", str(MAX_BITRATE))
            client = await page.evaluate(script.replace("FRAMES_PER_SECOND", str(FRAMES_PER_SECOND)))
            with trio.fail_after(PATIENCE_SECONDS):
                await recording.complete()
            await page.evaluate("connection.close()")
    recording.write(FOLDER / f"{codec.lower()}-{MODE.lower()}.jsonl.gz", codec, str(client))


async def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        async with open_browser(Path(folder)) as browser:
            for codec in ("VP9", "AV1"):
                await record(browser, codec)


if __name__ == "__main__":
    trio.run(main)
