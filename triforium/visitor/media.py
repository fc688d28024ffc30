"""The RTP and RTCP of one of a visitor's connections: what it sends, what it receives, and what is reported of both."""

from collections.abc import Callable, Iterable
from typing import Final, assert_never

import trio

from rtp.arrivals import ArrivalLog
from rtp.errors import DecodeError
from rtp.extensions import find_extension
from rtp.packet import RtpHeader, parse_header
from rtp.rtcp.compound import RtcpPacket, parse_compound, serialize_compound
from rtp.rtcp.goodbye import Goodbye
from rtp.rtcp.key_frame_request import FullIntraRequest, PictureLossIndication
from rtp.rtcp.nack import GenericNack
from rtp.rtcp.remb import ReceiverEstimatedMaxBitrate
from rtp.rtcp.reports import ReceiverReport, ReportBlock, SenderReport
from rtp.rtcp.source_description import SourceDescription
from rtp.timers import earliest, is_due
from rtp.units import Ssrc
from sfu.transport.connection import PeerConnection
from triforium.visitor.feedback import PLENTY_BPS, REMB_SECONDS, BandwidthFeedback, ReceiverEstimator
from triforium.visitor.receiving import ReceivedTrack
from triforium.visitor.sending import Sender

REPORT_SECONDS: Final = 1.0
"""Between reports of what was sent and received."""

MAX_STREAMS: Final = 10
"""In each direction: reports on so many, with their names, fit into a datagram."""


class VisitorMedia:
    """All the streams of one connection. A `MediaSink`: its timers are the senders' beats and the reports.

    `tell` is called after each packet of a track. `unexpected_packets` counts RTP on SSRCs that no description named, and
    `malformed` what could not be read.
    """

    def __init__(
        self,
        connection: PeerConnection,
        *,
        ssrc: Ssrc,
        cname: str,
        wall: Callable[[], float],
        tell: Callable[[], None],
        feedback: BandwidthFeedback = BandwidthFeedback.PLENTY,
    ) -> None:
        self.unexpected_packets = 0
        self.malformed = 0
        self._connection = connection
        self._ssrc = ssrc
        self._cname = cname
        self._wall = wall
        self._tell = tell
        self._senders: dict[Ssrc, Sender] = {}
        self._tracks: dict[Ssrc, ReceivedTrack] = {}
        self._repairs: dict[Ssrc, ReceivedTrack] = {}
        self._report_at: float | None = None
        self._feedback = feedback
        self._estimator = ReceiverEstimator()
        self._estimate_at: float | None = None
        self._arrivals = ArrivalLog(ssrc)
        self._timing_id: int | None = None

    def say_goodbye(self, sender: Sender) -> None:
        """Tell the server that nothing more comes of an SSRC for now, as browsers do of a layer that they stop."""
        if sender.packets and self._connection.connected:
            self._send([ReceiverReport(self._ssrc), Goodbye((sender.ssrc,))])

    def add_sender(self, sender: Sender) -> None:
        """Send `sender`'s packets here, as soon as the connection is up."""
        self._senders[sender.ssrc] = sender
        self.transport_changed()

    def remove_sender(self, sender: Sender) -> None:
        """Send them no more."""
        del self._senders[sender.ssrc]

    def expect(self, tracks: dict[Ssrc, ReceivedTrack]) -> None:
        """Learn which tracks come here, and on which SSRCs; what is not in `tracks` is expected no longer."""
        self._tracks = tracks
        self._repairs = {track.rtx_ssrc: track for track in tracks.values() if track.rtx_ssrc is not None}

    def time_by(self, *, transport_cc_id: int | None, abs_send_time_id: int | None) -> None:
        """Learn which header extension tells when packets left: by their numbers, or by time."""
        is_numbered = self._feedback is BandwidthFeedback.TRANSPORT_CC
        self._timing_id = transport_cc_id if is_numbered else abs_send_time_id

    def receive_rtp(self, packet: bytes, now: float) -> None:
        """Take one RTP packet."""
        try:
            header = parse_header(packet)
            if self._timing_id is not None:
                self._note_arrival(packet, header, self._timing_id, now)
            track = self._tracks.get(header.ssrc) or self._repairs.get(header.ssrc)
            if track is None:
                self.unexpected_packets += 1
                return
            track.receive(packet, header, now)
            if track.next_timeout() is not None:
                self._connection.reschedule()
            if track.wants_key_frame(now):
                self._send([PictureLossIndication(self._ssrc, track.ssrc)])
            self._tell()
        except DecodeError:
            self.malformed += 1

    def receive_rtcp(self, packet: bytes, now: float) -> None:
        """Take one RTCP compound."""
        try:
            parts = parse_compound(packet)
        except DecodeError:
            self.malformed += 1
            return
        for part in parts:
            self._receive_part(part, now)

    def transport_changed(self) -> None:
        """Begin to send when the connection is up."""
        if self._connection.connected:
            now = trio.current_time()
            for sender in self._senders.values():
                sender.start(now)
            if self._report_at is None:
                self._report_at = now + REPORT_SECONDS
            self._connection.reschedule()

    def next_timeout(self) -> float | None:
        """Return when the next packet or report is due."""
        if not self._connection.connected:
            return None
        timeouts = [sender.next_timeout() for sender in self._senders.values()]
        timeouts += [track.next_timeout() for track in self._tracks.values()]
        timeouts += [self._report_at, self._estimate_at, self._arrivals.next_timeout()]
        return earliest(*timeouts)

    def handle_timeout(self, now: float) -> None:
        """Send what is due."""
        if not self._connection.connected:
            return
        for sender in self._senders.values():
            self._send_packets(sender.take(now))
        for track in self._tracks.values():
            if missing := track.take_missing(now):
                self._send([GenericNack(self._ssrc, track.ssrc, missing)])
        if is_due(self._arrivals.next_timeout(), now):
            self._tell_arrivals(now)
        if is_due(self._estimate_at, now):
            self._estimate_at = now + REMB_SECONDS
            self._tell_estimate(now)
        if is_due(self._report_at, now):
            self._report_at = now + REPORT_SECONDS
            if self._senders or self._tracks:  # libwebrtc sends no RTCP either while it has no streams
                self._report(now)

    def _note_arrival(self, packet: bytes, header: RtpHeader, identifier: int, now: float) -> None:
        timing = find_extension(packet, header, identifier)
        if timing is None:
            return
        number = int.from_bytes(timing)
        match self._feedback:
            case BandwidthFeedback.TRANSPORT_CC:
                self._arrivals.note(number, header.ssrc, now)
                if self._arrivals.is_due(now):
                    self._tell_arrivals(now)
            case BandwidthFeedback.REMB:
                self._estimator.receive(number, len(packet), now)
                if self._estimate_at is None:
                    self._estimate_at = now + REMB_SECONDS
            case BandwidthFeedback.PLENTY:
                return
            case _:
                assert_never(self._feedback)
        self._connection.reschedule()

    def _tell_arrivals(self, now: float) -> None:
        self._send(self._arrivals.take(now))  # alone (RFC 5506), as recorded from Chromium 156

    def _tell_estimate(self, now: float) -> None:
        estimate = self._estimator.take(now)
        if estimate is not None:
            remb = ReceiverEstimatedMaxBitrate(self._ssrc, estimate, tuple(self._tracks)[:MAX_STREAMS])
            self._send([ReceiverReport(self._ssrc), remb])

    def _report(self, now: float) -> None:
        """Send what goes out and what comes in, in as many packets as there are streams for."""
        wall = self._wall()
        sent = [report for sender in self._senders.values() if (report := sender.report(now, wall)) is not None]
        blocks = [block for track in self._tracks.values() if (block := track.report_block(now)) is not None]
        for at in range(0, max(len(sent), len(blocks), 1), MAX_STREAMS):
            self._report_on(sent[at : at + MAX_STREAMS], blocks[at : at + MAX_STREAMS])

    def _report_on(self, sent: list[SenderReport], blocks: list[ReportBlock]) -> None:
        packets: list[RtcpPacket] = [*sent]
        if blocks or not sent:
            packets.append(ReceiverReport(self._ssrc, tuple(blocks)))
        names = tuple((report.ssrc, self._cname) for report in sent) or ((self._ssrc, self._cname),)
        packets.append(SourceDescription(names))
        if blocks and self._feedback is BandwidthFeedback.PLENTY:
            packets.append(ReceiverEstimatedMaxBitrate(self._ssrc, PLENTY_BPS, tuple(block.ssrc for block in blocks)))
        self._send(packets)

    def _receive_part(self, part: RtcpPacket, now: float) -> None:
        match part:
            case SenderReport():
                track = self._tracks.get(part.ssrc)
                if track is not None:
                    track.receive_sender_report(part.ntp, part.rtp_timestamp, now)
                self._receive_blocks(part.blocks)
            case ReceiverReport():
                self._receive_blocks(part.blocks)
            case PictureLossIndication():
                self._request_key_frames([part.media_ssrc])
            case GenericNack():
                if part.media_ssrc in self._senders:
                    self._send_packets(self._senders[part.media_ssrc].resend(part.sequences, now))
            case FullIntraRequest():
                self._request_key_frames(ssrc for ssrc, _ in part.commands)
            case _:
                pass  # goodbyes, names and estimates change nothing for us

    def _receive_blocks(self, blocks: Iterable[ReportBlock]) -> None:
        for block in blocks:
            if block.ssrc in self._senders:
                self._senders[block.ssrc].reported()

    def _request_key_frames(self, ssrcs: Iterable[Ssrc]) -> None:
        for ssrc in ssrcs:
            if ssrc in self._senders:
                self._senders[ssrc].request_key_frame()

    def _send_packets(self, packets: Iterable[bytes]) -> None:
        srtp, path = self._connection.transport.srtp, self._connection.selected
        if srtp is not None and path is not None:
            for packet in packets:
                self._connection.endpoint.queue(srtp.protect(packet), path)

    def _send(self, packets: Iterable[RtcpPacket]) -> None:
        self._connection.send_rtcp(serialize_compound(packets))
