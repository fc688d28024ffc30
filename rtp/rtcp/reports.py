"""Sender and receiver reports (RFC 3550 §6.4): what was sent, and how much of it arrived."""

import struct
from dataclasses import dataclass
from typing import Final

from rtp.errors import DecodeError
from rtp.rtcp.header import PacketType, serialize_packet
from rtp.serial import unwrap
from rtp.units import Ssrc

_SSRC = struct.Struct("!I")
_SENDER_INFO = struct.Struct("!IQIII")  # SSRC, NTP timestamp, RTP timestamp, packets, octets
_BLOCK = struct.Struct("!IIIIII")  # SSRC, fraction (8) and cumulative (24) lost, highest sequence, jitter, LSR, DLSR

_LOST_BITS: Final = 24


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """How one source is received (RFC 3550 §6.4.1).

    `fraction_lost` is in 1/256, over the time since the report before; `packets_lost` may be negative, when packets
    were duplicated, and stays within 24 bits signed. `highest_sequence` has the number of wraps in its upper half.
    `jitter` is in ticks of the RTP clock. `last_sender_report` is the compact NTP time (units of 1/65536 s) of the
    last sender report heard, and `delay_since` the time since then in the same units; both 0 if there was none.
    """

    ssrc: Ssrc
    fraction_lost: int
    packets_lost: int
    highest_sequence: int
    jitter: int
    last_sender_report: int
    delay_since: int

    def serialize(self) -> bytes:
        """Return the block's 24 bytes."""
        return _BLOCK.pack(
            self.ssrc,
            self.fraction_lost << _LOST_BITS | self.packets_lost & 0xFF_FFFF,
            self.highest_sequence,
            self.jitter,
            self.last_sender_report,
            self.delay_since,
        )


@dataclass(frozen=True, slots=True)
class SenderReport:
    """What `ssrc` has sent, and which RTP timestamp belongs to which wall-clock time (RFC 3550 §6.4.1).

    `ntp` is a 64-bit NTP timestamp and `rtp_timestamp` the same instant on the stream's own clock. `octet_count` is
    payload only. Both counts are since the stream began and wrap at 32 bits.
    """

    ssrc: Ssrc
    ntp: int
    rtp_timestamp: int
    packet_count: int
    octet_count: int
    blocks: tuple[ReportBlock, ...] = ()

    def serialize(self) -> bytes:
        """Return the packet. At most 31 blocks fit."""
        info = _SENDER_INFO.pack(self.ssrc, self.ntp, self.rtp_timestamp, self.packet_count, self.octet_count)
        return serialize_packet(PacketType.SENDER_REPORT, len(self.blocks), info + _serialize_blocks(self.blocks))


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """How the sources that `ssrc` listens to are received (RFC 3550 §6.4.2)."""

    ssrc: Ssrc
    blocks: tuple[ReportBlock, ...] = ()

    def serialize(self) -> bytes:
        """Return the packet. At most 31 blocks fit."""
        body = _SSRC.pack(self.ssrc) + _serialize_blocks(self.blocks)
        return serialize_packet(PacketType.RECEIVER_REPORT, len(self.blocks), body)


def parse_sender_report(count: int, body: bytes) -> SenderReport:
    """Read the body of a sender report of `count` blocks; profile-specific words after them are skipped.

    Raises:
        DecodeError: if the body is too short.
    """
    blocks = _parse_blocks(count, body, _SENDER_INFO.size)
    ssrc, ntp, rtp_timestamp, packet_count, octet_count = _SENDER_INFO.unpack_from(body)
    return SenderReport(ssrc, ntp, rtp_timestamp, packet_count, octet_count, blocks)


def parse_receiver_report(count: int, body: bytes) -> ReceiverReport:
    """Read the body of a receiver report of `count` blocks; profile-specific words after them are skipped.

    Raises:
        DecodeError: if the body is too short.
    """
    blocks = _parse_blocks(count, body, _SSRC.size)
    (ssrc,) = _SSRC.unpack_from(body)
    return ReceiverReport(ssrc, blocks)


def _parse_blocks(count: int, body: bytes, at: int) -> tuple[ReportBlock, ...]:
    end = at + count * _BLOCK.size
    if len(body) < end:
        raise DecodeError(f"report of {count} blocks in {len(body)} bytes")
    return tuple(
        ReportBlock(ssrc, lost >> _LOST_BITS, unwrap(lost, near=0, bits=_LOST_BITS), *rest)
        for ssrc, lost, *rest in _BLOCK.iter_unpack(body[at:end])
    )


def _serialize_blocks(blocks: tuple[ReportBlock, ...]) -> bytes:
    return b"".join(block.serialize() for block in blocks)
