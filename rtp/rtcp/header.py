"""What every RTCP packet starts with (RFC 3550 §6.1): its kind, a small count, its length."""

import struct
from enum import IntEnum
from typing import Final

#  0                   1                   2                   3
#  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |V=2|P|count/FMT|  packet type  |  length in 32-bit words - 1   |
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
HEADER: Final = struct.Struct("!BBH")
VERSION: Final = 2
MAX_COUNT: Final = 31
"""How many blocks, chunks or sources one packet can hold: five bits tell."""


class PacketType(IntEnum):
    """The packet types that we read and write (RFC 3550 §12.1, RFC 4585 §6.1)."""

    SENDER_REPORT = 200
    RECEIVER_REPORT = 201
    SOURCE_DESCRIPTION = 202
    GOODBYE = 203
    TRANSPORT_FEEDBACK = 205
    PAYLOAD_FEEDBACK = 206


class TransportFeedbackFormat(IntEnum):
    """The transport-layer feedback messages that we read and write: the count field tells which."""

    NACK = 1  # RFC 4585 §6.2.1
    TRANSPORT_CC = 15  # draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1


class PayloadFeedbackFormat(IntEnum):
    """The payload-specific feedback messages that we read and write: the count field tells which."""

    PLI = 1  # RFC 4585 §6.3.1
    FIR = 4  # RFC 5104 §4.3.1
    APPLICATION = 15  # RFC 4585 §6.4: REMB, by its identifier


def serialize_packet(packet_type: int, count: int, body: bytes) -> bytes:
    """Return a whole RTCP packet. `count` is also the feedback message type; `body` is full 32-bit words."""
    assert count <= MAX_COUNT, "callers split what one packet cannot hold"
    assert len(body) % 4 == 0, "an RTCP body is full words"
    return HEADER.pack(VERSION << 6 | count, packet_type, len(body) // 4) + body
