"""SCTP packets as bytes: the common header and its checksum (RFC 9260 §3.1).

A packet is read whole or not at all: what one lying length hides cannot be told from what it makes up.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import google_crc32c

from rtp.errors import DecodeError
from rtp.sctp.chunks import Chunk, ChunkType, parse_chunks

SCTP_PORT: Final = 5000
"""Both ends of every association over DTLS in the field; what `a=sctp-port` says."""
PACKET_HEADER_SIZE: Final = 12
MTU: Final = 1160
"""The largest packet we send: with DTLS, UDP and IPv6 round it, it passes wherever IPv6 does (1280)."""
MAX_CHUNK_BYTES: Final = MTU - PACKET_HEADER_SIZE
MAX_RECEIVED_BYTES: Final = 1500
"""The largest we read. Chromium 156 sends 1188; nothing longer than this crosses the internet whole."""

_PORTS_AND_TAG: Final = struct.Struct("!HHI")
_HEADER: Final = struct.Struct("!4xI4s")  # tag, checksum
_CHECKSUM: Final = struct.Struct("<I")  # CRC32c is sent as its reflected register lies in memory (app. A)
_NO_CHECKSUM: Final = bytes(_CHECKSUM.size)


@dataclass(slots=True)
class Packet:
    """An SCTP packet that came whole."""

    tag: int
    chunks: list[Chunk]


def serialize_packet(tag: int, chunks: Iterable[bytes], *, has_checksum: bool = True) -> bytes:
    """Return a packet of chunks that are already bytes. Without checksum there is a zero (RFC 9653)."""
    head = _PORTS_AND_TAG.pack(SCTP_PORT, SCTP_PORT, tag)
    body = b"".join(chunks)
    return head + (_CHECKSUM.pack(_crc32c(head, body)) if has_checksum else _NO_CHECKSUM) + body


def serialize_packets(tag: int, chunks: Iterable[bytes], *, has_checksum: bool) -> list[bytes]:
    """Return packets that bundle `chunks`, each at most `MAX_CHUNK_BYTES` long, in their order (RFC 9260 §6.10)."""
    packets: list[bytes] = []
    bundle: list[bytes] = []
    size = 0
    for chunk in chunks:
        if size + len(chunk) > MAX_CHUNK_BYTES:
            packets.append(serialize_packet(tag, bundle, has_checksum=has_checksum))
            bundle, size = [], 0
        bundle.append(chunk)
        size += len(chunk)
    if bundle:
        packets.append(serialize_packet(tag, bundle, has_checksum=has_checksum))
    return packets


def parse_packet(packet: bytes) -> Packet:
    """Read a packet and all its chunks. The ports are not looked at: under DTLS there is one association.

    A checksum of zero is as good as the right one: DTLS has proved the packet whole, and we say so to every peer
    (RFC 9653 §5.3), but for an INIT, by which the peer has not heard it yet.

    Raises:
        DecodeError: if the checksum or any length in it is wrong.
    """
    if not PACKET_HEADER_SIZE < len(packet) <= MAX_RECEIVED_BYTES:
        raise DecodeError(f"SCTP packet of {len(packet)} bytes")
    tag, checksum = _HEADER.unpack_from(packet)
    body = packet[PACKET_HEADER_SIZE:]
    needs_checksum = checksum != _NO_CHECKSUM or body[0] == ChunkType.INIT
    if needs_checksum and checksum != _CHECKSUM.pack(_crc32c(packet[: _PORTS_AND_TAG.size], body)):
        raise DecodeError("wrong SCTP checksum")
    return Packet(tag, parse_chunks(body))


def _crc32c(head: bytes, body: bytes) -> int:
    checksum: int = google_crc32c.value(head + _NO_CHECKSUM + body)
    return checksum
