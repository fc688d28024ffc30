"""Retransmissions on a stream of their own (RFC 4588): the number that a packet had, in front of what it carried."""

import struct
from typing import Final

from rtp.errors import DecodeError
from rtp.packet import RtpHeader, payload_end
from rtp.units import Ssrc

_ORIGINAL_SEQUENCE = struct.Struct("!H")
_HEADER = struct.Struct("!BBHII")  # as in rtp.packet: flags, M|PT, sequence, timestamp, SSRC

RTX_HEADER_BYTES: Final = _ORIGINAL_SEQUENCE.size
"""How much longer a packet is on the stream of retransmissions."""


def rtx_payload(sequence: int, payload: bytes) -> bytes:
    """Return what carries the packet that was sent as `sequence` (unwrapped or not) once more (RFC 4588 §4)."""
    return _ORIGINAL_SEQUENCE.pack(sequence & 0xFFFF) + payload


def parse_rtx(payload: bytes) -> tuple[int, int]:
    """Return the original sequence number, as sent, and where the original payload begins in `payload`.

    Raises:
        DecodeError: if it is too short.
    """
    if len(payload) < RTX_HEADER_BYTES:
        raise DecodeError(f"a retransmission of {len(payload)} bytes")
    (sequence,) = _ORIGINAL_SEQUENCE.unpack_from(payload)
    return sequence, RTX_HEADER_BYTES


def parse_retransmission(packet: bytes, header: RtpHeader, *, ssrc: Ssrc, payload_type: int) -> bytes | None:
    """Return the packet that `packet`, of a stream of retransmissions, repeats; None for nothing but padding.

    The stream's description says what the original's SSRC and payload type were. Timestamp and marker are the
    original's anyway (RFC 4588 §4); header extensions are the retransmission's, and so is padding.

    Raises:
        DecodeError: if its padding is longer than it is, or it is too short.
    """
    end = payload_end(packet, header)
    if end == header.size:
        return None  # a probe for bandwidth
    sequence, offset = parse_rtx(packet[header.size : min(end, header.size + RTX_HEADER_BYTES)])
    kind = payload_type | (0x80 if header.marker else 0)
    fixed = _HEADER.pack(packet[0], kind, sequence, header.timestamp, ssrc)
    return b"".join((fixed, packet[_HEADER.size : header.size], packet[header.size + offset :]))
