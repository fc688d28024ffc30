"""AV1's OBUs (AV1 bitstream specification §5.3): out of a temporal unit, and into one."""

from collections.abc import Iterable
from typing import Final

SEQUENCE_HEADER: Final = 1
TEMPORAL_DELIMITER: Final = 2
_HAS_EXTENSION: Final = 0x04
_HAS_SIZE: Final = 0x02


def split_obus(stream: bytes) -> tuple[bytes, ...]:
    """Return the OBUs of a temporal unit as RTP has them: without sizes, and without the delimiter."""
    obus = []
    at = 0
    while at < len(stream):
        head = stream[at : at + (2 if stream[at] & _HAS_EXTENSION else 1)]
        assert head[0] & _HAS_SIZE, "in a file each has its size"
        size, start = read_size(stream, at + len(head))
        at = start + size
        if obu_type(head) != TEMPORAL_DELIMITER:
            obus.append(bytes((head[0] & ~_HAS_SIZE,)) + head[1:] + stream[start:at])
    return tuple(obus)


def join_obus(obus: Iterable[bytes]) -> bytes:
    """Return a temporal unit with these OBUs, which may have sizes or not."""
    return bytes((TEMPORAL_DELIMITER << 3 | _HAS_SIZE, 0)) + b"".join(map(_sized, obus))


def obu_type(obu: bytes) -> int:
    """Return what an OBU is."""
    return obu[0] >> 3 & 0xF


def read_size(data: bytes, at: int) -> tuple[int, int]:
    """Read a number in leb128 (§4.10.5); return it, and where it ends. Raises IndexError if it is cut short."""
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not data[at - 1] & 0x80:
            return value, at


def write_size(value: int) -> bytes:
    """Write a number in leb128."""
    field = bytearray()
    while value > 0x7F:
        field.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*field, value))


def _sized(obu: bytes) -> bytes:
    if obu[0] & _HAS_SIZE:
        return obu
    head = 2 if obu[0] & _HAS_EXTENSION else 1
    return bytes((obu[0] | _HAS_SIZE,)) + obu[1:head] + write_size(len(obu) - head) + obu[head:]
