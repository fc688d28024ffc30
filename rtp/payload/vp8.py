"""VP8 in RTP (RFC 7741): the payload descriptor and its ids, key frames and their size."""

from dataclasses import dataclass
from typing import Final

from rtp.errors import DecodeError
from rtp.payload.picture_id import read_picture_id

# The descriptor (RFC 7741 §4.2): only its first byte is always there.
#
#  0 1 2 3 4 5 6 7
# +-+-+-+-+-+-+-+-+
# |X|R|N|S|R| PID |   X: the next byte is there   S: start of partition PID
# |I|L|T|K|  RSV  |   I, L: the next fields are there   T or K: the last byte is there
# |M| PictureID   |   M: 15 bits in two bytes, else 7 bits in one
# |  TL0PICIDX    |
# |TID|Y| KEYIDX  |
# +-+-+-+-+-+-+-+-+
_EXTENDED: Final = 0x80
_START_MASK: Final = 0x17  # S and PID: with S set and PID 0 …
_START: Final = 0x10  # … the frame starts here
_HAS_PICTURE_ID: Final = 0x80
_HAS_TL0: Final = 0x40
_HAS_TID: Final = 0x20
_HAS_KEY_INDEX: Final = 0x10
_LONG: Final = 0x80

# A key frame begins with a 3-byte frame tag, this start code, then width and height, little endian, each of 14 bits
# below 2 bits of scale (RFC 6386 §9.1).
_START_CODE: Final = b"\x9d\x01\x2a"
_KEYFRAME_HEADER_SIZE: Final = 10
_DIMENSION: Final = 0x3FFF


@dataclass(slots=True)
class Vp8Descriptor:
    """The payload descriptor in front of each VP8 packet; None for what the sender left out.

    `size` counts the descriptor's bytes: VP8 itself is `payload[size:]`. `picture_id` has 15 bits if
    `picture_id_is_long`, else 7. `layer_sync`: a receiver of lower temporal layers may begin on this one here.
    """

    size: int
    start_of_frame: bool
    picture_id: int | None = None
    picture_id_is_long: bool = False
    tl0_picture_index: int | None = None
    temporal_id: int | None = None
    layer_sync: bool = False
    key_index: int | None = None


def parse_vp8(payload: bytes) -> Vp8Descriptor:
    """Read the descriptor at the start of an RTP payload, its padding taken off.

    Raises:
        DecodeError: if it is cut short, or has TL0PICIDX without TID, which means nothing (RFC 7741 §4.2).
    """
    try:
        first = payload[0]
        descriptor = Vp8Descriptor(1, first & _START_MASK == _START)
        if first & _EXTENDED:
            _parse_extension(payload, descriptor)
    except IndexError as error:
        raise DecodeError(f"VP8 descriptor cut short in a payload of {len(payload)} bytes") from error
    return descriptor


def is_keyframe(payload: bytes, descriptor: Vp8Descriptor) -> bool:
    """Tell whether a key frame starts in this packet: the P bit of its frame tag is 0 (RFC 6386 §9.1)."""
    size = descriptor.size
    return descriptor.start_of_frame and size < len(payload) and not payload[size] & 1


def parse_keyframe_dimensions(payload: bytes, descriptor: Vp8Descriptor) -> tuple[int, int]:
    """Return width and height, in pixels, of the key frame that starts in this packet.

    Raises:
        DecodeError: if none does, or its header is cut short.
    """
    head = payload[descriptor.size : descriptor.size + _KEYFRAME_HEADER_SIZE]
    if not is_keyframe(payload, descriptor) or len(head) < _KEYFRAME_HEADER_SIZE or head[3:6] != _START_CODE:
        raise DecodeError("no VP8 key frame starts here")
    return int.from_bytes(head[6:8], "little") & _DIMENSION, int.from_bytes(head[8:10], "little") & _DIMENSION


def rewrite_ids(
    payload: bytes, descriptor: Vp8Descriptor, *, picture_id: int, tl0_picture_index: int, key_index: int
) -> bytes:
    """Return `payload` with these ids (unwrapped or not) in place of its own; what it does not have, it does not get.

    Picture ids are written in 15 bits: a stream made of several sources must not change the width at which its
    receiver sees them wrap. So a payload whose own had 7 bits comes back one byte longer.
    """
    if descriptor.size == 1:
        return payload
    head = bytearray(payload[:2])
    if descriptor.picture_id is not None:
        head += (_LONG << 8 | picture_id & 0x7FFF).to_bytes(2, "big")
    if descriptor.tl0_picture_index is not None:
        head.append(tl0_picture_index & 0xFF)
    if head[1] & (_HAS_TID | _HAS_KEY_INDEX):
        layers = payload[descriptor.size - 1]
        head.append(layers if descriptor.key_index is None else layers & 0xE0 | key_index & 0x1F)
    return bytes(head) + payload[descriptor.size :]


def _parse_extension(payload: bytes, descriptor: Vp8Descriptor) -> None:
    """Read what follows the first byte. Lets IndexError out where the payload ends too soon."""
    flags = payload[1]
    at = 2
    if flags & _HAS_TL0 and not flags & _HAS_TID:
        raise DecodeError("VP8 descriptor with TL0PICIDX but without TID")
    if flags & _HAS_PICTURE_ID:
        descriptor.picture_id, descriptor.picture_id_is_long, at = read_picture_id(payload, at)
    if flags & _HAS_TL0:
        descriptor.tl0_picture_index = payload[at]
        at += 1
    if flags & (_HAS_TID | _HAS_KEY_INDEX):
        layers = payload[at]
        at += 1
        if flags & _HAS_TID:
            descriptor.temporal_id = layers >> 6
            descriptor.layer_sync = layers & 0x20 != 0
        if flags & _HAS_KEY_INDEX:
            descriptor.key_index = layers & 0x1F
    descriptor.size = at
