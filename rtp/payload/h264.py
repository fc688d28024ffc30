"""H.264 in RTP (RFC 6184), packetization modes 0 and 1: where a decoder can start.

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

_SPS: Final = 7  # a sequence parameter set (H.264 table 7-1)
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
        return payload[1] & (_STARTS | _TYPE) == _STARTS | _SPS
    if kind == _STAP_A:
        return _SPS in _aggregated(payload)
    return kind == _SPS


def _aggregated(payload: bytes) -> Iterator[int]:
    """Yield the types of the units in a STAP-A (RFC 6184 §5.7.1)."""
    end = 1
    while True:
        start = end + 2
        end = start + int.from_bytes(payload[start - 2 : start], "big")
        if end == start or end > len(payload):
            raise DecodeError(f"H.264 unit of {end - start} bytes with {len(payload) - start} left")
        yield payload[start] & _TYPE
        if end == len(payload):
            return
