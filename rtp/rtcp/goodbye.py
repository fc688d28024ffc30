"""Goodbye (RFC 3550 §6.6): these sources will send no more."""

import struct
from dataclasses import dataclass

from rtp.errors import DecodeError, LocalProtocolError
from rtp.rtcp.header import PacketType, serialize_packet
from rtp.units import Ssrc


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The sources that leave, and why, if they said so."""

    ssrcs: tuple[Ssrc, ...]
    reason: str = ""

    def serialize(self) -> bytes:
        """Return the packet. At most 31 sources fit.

        Raises:
            LocalProtocolError: if the reason is longer than 255 bytes of UTF-8.
        """
        body = struct.pack(f"!{len(self.ssrcs)}I", *self.ssrcs)
        if self.reason:
            text = self.reason.encode()
            if len(text) > 255:
                raise LocalProtocolError(f"reason of {len(text)} bytes: 255 fit")
            body += bytes((len(text),)) + text
            body += bytes(-len(body) % 4)
        return serialize_packet(PacketType.GOODBYE, len(self.ssrcs), body)


def parse_goodbye(count: int, body: bytes) -> Goodbye:
    """Read the body of a goodbye of `count` sources.

    Raises:
        DecodeError: if sources or reason are cut short, or the reason is not UTF-8.
    """
    at = 4 * count
    if len(body) < at:
        raise DecodeError(f"goodbye of {count} sources in {len(body)} bytes")
    ssrcs = struct.unpack_from(f"!{count}I", body)
    if len(body) == at:
        return Goodbye(ssrcs)
    end = at + 1 + body[at]
    if end > len(body):
        raise DecodeError("goodbye's reason cut short")
    try:
        return Goodbye(ssrcs, body[at + 1 : end].decode())
    except UnicodeDecodeError as error:
        raise DecodeError("goodbye's reason is not UTF-8") from error
