"""The receiver's estimate of what it can be sent (REMB, draft-alvestrand-rmcat-remb-03)."""

import struct
from dataclasses import dataclass
from typing import Final

from rtp.errors import DecodeError
from rtp.rtcp.header import PacketType, PayloadFeedbackFormat, serialize_packet
from rtp.units import Ssrc

# |  SSRC of packet sender  |  0  |  "REMB"  |  Num SSRC (8)  BR Exp (6)  BR Mantissa (18)  |  SSRCs …
_FIXED = struct.Struct("!II4sI")
_IDENTIFIER: Final = b"REMB"  # other application layer feedback shares the format
_MANTISSA_BITS: Final = 18
_MAX_EXPONENT: Final = 63


@dataclass(frozen=True, slots=True)
class ReceiverEstimatedMaxBitrate:
    """The most that the receiver thinks it can be sent, in bit/s, over all of `ssrcs` together."""

    sender_ssrc: Ssrc
    bitrate_bps: int
    ssrcs: tuple[Ssrc, ...]

    def serialize(self) -> bytes:
        """Return the packet; the bitrate keeps its upper 18 bits, so it is rounded down. At most 255 SSRCs fit."""
        exponent = max(0, self.bitrate_bps.bit_length() - _MANTISSA_BITS)
        assert exponent <= _MAX_EXPONENT, "no such bitrate"
        value = len(self.ssrcs) << 24 | exponent << _MANTISSA_BITS | self.bitrate_bps >> exponent
        body = _FIXED.pack(self.sender_ssrc, 0, _IDENTIFIER, value) + struct.pack(f"!{len(self.ssrcs)}I", *self.ssrcs)
        return serialize_packet(PacketType.PAYLOAD_FEEDBACK, PayloadFeedbackFormat.APPLICATION, body)


def parse_remb(body: bytes) -> ReceiverEstimatedMaxBitrate | None:
    """Read the body of application layer feedback; None if it is not REMB.

    Raises:
        DecodeError: if it is REMB, and cut short.
    """
    if body[8:12] != _IDENTIFIER:
        return None
    if len(body) < _FIXED.size:
        raise DecodeError(f"REMB of {len(body)} bytes")
    sender_ssrc, _, _, value = _FIXED.unpack_from(body)
    count = value >> 24
    if len(body) < _FIXED.size + 4 * count:
        raise DecodeError(f"REMB for {count} SSRCs in {len(body)} bytes")
    exponent = value >> _MANTISSA_BITS & _MAX_EXPONENT
    mantissa = value & ((1 << _MANTISSA_BITS) - 1)
    ssrcs = struct.unpack_from(f"!{count}I", body, _FIXED.size)
    return ReceiverEstimatedMaxBitrate(sender_ssrc, mantissa << exponent, ssrcs)
