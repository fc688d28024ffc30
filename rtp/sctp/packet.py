"""SCTP packets as bytes: the common header and its checksum (RFC 9260 §3.1).

A packet is read whole or not at all: what one lying length hides cannot be told from what it makes up.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import google_crc32c

from rtp.errors import DecodeError
from rtp.sctp.chunks import Chunk, parse_chunks

SCTP_PORT: Final = 5000
"""Both ends of every association over DTLS in the field; what `a=sctp-port` says."""
PACKET_HEADER_SIZE: Final = 12
MTU: Final = 1160
"""The largest packet we send: with DTLS, UDP and IPv6 round it, it passes wherever IPv6 does (1280)."""
MAX_CHUNK_BYTES: Final = MTU - PACKET_HEADER_SIZE
MAX_RECEIVED_BYTES: Final = 1500
"""The largest we read. Chromium 156 sends 1188; nothing longer than this crosses the internet whole."""

_PORTS_AND_TAG: Final = struct.Struct("!HHI")
_CHECKSUM: Final = struct.Struct(
    "<I"
)  # little-endian: CRC32c is sent as its reflected register lies in memory (app. A)


@dataclass(slots=True)
class Packet:
    """An SCTP packet whose checksum was right."""

    tag: int
    chunks: list[Chunk]


def serialize_packet(tag: int, chunks: Iterable[bytes]) -> bytes:
    """Return a packet of chunks that are already bytes, with its checksum."""
    head = _PORTS_AND_TAG.pack(SCTP_PORT, SCTP_PORT, tag)
    body = b"".join(chunks)
    return head + _CHECKSUM.pack(_crc32c(head, body)) + body


def serialize_packets(tag: int, chunks: Iterable[bytes]) -> list[bytes]:
    """Return packets that bundle `chunks`, each at most `MAX_CHUNK_BYTES` long, in their order (RFC 9260 §6.10)."""
    packets: list[bytes] = []
    bundle: list[bytes] = []
    size = 0
    for chunk in chunks:
        if size + len(chunk) > MAX_CHUNK_BYTES:
            packets.append(serialize_packet(tag, bundle))
            bundle, size = [], 0
        bundle.append(chunk)
        size += len(chunk)
    return [*packets, serialize_packet(tag, bundle)] if bundle else packets


def parse_packet(packet: bytes) -> Packet:
    """Read a packet and all its chunks. The ports are not looked at: under DTLS there is one association.

    Raises:
        DecodeError: if the checksum or any length in it is wrong.
    """
    if not PACKET_HEADER_SIZE < len(packet) <= MAX_RECEIVED_BYTES:
        raise DecodeError(f"SCTP packet of {len(packet)} bytes")
    (checksum,) = _CHECKSUM.unpack_from(packet, _PORTS_AND_TAG.size)
    if checksum != _crc32c(packet[: _PORTS_AND_TAG.size], packet[PACKET_HEADER_SIZE:]):
        raise DecodeError("wrong SCTP checksum")
    tag: int = _PORTS_AND_TAG.unpack_from(packet)[2]
    return Packet(tag, parse_chunks(packet[PACKET_HEADER_SIZE:]))


def _crc32c(head: bytes, body: bytes) -> int:
    checksum: int = google_crc32c.value(head + bytes(_CHECKSUM.size) + body)
    return checksum
