"""Encoded frames as RTP payloads, and back: VP8 (RFC 7741) and H.264 in packetization mode 1 (RFC 6184)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, TypeAlias

from rtp.payload.vp8 import parse_vp8
from tests.support import packetizing_h265 as h265
from tests.support.encodings import GROUP_FRAMES, H264, H265, VP8, EncodedFrame, encoded_layer

PAYLOAD_BYTES: Final = 400
"""What a packet may hold: little, so that most frames take several."""

FRAMES_PER_SECOND: Final = 15

NAL_IDR: Final = 5
NAL_SPS: Final = 7
NAL_STAP_A: Final = 24
NAL_FU_A: Final = 28
_NAL_TYPE: Final = 0x1F
_NAL_FIXED: Final = 0xE0  # F and NRI
_FU_START: Final = 0x80
_FU_END: Final = 0x40

Packetizer: TypeAlias = Callable[[EncodedFrame], list[bytes]]


class Vp8Packetizer:
    """Puts VP8 behind descriptors that number pictures, as libwebrtc's do, and key frames besides."""

    def __init__(self, random: Random) -> None:
        # Close below the wraps: a run is to see them.
        self._picture_id = 0x8000 - random.randrange(1, 60)
        self._tl0 = 0x100 - random.randrange(1, 60)
        self._key_index = random.randrange(32)

    def __call__(self, frame: EncodedFrame) -> list[bytes]:
        """Return the payloads of the next frame."""
        self._picture_id = self._picture_id + 1 & 0x7FFF
        self._tl0 = self._tl0 + 1 & 0xFF
        self._key_index = self._key_index + frame.is_key & 0x1F
        # I, L, T, K; M and 15 bits of picture id; TL0PICIDX; TID 0 and KEYIDX
        tail = bytes((0xF0, 0x80 | self._picture_id >> 8, self._picture_id & 0xFF, self._tl0, self._key_index))
        parts = _cut(frame.units[0], PAYLOAD_BYTES)
        return [bytes((0x90 if at == 0 else 0x80,)) + tail + part for at, part in enumerate(parts)]


class ShortVp8Packetizer:
    """Puts VP8 behind descriptors with a picture id of seven bits, and nothing else."""

    def __init__(self, random: Random) -> None:
        self._picture_id = random.randrange(1 << 7)

    def __call__(self, frame: EncodedFrame) -> list[bytes]:
        """Return the payloads of the next frame."""
        self._picture_id = self._picture_id + 1 & 0x7F
        tail = bytes((0x80, self._picture_id))
        parts = _cut(frame.units[0], PAYLOAD_BYTES)
        return [bytes((0x90 if at == 0 else 0x80,)) + tail + part for at, part in enumerate(parts)]


def packetize_bare_vp8(frame: EncodedFrame) -> list[bytes]:
    """Put VP8 behind descriptors of one byte, which number nothing."""
    return [bytes((0x10 if at == 0 else 0x00,)) + part for at, part in enumerate(_cut(frame.units[0], PAYLOAD_BYTES))]


def packetize_h264(frame: EncodedFrame) -> list[bytes]:
    """Put small neighbours into one packet (STAP-A), what fits into one of its own, and cut the rest (FU-A)."""
    payloads: list[bytes] = []
    together: list[bytes] = []
    for unit in frame.units:
        if together and 1 + sum(2 + len(each) for each in (*together, unit)) > PAYLOAD_BYTES:
            payloads.append(_aggregate(together))
            together = []
        if len(unit) > PAYLOAD_BYTES:
            payloads += _fragment(unit)
        else:
            together.append(unit)
            if len(unit) > PAYLOAD_BYTES // 2:  # alone, as most slices are
                payloads.append(_aggregate(together))
                together = []
    return payloads + ([_aggregate(together)] if together else [])


KINDS: Final[Mapping[str, tuple[str, Callable[[Random], Packetizer]]]] = {
    "vp8": (VP8, Vp8Packetizer),
    "short-vp8": (VP8, ShortVp8Packetizer),
    "bare-vp8": (VP8, lambda _: packetize_bare_vp8),
    "h264": (H264, lambda _: packetize_h264),
    "h265": (H265, lambda _: lambda frame: h265.pack(frame.units)),
}
"""The codec of each kind of stream that there is to judge, and what makes something that packs one layer of it."""


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


def vp8_ids(payload: bytes) -> Vp8Ids:
    """Read the numbers of the frame that a packet is of. Raises DecodeError."""
    descriptor = parse_vp8(payload)
    return Vp8Ids(descriptor.picture_id, descriptor.tl0_picture_index, descriptor.key_index)


def starts_frame(mime: str, payload: bytes) -> bool:
    """Whether a frame is known to start in this packet. Of the others only a key frame says so. Raises DecodeError."""
    if mime == VP8:
        return parse_vp8(payload).start_of_frame
    if mime == H265:
        return h265.starts_key_frame(payload)
    return _nal_type(payload) == NAL_SPS or (_nal_type(payload) == NAL_STAP_A and _nal_type(payload[3:]) == NAL_SPS)


def assemble(mime: str, payloads: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the units of a frame from its payloads, all of them and in order. Raises DecodeError or AssertionError."""
    if mime == VP8:
        descriptors = [parse_vp8(payload) for payload in payloads]
        assert [each.start_of_frame for each in descriptors] == [True, *[False] * (len(payloads) - 1)], "one start"
        assert len({vp8_ids(payload) for payload in payloads}) == 1, "a frame has one set of numbers"
        return (b"".join(payload[each.size :] for payload, each in zip(payloads, descriptors, strict=True)),)
    if mime == H265:
        return h265.unpack(payloads)
    units: list[bytes] = []
    fragment: bytearray | None = None
    for payload in payloads:
        if _nal_type(payload) != NAL_FU_A:
            assert fragment is None, "a fragment without its end"
            units += _disaggregate(payload) if _nal_type(payload) == NAL_STAP_A else [payload]
            continue
        if payload[1] & _FU_START:
            assert fragment is None, "a fragment in a fragment"
            fragment = bytearray((payload[0] & _NAL_FIXED | payload[1] & _NAL_TYPE,))
        assert fragment is not None, "a fragment without its start"
        fragment += payload[2:]
        if payload[1] & _FU_END:
            units.append(bytes(fragment))
            fragment = None
    assert fragment is None, "a fragment without its end"
    return tuple(units)


def is_key_frame(mime: str, units: tuple[bytes, ...]) -> bool:
    """Whether a decoder can start at this frame."""
    if mime == VP8:
        return not units[0][0] & 1
    if mime == H265:
        return any(h265.unit_type(unit) in h265.IDR_TYPES for unit in units)
    return any(_nal_type(unit) == NAL_IDR for unit in units)


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def _aggregate(units: list[bytes]) -> bytes:
    if len(units) == 1:
        return units[0]
    importance = max(unit[0] & _NAL_FIXED for unit in units)
    return bytes((importance | NAL_STAP_A,)) + b"".join(len(unit).to_bytes(2) + unit for unit in units)


def _disaggregate(payload: bytes) -> list[bytes]:
    units: list[bytes] = []
    at = 1
    while at < len(payload):
        end = at + 2 + int.from_bytes(payload[at : at + 2])
        units.append(payload[at + 2 : end])
        at = end
    return units


def _fragment(unit: bytes) -> list[bytes]:
    parts = _cut(unit[1:], PAYLOAD_BYTES - 2)
    indicator = unit[0] & _NAL_FIXED | NAL_FU_A
    payloads = []
    for at, part in enumerate(parts):
        flags = (_FU_START if at == 0 else 0) | (_FU_END if at == len(parts) - 1 else 0)
        payloads.append(bytes((indicator, flags | unit[0] & _NAL_TYPE)) + part)
    return payloads


def _nal_type(unit: bytes) -> int:
    return unit[0] & _NAL_TYPE if unit else 0
