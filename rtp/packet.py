"""RTP packets (RFC 3550 §5.1): the header read and written; payloads and extensions are left where they are."""

import struct
from dataclasses import dataclass
from typing import Final

from rtp.errors import DecodeError
from rtp.units import Ssrc

# RFC 3550 §5.1, and §5.3.1 for the extension that may follow the CSRCs.
#
#  0                   1                   2                   3
#  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |V=2|P|X|  CC   |M|     PT      |       sequence number         |
# |                           timestamp                           |
# |                             SSRC                              |
# |                       CC times a CSRC                         |
# |            profile            |    length in 32-bit words     |
# |                           elements                            |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
_FIXED = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")

_VERSION: Final = 2
_PADDING: Final = 0x20
_EXTENDED: Final = 0x10


@dataclass(slots=True)
class RtpHeader:
    """An RTP header as sent, numbers not yet unwrapped.

    `timestamp` ticks at the codec's clock rate. `size` counts the header's bytes, CSRCs and extensions included, so
    the payload is `packet[header.size:payload_end(packet, header)]`. The extension's elements are
    `packet[header.extension_at:header.size]`, in the form that `extension_profile` names (0 where there is none).
    """

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: Ssrc
    size: int
    has_padding: bool
    extension_profile: int
    extension_at: int


def is_rtcp(datagram: bytes) -> bool:
    """Tell RTCP from RTP on one transport: by the second byte, 192 to 223 (RFC 5761 §4)."""
    return len(datagram) > 1 and 192 <= datagram[1] <= 223


def parse_header(packet: bytes) -> RtpHeader:
    """Read the header of a packet nobody has vouched for.

    Raises:
        DecodeError: if it is cut short or is not RTP version 2.
    """
    profile = 0
    try:
        flags, kind, sequence, timestamp, ssrc = _FIXED.unpack_from(packet)
        size = extension_at = 12 + 4 * (flags & 0x0F)
        if flags & _EXTENDED:
            profile, words = _EXTENSION.unpack_from(packet, size)
            extension_at = size + 4
            size = extension_at + 4 * words
    except struct.error as error:
        raise DecodeError("RTP header cut short") from error
    if flags >> 6 != _VERSION:
        raise DecodeError("not RTP version 2")
    if size > len(packet):
        raise DecodeError(f"RTP header of {size} bytes in a packet of {len(packet)}")
    return RtpHeader(
        kind >= 0x80,
        kind & 0x7F,
        sequence,
        timestamp,
        ssrc,
        size,
        flags & _PADDING != 0,
        profile,
        extension_at,
    )


def replace_extensions(packet: bytes, header: RtpHeader, extensions: bytes) -> bytes:
    """Return a packet with another extension block, a whole one as `serialize_extensions` makes it."""
    sources_end = header.extension_at - _EXTENSION.size if packet[0] & _EXTENDED else header.size
    return b"".join((bytes((packet[0] | _EXTENDED,)), packet[1:sources_end], extensions, packet[header.size :]))


def payload_end(packet: bytes, header: RtpHeader) -> int:
    """Return where the payload ends and padding begins; `header.size` for a packet of nothing but padding.

    Padding-only packets are bandwidth probes: they use up a sequence number and carry no media.

    Raises:
        DecodeError: if the padding's length, its last byte, is zero or more than there is (RFC 3550 §5.1).
    """
    if not header.has_padding:
        return len(packet)
    padding = packet[-1]
    end = len(packet) - padding
    if not padding or end < header.size:
        raise DecodeError(f"{padding} bytes of padding in a payload of {len(packet) - header.size}")
    return end


def build_packet(
    *,
    payload_type: int,
    sequence: int,
    timestamp: int,
    ssrc: int,
    payload: bytes,
    marker: bool = False,
    extensions: bytes = b"",
) -> bytes:
    """Return a packet without CSRCs or padding.

    `sequence` and `timestamp` are already wrapped; `extensions` is a whole block as `serialize_extensions` makes it.
    """
    flags = _VERSION << 6 | (_EXTENDED if extensions else 0)
    kind = payload_type | (0x80 if marker else 0)
    return b"".join((_FIXED.pack(flags, kind, sequence, timestamp, ssrc), extensions, payload))
