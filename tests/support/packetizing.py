"""Encoded frames as RTP payloads, and back, whatever the codec; and a source that sends them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

from rtp.payload.vp8 import parse_vp8
from tests.support.encodings import AV1, GROUP_FRAMES, H264, H265, VP8, VP9, EncodedFrame, encoded_layer
from tests.support.packetizing_av1 import assemble_av1, is_av1_key_frame, packetize_av1, starts_av1
from tests.support.packetizing_nal import H264_FORMAT, H265_FORMAT
from tests.support.packetizing_vpx import (
    ShortVp8Packetizer,
    Vp8Packetizer,
    Vp9Packetizer,
    assemble_vp8,
    assemble_vp9,
    is_vp8_key_frame,
    is_vp9_key_frame,
    packetize_bare_vp8,
    starts_vp8,
    starts_vp9,
)

FRAMES_PER_SECOND: Final = 15

Packetizer: TypeAlias = Callable[[EncodedFrame], list[bytes]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of stream that there is to judge: its codec, and what makes something that packs one layer of it.

    `temporal_layers` are those that its packets tell of.
    """

    mime: str
    new_packetizer: Callable[[Random], Packetizer]
    temporal_layers: int = 1


KINDS: Final[Mapping[str, Kind]] = {
    "vp8": Kind(VP8, Vp8Packetizer, temporal_layers=3),
    "short-vp8": Kind(VP8, ShortVp8Packetizer),
    "bare-vp8": Kind(VP8, lambda _: packetize_bare_vp8),
    "h264": Kind(H264, lambda _: H264_FORMAT.pack),
    "h265": Kind(H265, lambda _: H265_FORMAT.pack),
    "vp9": Kind(VP9, Vp9Packetizer, temporal_layers=3),
    "av1": Kind(AV1, lambda _: packetize_av1),
}


class EncodedSource:
    """Sends a layer, its groups round and round; when a key frame is wanted, it begins the next group."""

    clock_rate = 90_000
    interval_seconds = 1 / FRAMES_PER_SECOND

    def __init__(self, mime: str, layer: int, packetizer: Packetizer, *, first_group: int = 0) -> None:
        self.mime = mime
        self._frames = encoded_layer(mime, layer)
        self._packetizer = packetizer
        self._at = first_group * GROUP_FRAMES

    def next_burst(self) -> list[bytes]:
        """Return the payloads of the next frame."""
        frame = self._frames[self._at]
        self._at = (self._at + 1) % len(self._frames)
        return self._packetizer(frame)

    def request_key_frame(self) -> None:
        """Go to the beginning of the next group, unless we are at one."""
        self._at = -(-self._at // GROUP_FRAMES) * GROUP_FRAMES % len(self._frames)


@dataclass(frozen=True, slots=True)
class Vp8Ids:
    """The numbers in a frame's descriptors; None for those that were left out."""

    picture_id: int | None
    tl0_picture_index: int | None
    key_index: int | None
    temporal_id: int | None


def vp8_ids(payload: bytes) -> Vp8Ids:
    """Read the numbers of the frame that a packet is of. Raises DecodeError."""
    descriptor = parse_vp8(payload)
    return Vp8Ids(descriptor.picture_id, descriptor.tl0_picture_index, descriptor.key_index, descriptor.temporal_id)


_STARTS: Final[Mapping[str, Callable[[bytes], bool]]] = {
    VP8: starts_vp8,
    VP9: starts_vp9,
    AV1: starts_av1,
    H264: H264_FORMAT.starts_frame,
    H265: H265_FORMAT.starts_frame,
}
_ASSEMBLE: Final[Mapping[str, Callable[[Sequence[bytes]], tuple[bytes, ...]]]] = {
    VP8: assemble_vp8,
    VP9: assemble_vp9,
    AV1: assemble_av1,
    H264: H264_FORMAT.assemble,
    H265: H265_FORMAT.assemble,
}
_IS_KEY: Final[Mapping[str, Callable[[Sequence[bytes]], bool]]] = {
    VP8: is_vp8_key_frame,
    VP9: is_vp9_key_frame,
    AV1: is_av1_key_frame,
    H264: H264_FORMAT.is_key_frame,
    H265: H265_FORMAT.is_key_frame,
}


def starts_frame(mime: str, payload: bytes) -> bool:
    """Whether a frame is known to start in this packet. Of some codecs only a key frame says so. Raises DecodeError."""
    return _STARTS[mime](payload)


def assemble(mime: str, payloads: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the units of a frame from its payloads, all of them and in order.

    Raises DecodeError, AssertionError or IndexError.
    """
    return _ASSEMBLE[mime](payloads)


def is_key_frame(mime: str, units: tuple[bytes, ...]) -> bool:
    """Whether a decoder can start at this frame."""
    return _IS_KEY[mime](units)
