"""Packets of nothing but padding (RFC 3550 §5.1), sent among retransmissions: to who receives them, probes for bandwidth."""

from typing import Final

from rtp.packet import build_packet
from rtp.units import Ssrc
from sfu.media.extending import numbered_extensions, timed_extensions
from sfu.media.packet_numbers import PacketNumbers

PADDING_BYTES: Final = 255
"""The most that a packet can have."""

_PADDING: Final = bytes(PADDING_BYTES - 1) + bytes((PADDING_BYTES,))
_HAS_PADDING: Final = 0x20


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
    packet = build_packet(
        payload_type=payload_type,
        sequence=sequence & 0xFFFF,
        timestamp=timestamp,
        ssrc=ssrc,
        payload=_PADDING,
        extensions=timed_extensions(abs_send_time_id, now)
        if numbers is None
        else numbered_extensions(numbers, PADDING_BYTES, now),
    )
    return bytes((packet[0] | _HAS_PADDING,)) + packet[1:]
