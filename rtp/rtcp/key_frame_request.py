"""Requests for a key frame: PLI (RFC 4585 §6.3.1) and FIR (RFC 5104 §4.3.1)."""

import struct
from dataclasses import dataclass

from rtp.errors import DecodeError
from rtp.rtcp.header import PacketType, PayloadFeedbackFormat, serialize_packet
from rtp.units import Ssrc

_SSRCS = struct.Struct("!II")  # of the packet's sender, of the media source
_ENTRY = struct.Struct("!IB3x")  # SSRC, command sequence number


@dataclass(frozen=True, slots=True)
class PictureLossIndication:
    """The receiver cannot decode `media_ssrc` any more, or never could: it needs a key frame."""

    sender_ssrc: Ssrc
    media_ssrc: Ssrc

    def serialize(self) -> bytes:
        """Return the packet."""
        body = _SSRCS.pack(self.sender_ssrc, self.media_ssrc)
        return serialize_packet(PacketType.PAYLOAD_FEEDBACK, PayloadFeedbackFormat.PLI, body)


@dataclass(frozen=True, slots=True)
class FullIntraRequest:
    """Commands to send a key frame: (media SSRC, command number).

    The number, modulo 256, is new for each new command and stays the same when one is repeated.
    """

    sender_ssrc: Ssrc
    commands: tuple[tuple[Ssrc, int], ...]

    def serialize(self) -> bytes:
        """Return the packet. The header's media SSRC is not used and 0 (RFC 5104 §4.3.1.2)."""
        body = _SSRCS.pack(self.sender_ssrc, 0) + b"".join(_ENTRY.pack(*command) for command in self.commands)
        return serialize_packet(PacketType.PAYLOAD_FEEDBACK, PayloadFeedbackFormat.FIR, body)


def parse_picture_loss_indication(body: bytes) -> PictureLossIndication:
    """Read the body of a PLI.

    Raises:
        DecodeError: if it is too short.
    """
    if len(body) < _SSRCS.size:
        raise DecodeError(f"PLI of {len(body)} bytes")
    return PictureLossIndication(*_SSRCS.unpack_from(body))


def parse_full_intra_request(body: bytes) -> FullIntraRequest:
    """Read the body of an FIR.

    Raises:
        DecodeError: if it is too short, or does not end with a whole command.
    """
    if len(body) < _SSRCS.size or (len(body) - _SSRCS.size) % _ENTRY.size:
        raise DecodeError(f"FIR of {len(body)} bytes")
    sender_ssrc, _ = _SSRCS.unpack_from(body)
    return FullIntraRequest(sender_ssrc, tuple(_ENTRY.iter_unpack(body[_SSRCS.size :])))
