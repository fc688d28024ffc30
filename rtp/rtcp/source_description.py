"""Source descriptions (RFC 3550 §6.5): the canonical name of each SSRC, which ties a participant's streams together."""

import struct
from dataclasses import dataclass
from typing import Final

from rtp.errors import DecodeError, LocalProtocolError
from rtp.rtcp.header import PacketType, serialize_packet
from rtp.units import Ssrc

_SSRC = struct.Struct("!I")
_END: Final = 0
_CNAME: Final = 1


@dataclass(frozen=True, slots=True)
class SourceDescription:
    """The CNAME of each SSRC (RFC 3550 §6.5.1), in order; empty where none was given. Other items are not kept."""

    cnames: tuple[tuple[Ssrc, str], ...]

    def serialize(self) -> bytes:
        """Return the packet. At most 31 sources fit.

        Raises:
            LocalProtocolError: if a CNAME is longer than 255 bytes of UTF-8.
        """
        body = b"".join(_serialize_chunk(ssrc, cname) for ssrc, cname in self.cnames)
        return serialize_packet(PacketType.SOURCE_DESCRIPTION, len(self.cnames), body)


def parse_source_description(count: int, body: bytes) -> SourceDescription:
    """Read the body of a source description of `count` chunks.

    Raises:
        DecodeError: if a chunk or item is cut short, or a CNAME is not UTF-8.
    """
    cnames = []
    at = 0
    for _ in range(count):
        ssrc, cname, at = _parse_chunk(body, at)
        cnames.append((ssrc, cname))
    return SourceDescription(tuple(cnames))


def _parse_chunk(body: bytes, at: int) -> tuple[Ssrc, str, int]:
    """Read the chunk at `at`: an SSRC, then items of type, length and text, then zeros up to a whole word."""
    if at + _SSRC.size > len(body):
        raise DecodeError("source description has fewer chunks than it says")
    (ssrc,) = _SSRC.unpack_from(body, at)
    at += _SSRC.size
    cname = b""
    while at < len(body) and (item := body[at]) != _END:
        end = at + 2 + (body[at + 1] if at + 1 < len(body) else 0)
        if end > len(body):
            raise DecodeError(f"source description item {item} cut short")
        if item == _CNAME:
            cname = body[at + 2 : end]
        at = end
    if at == len(body):
        raise DecodeError("source description chunk without an end")
    try:
        return ssrc, cname.decode(), at + 4 - at % 4
    except UnicodeDecodeError as error:
        raise DecodeError("CNAME is not UTF-8") from error


def _serialize_chunk(ssrc: Ssrc, cname: str) -> bytes:
    text = cname.encode()
    if len(text) > 255:
        raise LocalProtocolError(f"CNAME of {len(text)} bytes: 255 fit")
    chunk = _SSRC.pack(ssrc) + bytes((_CNAME, len(text))) + text
    return chunk + bytes(4 - len(chunk) % 4)  # one to four zeros: the first ends the list of items
