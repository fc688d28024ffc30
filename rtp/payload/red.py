"""Redundant audio (RFC 2198): a frame, and behind it in time those before it, in one packet."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rtp.errors import DecodeError
from rtp.packet import RtpHeader

# A redundant block's header, and the last block's, which is of the frame itself (RFC 2198 §3). The blocks' data follow
# the headers, in the same order: the oldest first.
#
#  0                   1                    2                   3
#  0 1 2 3 4 5 6 7 8 9 0 1 2 3  4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
# +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
# |1|   block PT  |  timestamp offset         |   block length    |
# |0|   block PT  |
# +-+-+-+-+-+-+-+-+
_BLOCK = struct.Struct("!I")
_FOLLOWED: Final = 0x80
_OFFSET_BITS: Final = 14
_LENGTH_BITS: Final = 10

BLOCK_HEADER_BYTES: Final = _BLOCK.size
PRIMARY_HEADER_BYTES: Final = 1

MAX_TIMESTAMP_OFFSET: Final = (1 << _OFFSET_BITS) - 1
"""How far back a redundant frame may be, in ticks of the codec's clock: 0.34 s of Opus."""
MAX_REDUNDANT_BYTES: Final = (1 << _LENGTH_BITS) - 1
"""How long a redundant frame may be; the frame itself may have any length."""


@dataclass(slots=True)
class RedBlock:
    """One frame of a packet, at `packet[start:end]`: how many ticks before the packet's timestamp it was."""

    payload_type: int
    timestamp_offset: int
    start: int
    end: int


def parse_red(packet: bytes, start: int, end: int) -> list[RedBlock]:
    """Return the frames in the payload `packet[start:end]`: redundant ones, and last the packet's own.

    Raises:
        DecodeError: if a header is cut short, or the frames have more bytes than there are.
    """
    blocks: list[RedBlock] = []
    at = start
    while at < end and packet[at] & _FOLLOWED:
        if at + BLOCK_HEADER_BYTES > end:
            raise DecodeError("RED block header cut short")
        (word,) = _BLOCK.unpack_from(packet, at)
        offset, length = word >> _LENGTH_BITS & MAX_TIMESTAMP_OFFSET, word & MAX_REDUNDANT_BYTES
        blocks.append(RedBlock(word >> 24 & 0x7F, offset, 0, length))
        at += BLOCK_HEADER_BYTES
    if at >= end:
        raise DecodeError("RED without a frame of its own")
    primary = RedBlock(packet[at], 0, 0, 0)
    at += PRIMARY_HEADER_BYTES
    for block in blocks:
        block.start, at = at, at + block.end
        block.end = at
    if at > end:
        raise DecodeError(f"RED blocks are {at - end} bytes longer than their packet")
    primary.start, primary.end = at, end
    return [*blocks, primary]


def serialize_red(payload_type: int, frame: bytes, redundant: Sequence[tuple[int, bytes]] = ()) -> bytes:
    """Return a payload of a frame and, oldest first, others that were the given ticks before it.

    All are of one payload type. None of `redundant` is beyond MAX_TIMESTAMP_OFFSET or MAX_REDUNDANT_BYTES.
    """
    kind = (_FOLLOWED | payload_type) << 24
    headers = [_BLOCK.pack(kind | offset << _LENGTH_BITS | len(data)) for offset, data in redundant]
    return b"".join((*headers, bytes((payload_type,)), *(data for _, data in redundant), frame))


def enclose(packet: bytes, header: RtpHeader, payload_type: int) -> bytes:
    """Return an RTP packet with its frame as the only one of a RED payload, under RED's `payload_type`."""
    kind = payload_type | (0x80 if header.marker else 0)
    return b"".join(
        (packet[:1], bytes((kind,)), packet[2 : header.size], bytes((header.payload_type,)), packet[header.size :])
    )
