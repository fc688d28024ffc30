"""H.265 in RTP (RFC 7798), without decoding order numbers: where a decoder can start.

That is where parameter sets are: encoders of real-time video send them in front of each random access picture. Such a
picture alone is no place to start, since without its parameter sets nobody can read it.
"""

from collections.abc import Iterator
from typing import Final

from rtp.errors import DecodeError

# The two bytes in front of a unit (RFC 7798 §1.1.4), and the third of a fragment (§4.4.3).
#
#  0                   1               2
#  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5     6 7 8 9 0 1 2 3
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+   +-+-+-+-+-+-+-+-+
# |F|   Type    |  LayerId  | TID |   |S|E|   Type    |   S, E: the unit starts, or ends, in this fragment
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+   +-+-+-+-+-+-+-+-+
_UNIT_HEADER_BYTES: Final = 2
_TYPE: Final = 0x3F
_STARTS: Final = 0x80

_VPS: Final = 32  # parameter sets of the video, and of the sequence (H.265 table 7-1)
_SPS: Final = 33
_PARAMETER_SETS: Final = frozenset({_VPS, _SPS})
"""A picture parameter set alone may come with any picture."""
_AGGREGATION: Final = 48  # several units, each behind its size in two bytes
_FRAGMENT: Final = 49


def is_keyframe(payload: bytes) -> bool:
    """Tell whether a decoder can start at an RTP payload, its padding taken off: parameter sets start in it.

    Raises:
        DecodeError: if it has no header, or its units are cut short before one is found.
    """
    if len(payload) < _UNIT_HEADER_BYTES:
        raise DecodeError(f"H.265 payload of {len(payload)} bytes")
    kind = payload[0] >> 1 & _TYPE
    if kind == _FRAGMENT:
        if len(payload) == _UNIT_HEADER_BYTES:
            raise DecodeError("H.265 fragment cut short")
        return bool(payload[2] & _STARTS) and payload[2] & _TYPE in _PARAMETER_SETS
    if kind == _AGGREGATION:
        return any(each in _PARAMETER_SETS for each in _aggregated(payload))
    return kind in _PARAMETER_SETS


def _aggregated(payload: bytes) -> Iterator[int]:
    """Yield the types of the units in an aggregation packet (RFC 7798 §4.4.2)."""
    end = _UNIT_HEADER_BYTES
    while True:
        start = end + 2
        end = start + int.from_bytes(payload[start - 2 : start], "big")
        if end < start + _UNIT_HEADER_BYTES or end > len(payload):
            raise DecodeError(f"H.265 unit of {end - start} bytes with {len(payload) - start} left")
        yield payload[start] >> 1 & _TYPE
        if end == len(payload):
            return
