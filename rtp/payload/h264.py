"""H.264 in RTP (RFC 6184), packetization modes 0 and 1: where a decoder can start, and what it needs for that.

That is where a sequence parameter set is: encoders of real-time video send one in front of each IDR picture. An IDR
picture alone is no place to start, since without its parameter sets nobody can read it.
"""

from collections.abc import Iterator
from typing import Final

from rtp.errors import DecodeError

# The first byte of a unit (RFC 6184 §1.3), and the second of a fragment (§5.8).
#
#  0 1 2 3 4 5 6 7    0 1 2 3 4 5 6 7
# +-+-+-+-+-+-+-+-+  +-+-+-+-+-+-+-+-+
# |F|NRI|  Type   |  |S|E|R|  Type   |   S, E: the unit starts, or ends, in this fragment
# +-+-+-+-+-+-+-+-+  +-+-+-+-+-+-+-+-+
_TYPE: Final = 0x1F
_STARTS: Final = 0x80

_SLICE: Final = 1  # (H.264 table 7-1)
_IDR_SLICE: Final = 5
SEQUENCE_PARAMETER_SET: Final = 7
PICTURE_PARAMETER_SET: Final = 8
_STAP_A: Final = 24  # several units, each behind its size in two bytes
_FU_A: Final = 28  # a fragment of one


def is_keyframe(payload: bytes) -> bool:
    """Tell whether a decoder can start at an RTP payload, its padding taken off: a sequence parameter set starts in it.

    Raises:
        DecodeError: if it is empty, or its units are cut short before one is found.
    """
    if not payload:
        raise DecodeError("empty H.264 payload")
    kind = payload[0] & _TYPE
    if kind == _FU_A:
        if len(payload) < 2:
            raise DecodeError("H.264 fragment cut short")
        return payload[1] & (_STARTS | _TYPE) == _STARTS | SEQUENCE_PARAMETER_SET
    if kind == _STAP_A:
        return any(unit_type(unit) == SEQUENCE_PARAMETER_SET for unit in _aggregated(payload))
    return kind == SEQUENCE_PARAMETER_SET


def is_continuation(payload: bytes) -> bool:
    """Tell whether an RTP payload is but a slice other than of an IDR picture, or not the first part of a unit.

    Nearly all are, and nobody starts there. Of one that is cut short this says no.
    """
    kind = payload[0] & _TYPE if payload else 0
    return kind == _SLICE or (kind == _FU_A and payload[1:2] < b"\x80" and len(payload) > 1)


def begins_idr_picture(payload: bytes) -> bool:
    """Tell whether the first slice of an IDR picture starts in an RTP payload, its padding taken off.

    That is one whose first macroblock is the picture's: number 0, which is written as a single bit that is set (H.264
    §7.3.3, §9.1).

    Raises:
        DecodeError: its units are cut short.
    """
    if payload and payload[0] & _TYPE == _FU_A:
        return payload[1:2] == bytes((_STARTS | _IDR_SLICE,)) and payload[2:3] >= b"\x80"
    return any(unit_type(unit) == _IDR_SLICE and unit[1:2] >= b"\x80" for unit in whole_units(payload))


def whole_units(payload: bytes) -> Iterator[bytes]:
    """Yield the units that an RTP payload, its padding taken off, has in it from end to end.

    Raises:
        DecodeError: they are cut short.
    """
    kind = unit_type(payload)
    if kind == _STAP_A:
        yield from _aggregated(payload)
    elif kind != _FU_A:
        yield payload


def unit_type(unit: bytes) -> int:
    """Return the type of a unit, or of a payload; 0, which is nobody's, for an empty one."""
    return unit[0] & _TYPE if unit else 0


def _aggregated(payload: bytes) -> Iterator[bytes]:
    """Yield the units in a STAP-A (RFC 6184 §5.7.1)."""
    end = 1
    while True:
        start = end + 2
        end = start + int.from_bytes(payload[start - 2 : start], "big")
        if end == start or end > len(payload):
            raise DecodeError(f"H.264 unit of {end - start} bytes with {len(payload) - start} left")
        yield payload[start:end]
        if end == len(payload):
            return
