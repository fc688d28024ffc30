"""The RTP and RTCP of one peer connection, both directions: whose a packet is, and what is reported of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, assert_never

from rtp.arrivals import ArrivalLog
from rtp.binding import Section, SsrcBinder
from rtp.errors import DecodeError
from rtp.extensions import find_extension, parse_extensions
from rtp.packet import RtpHeader, parse_header
from rtp.payload.rtx import parse_retransmission
from rtp.rtcp.compound import RtcpPacket, Unrecognised, parse_compound, serialize_compound
from rtp.rtcp.goodbye import Goodbye
from rtp.rtcp.key_frame_request import FullIntraRequest, PictureLossIndication
from rtp.rtcp.nack import GenericNack
from rtp.rtcp.remb import ReceiverEstimatedMaxBitrate
from rtp.rtcp.reports import ReceiverReport, ReportBlock, SenderReport
from rtp.rtcp.source_description import SourceDescription
from rtp.rtcp.transport_cc import TransportCcFeedback
from rtp.serial import compact_ntp
from rtp.timers import earliest, is_due
from rtp.units import Mid, Rid, Ssrc
from sfu.media.bandwidth import BandwidthController, BandwidthStatistics
from sfu.media.downtrack import DownTrack
from sfu.media.receiver import Receiver
from sfu.media.source_stream import SourceStream
from sfu.settings import CongestionSettings
from sfu.transport.connection import PeerConnection

REPORT_INTERVAL_SECONDS: Final = 1.0
"""Between receiver reports, which publishers take their losses from."""

SENDER_REPORT_INTERVAL_SECONDS: Final = 3.0
"""Between sender reports: clocks drift slowly, and there is one for each subscriber of each track. A new track gets its
first after REPORT_INTERVAL_SECONDS, because lips are in time only from then on."""

MAX_REPORT_BLOCKS: Final = 31
"""What one report can hold (RFC 3550 §6.4.1)."""

MAX_FEEDBACK_BYTES: Final = 1180
"""Of feedback on arrivals in one datagram, so that with SRTCP's trailer it fits what all paths carry (RFC 8200 §5)."""

_TRANSPORT_CC_BYTES: Final = 2

FIRST_REPORT_SECONDS: Final = 0.25
"""From the first use of a connection for media to its first report."""


class DropCause(Enum):
    """Why a packet in clear was of no use."""

    MALFORMED_RTP = "malformed RTP"
    MALFORMED_RTCP = "malformed RTCP"
    UNBOUND = "an SSRC that belongs to no section"
    RETRANSMISSION = "a retransmission of nothing that was agreed, or that has come yet"
    PROBE = "padding alone, on a stream of retransmissions"
    UNKNOWN_FEEDBACK = "RTCP that we do not read"


@dataclass(frozen=True, slots=True)
class MediaStatistics:
    """What was dropped, and what the peer's downlink is believed to carry."""

    drops: dict[DropCause, int]
    bandwidth: BandwidthStatistics


class MediaSession:
    """All the streams of one connection, by SSRC.

    Its timers are reports, requests for packets and key frames, and its bandwidth's. `rtcp_heard_at` is when the peer sent
    RTCP last.
    """

    def __init__(
        self,
        connection: PeerConnection,
        *,
        feedback_ssrc: Ssrc,
        congestion: CongestionSettings = CongestionSettings(),  # noqa: B008 - it is frozen
    ) -> None:
        self._connection = connection
        self._feedback_ssrc = feedback_ssrc
        self._binder = SsrcBinder()
        self._receivers: dict[Mid, Receiver] = {}
        self._incoming: dict[Ssrc, tuple[Receiver, SourceStream]] = {}
        self._outgoing: dict[Ssrc, DownTrack] = {}
        self._cnames: dict[Ssrc, str] = {}
        self._sent_reports: dict[Ssrc, tuple[int, float]] = {}
        self._next_report: float | None = None
        self._next_sender_reports = 0.0
        self._drops: Counter[DropCause] = Counter()
        self.rtcp_heard_at = float("-inf")
        self.bandwidth = BandwidthController(congestion, self._outgoing.values, connection.reschedule)
        self._arrivals = ArrivalLog(feedback_ssrc)
        self._transport_cc_id: int | None = None

    def receive_from(self, section: Section, receiver: Receiver, *, transport_cc_id: int | None = None) -> None:
        """Take the streams of a section as those of `receiver`, now or again after another negotiation.

        `transport_cc_id` is the header extension with the numbers by which the peer wants to know what arrived when.
        """
        if transport_cc_id is not None:
            self._transport_cc_id = transport_cc_id  # the same in all sections of a connection (RFC 8843 §9.2)
        self._binder.declare(section)
        self._receivers[section.mid] = receiver
        self._forget_unbound()

    def stop_receiving(self, mid: Mid) -> None:
        """Take no streams of this section any more."""
        self._binder.withdraw(mid)
        self._receivers.pop(mid, None)
        self._forget_unbound()

    def add_down_track(self, down_track: DownTrack, cname: str, now: float) -> None:
        """Take the subscriber's feedback for `down_track`, and report on it under `cname`."""
        self._outgoing[down_track.ssrc] = down_track
        self._cnames[down_track.ssrc] = cname
        self.bandwidth.begin(down_track)
        self._next_sender_reports = min(self._next_sender_reports, now + REPORT_INTERVAL_SECONDS)
        self._schedule_report(now)

    def remove_down_track(self, down_track: DownTrack) -> None:
        """Say goodbye to its SSRC, and forget it."""
        if self._outgoing.pop(down_track.ssrc, None) is not None and down_track.row.packets:
            self._send([ReceiverReport(self._feedback_ssrc), Goodbye((down_track.ssrc,))])
        self._cnames.pop(down_track.ssrc, None)
        self._sent_reports.pop(down_track.ssrc, None)

    def receive_rtp(self, packet: bytes, now: float) -> None:
        """Take one RTP packet in clear."""
        try:
            header = parse_header(packet)
            if self._transport_cc_id is not None:
                self._note_arrival(packet, header, now)
            entry = self._incoming.get(header.ssrc) or self._bind(packet, header, now)
            if entry is not None:
                receiver, stream = entry
                receiver.receive(stream, packet, header, now)
        except DecodeError:
            self._drops[DropCause.MALFORMED_RTP] += 1

    def receive_rtcp(self, packet: bytes, now: float) -> None:
        """Take one RTCP compound in clear."""
        try:
            packets = parse_compound(packet)
        except DecodeError:
            self._drops[DropCause.MALFORMED_RTCP] += 1
            return
        self.rtcp_heard_at = now
        for part in packets:
            self._receive_part(part, now)

    def transport_changed(self) -> None:
        """Look again at where media goes, and with what keys."""
        for down_track in list(self._outgoing.values()):
            down_track.transport_changed()

    def next_timeout(self) -> float | None:
        """Say when the next report or request is due; nothing is while there is no media."""
        dues = [stream.keyframes.next_timeout() for _, stream in self._incoming.values()]
        dues += [stream.nacks.next_timeout() for _, stream in self._incoming.values()]
        dues += [receiver.next_timeout() for receiver in self._receivers.values()]
        return earliest(*dues, self._next_report, self._arrivals.next_timeout(), self.bandwidth.next_timeout())

    def handle_timeout(self, now: float) -> None:
        """Notice layers that fall silent or come back, and send the reports and requests that are due."""
        for receiver in self._receivers.values():
            receiver.handle_timeout(now)
        if is_due(self._arrivals.next_timeout(), now):
            self._tell_arrivals(now)
        for receiver, stream in self._incoming.values():
            feedback: list[RtcpPacket] = []
            if missing := receiver.due_nacks(stream, now):
                sequences = tuple(sequence & 0xFFFF for sequence in missing)
                feedback.append(GenericNack(self._feedback_ssrc, stream.ssrc, sequences))
            if stream.keyframes.take_due(now):
                feedback.append(PictureLossIndication(self._feedback_ssrc, stream.ssrc))
            if feedback:
                self._send([ReceiverReport(self._feedback_ssrc), *feedback])
        self.bandwidth.handle_timeout(now)
        if is_due(self._next_report, now):
            self._next_report = None
            self._report(now)
            self._schedule_report(now)

    def statistics(self) -> MediaStatistics:
        """Return counts so far."""
        return MediaStatistics(dict(self._drops), self.bandwidth.statistics())

    def _note_arrival(self, packet: bytes, header: RtpHeader, now: float) -> None:
        """Note when a packet came that its sender has numbered, whatever stream it belongs to, and tell in time."""
        assert self._transport_cc_id is not None, "it was agreed on"
        number = find_extension(packet, header, self._transport_cc_id)
        if number is None or len(number) != _TRANSPORT_CC_BYTES:
            return
        was_waiting = self._arrivals.next_timeout() is not None
        self._arrivals.note(int.from_bytes(number), header.ssrc, now)
        if self._arrivals.is_due(now):
            self._tell_arrivals(now)
        elif not was_waiting:
            self._connection.reschedule()

    def _tell_arrivals(self, now: float) -> None:
        """Tell of all that came: in several datagrams if it was much, as after a pause of ours, or in great disorder."""
        compound = report = ReceiverReport(self._feedback_ssrc).serialize()
        for message in self._arrivals.take(now):
            feedback = message.serialize()
            if len(compound) + len(feedback) > MAX_FEEDBACK_BYTES and compound is not report:
                self._connection.send_rtcp(compound)
                compound = report
            compound += feedback
        self._connection.send_rtcp(compound)

    def _bind(self, packet: bytes, header: RtpHeader, now: float) -> tuple[Receiver, SourceStream] | None:
        """Find whose a packet is that is on no stream of media; the first of a new one is not lost by looking."""
        binding = self._binder.bound(header.ssrc) or self._binder.bind(header, parse_extensions(packet, header))
        if binding is None or binding.mid not in self._receivers:
            self._drops[DropCause.UNBOUND] += 1
            return None
        receiver = self._receivers[binding.mid]
        if binding.is_rtx:
            self._restore(receiver, binding.rid, packet, header, now)
            return None
        entry = self._incoming[header.ssrc] = (receiver, receiver.add_stream(header.ssrc, binding.rid))
        self._schedule_report(now, soon=True)
        return entry

    def _restore(self, receiver: Receiver, rid: Rid | None, packet: bytes, header: RtpHeader, now: float) -> None:
        """Take a retransmission for the packet that it repeats (RFC 4588 §4)."""
        codec, stream = receiver.codec, receiver.repaired_stream(rid)
        if stream is None or header.payload_type != codec.rtx_payload_type:
            self._drops[DropCause.RETRANSMISSION] += 1
            return
        original = parse_retransmission(packet, header, ssrc=stream.ssrc, payload_type=codec.payload_type)
        if original is None:
            self._drops[DropCause.PROBE] += 1
            return
        receiver.receive(stream, original, parse_header(original), now, is_resend=True)

    def _forget_unbound(self) -> None:
        """Drop the streams whose SSRC no longer belongs to their section: a description can take it away, or over."""
        for ssrc, (receiver, _) in list(self._incoming.items()):
            binding = self._binder.bound(ssrc)
            if binding is None or binding.is_rtx or self._receivers.get(binding.mid) is not receiver:
                del self._incoming[ssrc]
                receiver.remove_stream(ssrc)

    def _receive_part(self, part: RtcpPacket, now: float) -> None:
        match part:
            case TransportCcFeedback():  # by far the most
                self.bandwidth.receive_feedback(part, now)
            case SenderReport():
                if (entry := self._incoming.get(part.ssrc)) is not None:
                    entry[1].reception.receive_sender_report(part.ntp, part.rtp_timestamp, now)
                self._receive_blocks(part.blocks, now)
            case ReceiverReport():
                self._receive_blocks(part.blocks, now)
            case GenericNack():
                if (down_track := self._outgoing.get(part.media_ssrc)) is not None:
                    self.bandwidth.receive_nack(down_track, part.sequences, now)
            case PictureLossIndication():
                self._keyframe_requested(part.media_ssrc)
            case FullIntraRequest():
                for ssrc, _ in part.commands:
                    self._keyframe_requested(ssrc)
            case ReceiverEstimatedMaxBitrate():
                self.bandwidth.receive_remb(part.bitrate_bps, now)
            case Goodbye():
                for ssrc in part.ssrcs:
                    if (entry := self._incoming.pop(ssrc, None)) is not None:
                        entry[0].remove_stream(ssrc)
            case SourceDescription():
                pass  # the section already says whose a stream is
            case Unrecognised():
                self._drops[DropCause.UNKNOWN_FEEDBACK] += 1
            case _:
                assert_never(part)

    def _receive_blocks(self, blocks: tuple[ReportBlock, ...], now: float) -> None:
        for block in blocks:
            if (down_track := self._outgoing.get(block.ssrc)) is None:
                continue
            round_trip = None
            reported, sent_at = self._sent_reports.get(block.ssrc, (0, 0.0))
            if block.last_sender_report and block.last_sender_report == reported:
                round_trip = max(0.0, now - sent_at - block.delay_since / 65536)
            expected = down_track.report_received(block, round_trip_seconds=round_trip, now=now)
            self.bandwidth.receive_losses(down_track, expected, block.fraction_lost / 256, now)

    def _keyframe_requested(self, ssrc: Ssrc) -> None:
        if (down_track := self._outgoing.get(ssrc)) is not None:
            down_track.keyframe_requested()

    def _schedule_report(self, now: float, *, soon: bool = False) -> None:
        """See to it that there is a report as soon as it is needed: one that is due earlier stays."""
        if not self._incoming and not self._outgoing:
            return
        due = now + (FIRST_REPORT_SECONDS if soon else REPORT_INTERVAL_SECONDS)
        if not self._incoming:
            due = max(due, self._next_sender_reports)
        if self._next_report is None or due < self._next_report:
            self._next_report = due
            self._connection.reschedule()

    def _report(self, now: float) -> None:
        """Send what came in of each bound SSRC, and what goes out on each that the publisher has put on a clock."""
        for receiver in self._receivers.values():
            receiver.costs(now)  # so that it is known what layers cost when that first matters
        blocks = [
            block
            for ssrc, (_, stream) in self._incoming.items()
            if (block := stream.reception.report_block(ssrc, now)) is not None
        ]
        for start in range(0, len(blocks), MAX_REPORT_BLOCKS):
            self._send([ReceiverReport(self._feedback_ssrc, tuple(blocks[start : start + MAX_REPORT_BLOCKS]))])
        if now >= self._next_sender_reports:
            self._send_sender_reports(now)

    def _send_sender_reports(self, now: float) -> None:
        """Report on what goes out; soon again if a publisher has not said yet what time its clock shows."""
        is_complete = True
        for ssrc, down_track in self._outgoing.items():
            report = self._sender_report(down_track, now)
            if report is None:
                is_complete &= not down_track.is_sending
                continue
            self._sent_reports[ssrc] = (compact_ntp(report.ntp), now)
            self._send([report, SourceDescription(((ssrc, self._cnames[ssrc]),))])
        self._next_sender_reports = now + (SENDER_REPORT_INTERVAL_SECONDS if is_complete else REPORT_INTERVAL_SECONDS)

    def _sender_report(self, down_track: DownTrack, now: float) -> SenderReport | None:
        """Put the stream on its publisher's wall clock, by the publisher's own sender report.

        The publisher's NTP times are passed on as they are: what binds its audio to its video is that both are on one
        clock, and not which one.
        """
        row = down_track.row
        clock = down_track.sender_clock()
        if clock is None or not row.packets:
            return None
        elapsed = now - clock.arrived_at
        timestamp = clock.timestamp + int(elapsed * down_track.source.clock_rate) + row.timestamp_offset
        ntp = (clock.ntp + int(elapsed * (1 << 32))) & 0xFFFF_FFFF_FFFF_FFFF
        return SenderReport(row.ssrc, ntp, timestamp & 0xFFFF_FFFF, row.packets & 0xFFFF_FFFF, row.octets & 0xFFFF_FFFF)

    def _send(self, packets: Sequence[RtcpPacket]) -> None:
        self._connection.send_rtcp(serialize_compound(packets))
