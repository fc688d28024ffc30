"""Generic NACK: packets that a receiver misses, and asks for again (RFC 4585 §6.2.1)."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from rtp.errors import DecodeError
from rtp.rtcp.header import PacketType, TransportFeedbackFormat, serialize_packet
from rtp.units import Ssrc

_SSRCS = struct.Struct("!II")  # of the packet's sender, of the media source

# Each entry names up to 17 packets: PID, and those after it whose bits are set; the lowest bit is PID + 1.
#
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |              PID              |              BLP              |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
_ENTRY = struct.Struct("!HH")
_BITS: Final = 16

MAX_SEQUENCES: Final = 1024
"""How many packets one NACK can ask for; those beyond are not read. It is more than any receiver keeps a list of, and
without a bound a datagram of 64 kB would ask for a quarter of a million."""


@dataclass(frozen=True, slots=True)
class GenericNack:
    """`sequences` of `media_ssrc`, as sent (16 bits), are missing: at least one."""

    sender_ssrc: Ssrc
    media_ssrc: Ssrc
    sequences: tuple[int, ...]

    def serialize(self) -> bytes:
        """Return the packet. It is shortest if the numbers ascend."""
        assert self.sequences, "a NACK asks for something"
        entries = b"".join(_ENTRY.pack(*entry) for entry in _entries(self.sequences))
        body = _SSRCS.pack(self.sender_ssrc, self.media_ssrc) + entries
        return serialize_packet(PacketType.TRANSPORT_FEEDBACK, TransportFeedbackFormat.NACK, body)


def parse_generic_nack(body: bytes) -> GenericNack:
    """Read the body of a Generic NACK: its first `MAX_SEQUENCES` numbers, which may repeat.

    Raises:
        DecodeError: if it asks for nothing, or does not end with a whole entry.
    """
    size = len(body) - _SSRCS.size
    if size < _ENTRY.size or size % _ENTRY.size:
        raise DecodeError(f"NACK of {len(body)} bytes")
    sender_ssrc, media_ssrc = _SSRCS.unpack_from(body)
    sequences: list[int] = []
    for first, bits in _ENTRY.iter_unpack(body[_SSRCS.size :]):
        if len(sequences) >= MAX_SEQUENCES:
            break
        sequences.append(first)
        sequences += [(first + 1 + at) & 0xFFFF for at in range(_BITS) if bits >> at & 1]
    return GenericNack(sender_ssrc, media_ssrc, tuple(sequences[:MAX_SEQUENCES]))


def _entries(sequences: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield (PID, BLP) for all of `sequences`: a number that does not fit the entry before it begins another."""
    first: int | None = None
    bits = 0
    for sequence in sequences:
        if first is not None and 1 <= (distance := (sequence - first) & 0xFFFF) <= _BITS:
            bits |= 1 << (distance - 1)
            continue
        if first is not None:
            yield first, bits
        first, bits = sequence & 0xFFFF, 0
    if first is not None:
        yield first, bits
