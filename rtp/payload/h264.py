"""H.264 in RTP (RFC 6184), packetization modes 0 and 1: the units in a packet, key frames, parameter sets.

A decoder can start where a sequence parameter set is: encoders of real-time video send one in front of each IDR
picture. An IDR picture alone is no place to start, since without its parameter sets nobody can read it.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from rtp.errors import DecodeError

# The first byte of a unit (RFC 6184 §1.3), and the second of a fragment (§5.8).
#
#  0 1 2 3 4 5 6 7    0 1 2 3 4 5 6 7
# +-+-+-+-+-+-+-+-+  +-+-+-+-+-+-+-+-+
# |F|NRI|  Type   |  |S|E|R|  Type   |   S, E: the unit starts, or ends, in this fragment
# +-+-+-+-+-+-+-+-+  +-+-+-+-+-+-+-+-+
_TYPE: Final = 0x1F
_STARTS: Final = 0x80
_ENDS: Final = 0x40

SPS: Final = 7
"""A sequence parameter set (H.264 table 7-1)."""

PPS: Final = 8
"""A picture parameter set."""

_STAP_A: Final = 24  # several units, each behind its size in two bytes
_FU_A: Final = 28  # a fragment of one


class H264Unit(NamedTuple):
    """A unit, or a fragment of one: its type, whether it starts and ends here, and where its bytes are in the payload.

    The bytes of a whole unit begin with its own header, those of a fragment with the fragment's two.
    """

    kind: int
    starts: bool
    ends: bool
    at: int
    end: int


def parse_h264(payload: bytes) -> list[H264Unit]:
    """Return what is in an RTP payload, its padding taken off: at least one unit or fragment.

    Types that these packetization modes do not know are returned as they are: the decoder is the judge.

    Raises:
        DecodeError: if it is empty, or its units are cut short.
    """
    return list(_units(payload))


def is_keyframe(payload: bytes) -> bool:
    """Tell whether a decoder can start at this packet: a sequence parameter set starts in it.

    Raises:
        DecodeError: if the units up to there are cut short.
    """
    return any(unit.kind == SPS and unit.starts for unit in _units(payload))


def parse_parameter_sets(payload: bytes) -> list[bytes]:
    """Return the sequence and picture parameter sets that are whole in this packet, as units, in order.

    Raises:
        DecodeError: if its units are cut short.
    """
    return [
        payload[unit.at : unit.end] for unit in _units(payload) if unit.kind in (SPS, PPS) and unit.starts and unit.ends
    ]


def _units(payload: bytes) -> Iterator[H264Unit]:
    if not payload:
        raise DecodeError("empty H.264 payload")
    kind = payload[0] & _TYPE
    if kind == _FU_A:
        if len(payload) < 2:
            raise DecodeError("H.264 fragment cut short")
        flags = payload[1]
        yield H264Unit(flags & _TYPE, flags & _STARTS != 0, flags & _ENDS != 0, 0, len(payload))
    elif kind == _STAP_A:
        yield from _aggregated(payload)
    else:
        yield H264Unit(kind, starts=True, ends=True, at=0, end=len(payload))


def _aggregated(payload: bytes) -> Iterator[H264Unit]:
    """Yield the units of a STAP-A (RFC 6184 §5.7.1)."""
    at = 1
    while True:
        start = at + 2
        at = start + int.from_bytes(payload[start - 2 : start], "big")
        if at == start or at > len(payload):
            raise DecodeError(f"H.264 unit of {at - start} bytes with {len(payload) - start} left")
        yield H264Unit(payload[start] & _TYPE, starts=True, ends=True, at=start, end=at)
        if at == len(payload):
            return
