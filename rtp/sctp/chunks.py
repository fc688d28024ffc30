"""SCTP chunks as bytes (RFC 9260 §3, RFC 3758 §3.2, RFC 6525 §3.1)."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeAlias

from rtp.errors import DecodeError
from rtp.sctp.parameters import (
    Parameter,
    ReconfigParameter,
    padded,
    parse_parameters,
    parse_reconfig_parameter,
    serialize_parameters,
    words16,
)

_CHUNK = struct.Struct("!BBH")  # type, flags, length with these four bytes and without padding
_DATA = struct.Struct("!IHHI")  # TSN, stream, stream sequence number, payload protocol
_DATA_CHUNK = struct.Struct("!BBHIHHI")  # both of the above
_INIT = struct.Struct("!IIHHI")  # initiate tag, a_rwnd, outbound streams, inbound streams, initial TSN
_SACK = struct.Struct("!IIHH")  # cumulative TSN, a_rwnd, gap blocks, duplicates
_PAIR = struct.Struct("!HH")
_WORD = struct.Struct("!I")

DATA_HEADER_SIZE: Final = _CHUNK.size + _DATA.size

_ENDING, _BEGINNING, _UNORDERED, _IMMEDIATE = 0x01, 0x02, 0x04, 0x08
_REFLECTED = 0x01  # the T bit of ABORT and SHUTDOWN COMPLETE


class ChunkType(IntEnum):
    """Chunk types that we read (RFC 9260 §3.2, RFC 3758 §3.2, RFC 6525 §3.1)."""

    DATA = 0
    INIT = 1
    INIT_ACK = 2
    SACK = 3
    HEARTBEAT = 4
    HEARTBEAT_ACK = 5
    ABORT = 6
    SHUTDOWN = 7
    SHUTDOWN_ACK = 8
    ERROR = 9
    COOKIE_ECHO = 10
    COOKIE_ACK = 11
    SHUTDOWN_COMPLETE = 14
    RE_CONFIG = 130
    FORWARD_TSN = 192


@dataclass(slots=True)
class Data:
    """A message, or a fragment of one (RFC 9260 §3.3.1)."""

    tsn: int
    stream: int
    sequence: int
    protocol: int
    data: bytes
    unordered: bool = False
    beginning: bool = True
    ending: bool = True
    immediate: bool = False

    def serialize(self) -> bytes:
        """Return the chunk with its padding."""
        size = len(self.data)
        flags = self.ending * _ENDING | self.beginning * _BEGINNING
        flags |= self.unordered * _UNORDERED | self.immediate * _IMMEDIATE
        head = _DATA_CHUNK.pack(
            ChunkType.DATA, flags, DATA_HEADER_SIZE + size, self.tsn, self.stream, self.sequence, self.protocol
        )
        return head + self.data + bytes(-size % 4)


@dataclass(slots=True)
class Init:
    """INIT and INIT ACK, which differ in their type alone (RFC 9260 §3.3.2, §3.3.3)."""

    tag: int
    a_rwnd: int
    outbound_streams: int
    inbound_streams: int
    initial_tsn: int
    parameters: list[Parameter] = field(default_factory=list)
    is_ack: bool = False

    def serialize(self) -> bytes:
        """Return the chunk with its padding."""
        fixed = _INIT.pack(self.tag, self.a_rwnd, self.outbound_streams, self.inbound_streams, self.initial_tsn)
        kind = ChunkType.INIT_ACK if self.is_ack else ChunkType.INIT
        return _chunk(kind, 0, fixed + serialize_parameters(self.parameters))


@dataclass(slots=True)
class Sack:
    """What has arrived (RFC 9260 §3.3.4). `gaps` are first and last, counted from `cumulative_tsn`."""

    cumulative_tsn: int
    a_rwnd: int
    gaps: list[tuple[int, int]] = field(default_factory=list)
    duplicates: list[int] = field(default_factory=list)

    def serialize(self) -> bytes:
        """Return the chunk, which needs no padding."""
        fixed = _SACK.pack(self.cumulative_tsn, self.a_rwnd, len(self.gaps), len(self.duplicates))
        gaps = b"".join(_PAIR.pack(first, last) for first, last in self.gaps)
        return _chunk(ChunkType.SACK, 0, fixed + gaps + struct.pack(f"!{len(self.duplicates)}I", *self.duplicates))


@dataclass(slots=True)
class Heartbeat:
    """HEARTBEAT and its ACK, which gives back what it was given (RFC 9260 §3.3.5, §3.3.6)."""

    info: bytes
    is_ack: bool = False

    def serialize(self) -> bytes:
        """Return the chunk with its padding."""
        return _chunk(ChunkType.HEARTBEAT_ACK if self.is_ack else ChunkType.HEARTBEAT, 0, self.info)


@dataclass(slots=True)
class Abort:
    """The end, at once (RFC 9260 §3.3.7). The causes stay bytes: an ABORT counts whether or not they can be read."""

    causes: bytes = b""
    is_reflected: bool = False

    def serialize(self) -> bytes:
        """Return the chunk with its padding."""
        return _chunk(ChunkType.ABORT, _REFLECTED if self.is_reflected else 0, self.causes)


@dataclass(slots=True)
class Shutdown:
    """The peer has no more to send (RFC 9260 §3.3.8)."""

    cumulative_tsn: int

    def serialize(self) -> bytes:
        """Return the chunk, which needs no padding."""
        return _chunk(ChunkType.SHUTDOWN, 0, _WORD.pack(self.cumulative_tsn))


@dataclass(slots=True)
class ShutdownAck:
    """Neither have we (RFC 9260 §3.3.9)."""

    def serialize(self) -> bytes:
        """Return the chunk, which needs no padding."""
        return _chunk(ChunkType.SHUTDOWN_ACK, 0, b"")


@dataclass(slots=True)
class ShutdownComplete:
    """The last packet of a shutdown (RFC 9260 §3.3.13)."""

    is_reflected: bool = False

    def serialize(self) -> bytes:
        """Return the chunk, which needs no padding."""
        return _chunk(ChunkType.SHUTDOWN_COMPLETE, _REFLECTED if self.is_reflected else 0, b"")


@dataclass(slots=True)
class Error:
    """A complaint that leaves the association alive (RFC 9260 §3.3.10)."""

    causes: bytes

    def serialize(self) -> bytes:
        """Return the chunk with its padding."""
        return _chunk(ChunkType.ERROR, 0, self.causes)


@dataclass(slots=True)
class CookieEcho:
    """The State Cookie, given back (RFC 9260 §3.3.11)."""

    cookie: bytes

    def serialize(self) -> bytes:
        """Return the chunk with its padding."""
        return _chunk(ChunkType.COOKIE_ECHO, 0, self.cookie)


@dataclass(slots=True)
class CookieAck:
    """The association is up (RFC 9260 §3.3.12)."""

    def serialize(self) -> bytes:
        """Return the chunk, which needs no padding."""
        return _chunk(ChunkType.COOKIE_ACK, 0, b"")


@dataclass(slots=True)
class ForwardTsn:
    """What the sender has given up (RFC 3758 §3.2). `streams`: (stream, last sequence given up), ordered ones only."""

    cumulative_tsn: int
    streams: list[tuple[int, int]] = field(default_factory=list)

    def serialize(self) -> bytes:
        """Return the chunk, which needs no padding."""
        pairs = b"".join(_PAIR.pack(stream, sequence) for stream, sequence in self.streams)
        return _chunk(ChunkType.FORWARD_TSN, 0, _WORD.pack(self.cumulative_tsn) + pairs)


@dataclass(slots=True)
class Reconfig:
    """Requests about streams, and answers to them (RFC 6525 §3.1)."""

    parameters: list[ReconfigParameter]

    def serialize(self) -> bytes:
        """Return the chunk with its padding."""
        return _chunk(ChunkType.RE_CONFIG, 0, serialize_parameters(self.parameters))


@dataclass(slots=True)
class UnknownChunk:
    """A chunk of a type that is not ours to read; its two high bits say what to do (RFC 9260 §3.2)."""

    type: int
    flags: int
    body: bytes

    @property
    def ends_packet(self) -> bool:
        """Whether the rest of the packet must be left unread."""
        return not self.type & 0x80

    @property
    def wants_report(self) -> bool:
        """Whether the peer must be told in an ERROR."""
        return bool(self.type & 0x40)

    def serialize(self) -> bytes:
        """Return the chunk with its padding."""
        return _chunk(self.type, self.flags, self.body)


Chunk: TypeAlias = (
    Data
    | Init
    | Sack
    | Heartbeat
    | Abort
    | Shutdown
    | ShutdownAck
    | ShutdownComplete
    | Error
    | CookieEcho
    | CookieAck
    | ForwardTsn
    | Reconfig
    | UnknownChunk
)


def parse_chunks(data: bytes) -> list[Chunk]:
    """Read chunks laid end to end. The last one may lack its padding.

    Raises:
        DecodeError: if one is cut short or does not hold what its type must.
    """
    chunks: list[Chunk] = []
    offset = 0
    end = len(data)
    while offset < end:
        if end - offset < _CHUNK.size:
            raise DecodeError("SCTP chunk header cut short")
        kind, flags, length = _CHUNK.unpack_from(data, offset)
        if length < _CHUNK.size or offset + length > end:
            raise DecodeError(f"SCTP chunk of {length} bytes where {end - offset} are left")
        body = data[offset + _CHUNK.size : offset + length]
        parse = _PARSERS.get(kind)
        try:
            chunks.append(UnknownChunk(kind, flags, body) if parse is None else parse(flags, body))
        except struct.error as error:
            raise DecodeError(f"SCTP chunk of type {kind} cut short") from error
        offset += length + -length % 4
    return chunks


def _parse_data(flags: int, body: bytes) -> Data:
    tsn, stream, sequence, protocol = _DATA.unpack_from(body)
    return Data(
        tsn,
        stream,
        sequence,
        protocol,
        body[_DATA.size :],
        bool(flags & _UNORDERED),
        bool(flags & _BEGINNING),
        bool(flags & _ENDING),
        bool(flags & _IMMEDIATE),
    )


def _parse_init(body: bytes, *, is_ack: bool) -> Init:
    tag, a_rwnd, outbound, inbound, initial_tsn = _INIT.unpack_from(body)
    init = Init(tag, a_rwnd, outbound, inbound, initial_tsn, parse_parameters(body[_INIT.size :]), is_ack)
    if not init.tag or not init.outbound_streams or not init.inbound_streams:
        raise DecodeError("INIT with a zero where RFC 9260 §3.3.2 forbids it")
    return init


def _parse_sack(_flags: int, body: bytes) -> Sack:
    cumulative_tsn, a_rwnd, gap_count, duplicate_count = _SACK.unpack_from(body)
    if not gap_count and not duplicate_count:  # as nearly always
        return Sack(cumulative_tsn, a_rwnd)
    bounds = struct.unpack_from(f"!{2 * gap_count}H", body, _SACK.size)
    duplicates = struct.unpack_from(f"!{duplicate_count}I", body, _SACK.size + _PAIR.size * gap_count)
    return Sack(cumulative_tsn, a_rwnd, list(zip(bounds[::2], bounds[1::2], strict=True)), list(duplicates))


def _parse_forward_tsn(_flags: int, body: bytes) -> ForwardTsn:
    (cumulative_tsn,) = _WORD.unpack_from(body)
    words = words16(body[_WORD.size :])
    return ForwardTsn(cumulative_tsn, list(zip(words[::2], words[1::2], strict=False)))


def _parse_reconfig(_flags: int, body: bytes) -> Reconfig:
    return Reconfig([parse_reconfig_parameter(parameter) for parameter in parse_parameters(body)])


_PARSERS: Final[dict[int, Callable[[int, bytes], Chunk]]] = {
    ChunkType.DATA: _parse_data,
    ChunkType.INIT: lambda _flags, body: _parse_init(body, is_ack=False),
    ChunkType.INIT_ACK: lambda _flags, body: _parse_init(body, is_ack=True),
    ChunkType.SACK: _parse_sack,
    ChunkType.HEARTBEAT: lambda _flags, body: Heartbeat(body),
    ChunkType.HEARTBEAT_ACK: lambda _flags, body: Heartbeat(body, is_ack=True),
    ChunkType.ABORT: lambda flags, body: Abort(body, bool(flags & _REFLECTED)),
    ChunkType.SHUTDOWN: lambda _flags, body: Shutdown(*_WORD.unpack_from(body)),
    ChunkType.SHUTDOWN_ACK: lambda _flags, _body: ShutdownAck(),
    ChunkType.ERROR: lambda _flags, body: Error(body),
    ChunkType.COOKIE_ECHO: lambda _flags, body: CookieEcho(body),
    ChunkType.COOKIE_ACK: lambda _flags, _body: CookieAck(),
    ChunkType.SHUTDOWN_COMPLETE: lambda flags, _body: ShutdownComplete(bool(flags & _REFLECTED)),
    ChunkType.RE_CONFIG: _parse_reconfig,
    ChunkType.FORWARD_TSN: _parse_forward_tsn,
}


def _chunk(kind: int, flags: int, body: bytes) -> bytes:
    return padded(_CHUNK.pack(kind, flags, _CHUNK.size + len(body)) + body)
