"""When packets arrived, told to their sender (transport-wide congestion control feedback).

draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1, with the reference time as libwebrtc reads it: unsigned, and
wrapping.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from rtp.errors import DecodeError
from rtp.rtcp.header import PacketType, TransportFeedbackFormat, serialize_packet
from rtp.units import Ssrc

TICK_SECONDS: Final = 0.00025
"""The unit of differences between arrivals."""

REFERENCE_TICKS: Final = 256
"""The unit of the reference time: 64 ms."""

MAX_DELTA: Final = (1 << 15) - 1
MIN_DELTA: Final = -(1 << 15)

_HEAD: Final = struct.Struct(
    "!IIHHI"
)  # sender, media, base sequence, count; reference time (24) and feedback count (8)
_LOST, _SMALL, _LARGE = 0, 1, 2
_SMALL_LIMIT: Final = 256
_VECTOR_SYMBOLS: Final = 7  # of two bits each
_ONE_BIT_VECTOR: Final = 0b10 << 14
_TWO_BIT_VECTOR: Final = 0b11 << 14
_MAX_RUN: Final = (1 << 13) - 1

# The symbols of a vector, by a part of its bits.
_SEVEN_BITS: Final = [bytes(bits >> place & 1 for place in range(6, -1, -1)) for bits in range(1 << 7)]
_THREE_PAIRS: Final = [bytes(bits >> place & 3 for place in (4, 2, 0)) for bits in range(1 << 6)]
_FOUR_PAIRS: Final = [bytes(bits >> place & 3 for place in (6, 4, 2, 0)) for bits in range(1 << 8)]

MAX_STATUSES: Final = 8_192
"""How many packets one message may speak of: more than anybody has on the way. The count field would allow for 65,535,
which a run of a few bytes can claim."""


@dataclass(frozen=True, slots=True)
class TransportCcFeedback:
    """What became of the packets from `base_sequence` on: one entry of `deltas` for each.

    An entry is the time since the arrival before it in the list, in ticks, the first one's since the reference time;
    None stands for a packet that has not come. `reference_time` is in units of 64 ms, `number` counts these messages.
    """

    sender_ssrc: Ssrc
    media_ssrc: Ssrc
    base_sequence: int
    reference_time: int
    number: int
    deltas: tuple[int | None, ...]

    def serialize(self) -> bytes:
        """Return the packet. Deltas are of 16 bits, with their sign."""
        reference = (self.reference_time & 0xFF_FFFF) << 8 | self.number & 0xFF
        head = _HEAD.pack(self.sender_ssrc, self.media_ssrc, self.base_sequence & 0xFFFF, len(self.deltas), reference)
        body = head + b"".join(_chunks([_symbol(delta) for delta in self.deltas])) + b"".join(_written(self.deltas))
        return serialize_packet(
            PacketType.TRANSPORT_FEEDBACK, TransportFeedbackFormat.TRANSPORT_CC, body + bytes(-len(body) % 4)
        )


def parse_transport_cc(body: bytes) -> TransportCcFeedback:
    """Read the body of transport-wide feedback, without its padding or with zeros after it.

    Raises:
        DecodeError: if it speaks of no packet, of more than `MAX_STATUSES`, or is cut short.
    """
    if len(body) < _HEAD.size:
        raise DecodeError(f"transport-wide feedback of {len(body)} bytes")
    sender, media, base, count, reference = _HEAD.unpack_from(body)
    if not 0 < count <= MAX_STATUSES:
        raise DecodeError(f"transport-wide feedback on {count} packets")
    symbols, at = _parse_chunks(body, count)
    deltas = _parse_deltas(body, at, symbols)
    return TransportCcFeedback(Ssrc(sender), Ssrc(media), base, reference >> 8, reference & 0xFF, deltas)


def _parse_chunks(body: bytes, count: int) -> tuple[bytes, int]:
    """Return one symbol for each of `count` packets, and where the chunks end."""
    symbols = b""
    at = _HEAD.size
    while len(symbols) < count:
        if at + 2 > len(body):
            raise DecodeError("transport-wide feedback with too few chunks")
        chunk = body[at] << 8 | body[at + 1]
        at += 2
        if chunk < _ONE_BIT_VECTOR:
            symbols += bytes((chunk >> 13,)) * (chunk & _MAX_RUN)
        elif chunk < _TWO_BIT_VECTOR:
            symbols += _SEVEN_BITS[chunk >> 7 & 0x7F] + _SEVEN_BITS[chunk & 0x7F]
        else:
            symbols += _THREE_PAIRS[chunk >> 8 & 0x3F] + _FOUR_PAIRS[chunk & 0xFF]
    return symbols[:count], at


def _parse_deltas(body: bytes, at: int, symbols: bytes) -> tuple[int | None, ...]:
    if symbols.count(_SMALL) == len(symbols) <= len(body) - at:
        return tuple(body[at : at + len(symbols)])  # nothing is missing: by far the most
    deltas: list[int | None] = []
    try:
        for symbol in symbols:
            if symbol == _SMALL:
                deltas.append(body[at])
                at += 1
            elif symbol == _LOST:
                deltas.append(None)
            elif symbol == _LARGE:
                deltas.append((body[at] << 8 | body[at + 1]) - ((body[at] & 0x80) << 9))
                at += 2
            else:
                raise DecodeError("a reserved symbol in transport-wide feedback")
    except IndexError as error:
        raise DecodeError("transport-wide feedback with too few deltas") from error
    return tuple(deltas)


def _symbol(delta: int | None) -> int:
    if delta is None:
        return _LOST
    return _SMALL if 0 <= delta < _SMALL_LIMIT else _LARGE


def _chunks(symbols: Sequence[int]) -> Iterator[bytes]:
    """Write the symbols: a run of one of them where it is at least as long as a vector, and vectors else."""
    at = 0
    while at < len(symbols):
        run = _run_length(symbols, at)
        if run >= _VECTOR_SYMBOLS or at + run == len(symbols):
            yield struct.pack("!H", symbols[at] << 13 | run)
            at += run
            continue
        chunk = _TWO_BIT_VECTOR
        for place, symbol in enumerate(islice(symbols, at, at + _VECTOR_SYMBOLS)):
            chunk |= symbol << 2 * (_VECTOR_SYMBOLS - 1 - place)
        yield struct.pack("!H", chunk)
        at += _VECTOR_SYMBOLS


def _run_length(symbols: Sequence[int], at: int) -> int:
    end = at
    while end < len(symbols) and symbols[end] == symbols[at] and end - at < _MAX_RUN:
        end += 1
    return end - at


def _written(deltas: Sequence[int | None]) -> Iterator[bytes]:
    for delta in deltas:
        if delta is not None:
            yield struct.pack("!B" if _symbol(delta) == _SMALL else "!h", delta)
