"""How much media a visitor sends, and in which packets: so also what others can expect to receive of it."""

from dataclasses import dataclass
from functools import cache
from typing import Final

from triforium.visitor.samples import samples


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaPlan:
    """The pace and shape of synthetic media. The default is thin: it keeps simulations cheap.

    A video frame is sent as one burst. `video_bursts` says of how many packets, in turn, of `video_payload_bytes` each
    without the VP8 descriptor: the encoded sample comes first, and zeros that decoders ignore fill the rest up. None
    leaves the samples as small as they are, one packet each. An audio payload has 80 bytes, always.

    A key frame is sent at the start, after an unmute and when asked for, and every `key_frame_interval` frames if set.
    """

    audio_packets_per_second: float = 10
    video_frames_per_second: float = 5
    video_bursts: tuple[int, ...] = (1,)
    video_payload_bytes: int | None = None
    key_frame_interval: int | None = None

    def known_payloads(self) -> frozenset[bytes]:
        """Return every payload that is sent by this plan, VP8 without its descriptor."""
        return _known_payloads(self)

    def video_frame(self, number: int, burst: int) -> list[bytes]:
        """Return the VP8 sample `number` as the payloads of the `burst`th frame sent."""
        frame = samples("vp8 ").frames[number]
        if self.video_payload_bytes is None:
            return [frame]
        size = self.video_payload_bytes
        packets = self.video_bursts[burst % len(self.video_bursts)]
        filled = frame.ljust(size * packets, b"\0")
        return [filled[at : at + size] for at in range(0, len(filled), size)]


CALL_PLAN: Final = MediaPlan(
    audio_packets_per_second=50, video_frames_per_second=30, video_bursts=(4, 4, 5), video_payload_bytes=1_150
)
"""What a call sends: Opus in frames of 20 ms; VP8 of 30 frames a second and 1.2 Mbit/s."""


@cache
def _known_payloads(plan: MediaPlan) -> frozenset[bytes]:
    numbers = range(len(samples("vp8 ").frames))
    bursts = range(len(plan.video_bursts))
    video = (payload for number in numbers for burst in bursts for payload in plan.video_frame(number, burst))
    return frozenset(video).union(samples("opus").frames)
