"""VP8 and VP9 as RTP payloads, and back (RFC 7741, RFC 9628)."""

from collections.abc import Sequence
from random import Random
from typing import Final

from rtp.payload.vp8 import parse_vp8
from rtp.payload.vp9 import parse_vp9
from tests.support.encodings import PAYLOAD_BYTES, EncodedFrame

_VP9_INTER: Final = (
    0x0C  # of a frame's first byte: it shows another, or is no key frame (VP9 bitstream specification §6.2)
)


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
        self._tl0 = self._tl0 + (frame.temporal == 0) & 0xFF
        self._key_index = self._key_index + frame.is_key & 0x1F
        layers = frame.temporal << 6 | frame.is_sync << 5 | self._key_index
        # I, L, T, K; M and 15 bits of picture id; TL0PICIDX; TID, Y and KEYIDX
        return _vp8_payloads(
            frame, bytes((0xF0, 0x80 | self._picture_id >> 8, self._picture_id & 0xFF, self._tl0, layers))
        )


class ShortVp8Packetizer:
    """Puts VP8 behind descriptors with a picture id of seven bits, and nothing else."""

    def __init__(self, random: Random) -> None:
        self._picture_id = random.randrange(1 << 7)

    def __call__(self, frame: EncodedFrame) -> list[bytes]:
        """Return the payloads of the next frame."""
        self._picture_id = self._picture_id + 1 & 0x7F
        return _vp8_payloads(frame, bytes((0x80, self._picture_id)))


def packetize_bare_vp8(frame: EncodedFrame) -> list[bytes]:
    """Put VP8 behind descriptors of one byte, which number nothing."""
    return _vp8_payloads(frame, b"")


def starts_vp8(payload: bytes) -> bool:
    """Whether a frame starts in this packet. Raises DecodeError."""
    return parse_vp8(payload).start_of_frame


def assemble_vp8(payloads: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return a frame from its payloads, all of them and in order. Raises DecodeError or AssertionError."""
    descriptors = [parse_vp8(payload) for payload in payloads]
    assert [each.start_of_frame for each in descriptors] == [True, *[False] * (len(payloads) - 1)], "one start"
    return (b"".join(payload[each.size :] for payload, each in zip(payloads, descriptors, strict=True)),)


def is_vp8_key_frame(units: Sequence[bytes]) -> bool:
    """Whether a decoder can start at this frame."""
    return not units[0][0] & 1


class Vp9Packetizer:
    """Puts VP9 behind descriptors in non-flexible mode, which tell temporal layers and where they may be entered."""

    def __init__(self, random: Random) -> None:
        self._picture_id = 0x8000 - random.randrange(1, 60)
        self._tl0 = 0x100 - random.randrange(1, 60)

    def __call__(self, frame: EncodedFrame) -> list[bytes]:
        """Return the payloads of the next frame."""
        self._picture_id = self._picture_id + 1 & 0x7FFF
        self._tl0 = self._tl0 + (frame.temporal == 0) & 0xFF
        # M and 15 bits of picture id; TID, U; TL0PICIDX. What is above the lowest layer begins anew after each of its frames.
        layers = frame.temporal << 5 | (0x10 if frame.temporal == 0 else 0)
        tail = bytes((0x80 | self._picture_id >> 8, self._picture_id & 0xFF, layers, self._tl0))
        parts = _cut(frame.units[0])
        payloads = []
        for at, part in enumerate(parts):
            flags = 0xA0 | (0 if frame.is_key else 0x40)  # I, L; P
            flags |= (0x08 if at == 0 else 0) | (0x04 if at == len(parts) - 1 else 0)  # B, E
            # One spatial layer, and its size, which a picture begins with here as there.
            structure = b"\x10" + frame.picture[:4] if frame.is_key and at == 0 else b""
            payloads.append(bytes((flags | (0x02 if structure else 0),)) + tail + structure + part)
        return payloads


def starts_vp9(payload: bytes) -> bool:
    """Whether a picture starts in this packet. Raises DecodeError."""
    descriptor = parse_vp9(payload)
    return descriptor.starts_frame and not descriptor.spatial_id


def assemble_vp9(payloads: Sequence[bytes]) -> tuple[bytes, ...]:
    """Return the frames of a picture, one for each spatial layer. Raises DecodeError or AssertionError."""
    units: list[bytes] = []
    frame: bytes | None = None
    for payload in payloads:
        descriptor = parse_vp9(payload)
        assert descriptor.starts_frame == (frame is None), "a frame without its start, or its end"
        frame = (frame or b"") + payload[descriptor.size :]
        if descriptor.ends_frame:
            units.append(frame)
            frame = None
    assert frame is None, "a frame without its end"
    return tuple(units)


def is_vp9_key_frame(units: Sequence[bytes]) -> bool:
    """Whether a decoder can start at this picture."""
    return not units[0][0] & _VP9_INTER


def _vp8_payloads(frame: EncodedFrame, tail: bytes) -> list[bytes]:
    extended = 0x80 if tail else 0
    return [bytes((extended | (0x10 if at == 0 else 0),)) + tail + part for at, part in enumerate(_cut(frame.units[0]))]


def _cut(data: bytes) -> list[bytes]:
    return [data[at : at + PAYLOAD_BYTES] for at in range(0, len(data), PAYLOAD_BYTES)]
