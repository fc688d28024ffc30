"""Packets of nothing but padding (RFC 3550 §5.1), sent among retransmissions: to who receives them, probes for bandwidth."""

from typing import Final

from rtp.extensions import abs_send_time, serialize_extensions
from rtp.packet import build_packet
from rtp.units import Ssrc
from sfu.media.packet_numbers import BLOCK_BYTES, PacketNumbers

PADDING_BYTES: Final = 255
"""The most that a packet can have."""

_PADDING: Final = bytes(PADDING_BYTES - 1) + bytes((PADDING_BYTES,))
_HAS_PADDING: Final = 0x20
_BYTES: Final = 12 + BLOCK_BYTES + PADDING_BYTES


def padding_packet(
    ssrc: Ssrc,
    *,
    payload_type: int,
    sequence: int,
    timestamp: int,
    now: float,
    numbers: PacketNumbers | None,
    abs_send_time_id: int | None,
) -> bytes:
    """Return a packet with what tells when it left: a transport-wide number, or else its time."""
    if numbers is not None:
        extensions = numbers.block(_BYTES, now)
    elif abs_send_time_id is not None:
        extensions = serialize_extensions([(abs_send_time_id, abs_send_time(now))])
    else:
        extensions = b""
    packet = build_packet(
        payload_type=payload_type,
        sequence=sequence & 0xFFFF,
        timestamp=timestamp,
        ssrc=ssrc,
        payload=_PADDING,
        extensions=extensions,
    )
    return bytes((packet[0] | _HAS_PADDING,)) + packet[1:]
