"""Simulcast: one track in several sizes, each encoded and sent for itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from livekit.protocol.models import VideoLayer, VideoQuality

from rtp.units import Rid
from triforium.visitor.plan import MediaPlan
from triforium.visitor.sources import Source, Vp8Source

QUALITIES: Final[Mapping[str, VideoQuality]] = {
    "q": VideoQuality.LOW,
    "h": VideoQuality.MEDIUM,
    "f": VideoQuality.HIGH,
}
"""What LiveKit's clients call their layers: quarter, half and full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer to publish: its name, one of `QUALITIES`; what to tell the server of its size; and what to send."""

    rid: Rid
    width: int
    height: int
    bitrate_bps: int
    media: Source

    @property
    def announcement(self) -> VideoLayer:
        """The same as clients announce it."""
        return VideoLayer(quality=QUALITIES[self.rid], width=self.width, height=self.height, bitrate=self.bitrate_bps)


def sample_layers(plan: MediaPlan, random: Random) -> tuple[Layer, ...]:
    """Return three layers, each of them the VP8 loop, said to be of the sizes that livekit-client has for a camera."""
    return tuple(
        Layer(rid=Rid(rid), width=width, height=height, bitrate_bps=bitrate, media=Vp8Source(plan, random))
        for rid, width, height, bitrate in (
            ("q", 320, 180, 160_000),
            ("h", 640, 360, 450_000),
            ("f", 1280, 720, 1_700_000),
        )
    )
