"""One published track on its way to one subscriber: the decisions about its row."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from rtp.nack import DEFAULT_ROUND_TRIP_SECONDS
from rtp.reception import SenderClock
from rtp.rtcp.reports import ReportBlock
from rtp.srtp import SrtpSendError
from rtp.units import Ssrc
from sfu.media.fanout import NO_EPOCH, NO_LAYER, PacketFacts, Row
from sfu.media.forwarder import SequenceSplicer
from sfu.media.resending import Resend, Resender, ResendStatistics, Run
from sfu.media.totals import Totals
from sfu.transport.connection import PeerConnection


class Pause(Enum):
    """Why nothing is sent, though the track is subscribed."""

    UNBOUND = auto()
    """The subscriber has not agreed to its section yet."""
    DISCONNECTED = auto()
    """The subscriber's connection is not up."""
    MUTED = auto()
    """The publisher has muted the track."""
    DISABLED = auto()
    """The subscriber does not want it now."""
    CLOSED = auto()
    """It is over."""


_UNREACHABLE: Final = frozenset({Pause.UNBOUND, Pause.DISCONNECTED, Pause.CLOSED})
"""With none of these, what was sent can be sent again."""


class Source(Protocol):
    """What a down track asks of what it is fed by."""

    clock_rate: int

    @property
    def chosen_layer(self) -> int | None:
        """The layer that subscribers get; None until it is chosen."""

    def attach(self, down_track: "DownTrack") -> None:
        """Send to it from now on."""

    def detach(self, down_track: "DownTrack") -> None:
        """Send to it no more."""

    def request_keyframe(self) -> bool:
        """Ask the publisher for a place to start; return whether there is one to wait for."""

    def find(self, epoch: int, sequence: int) -> tuple[bytes, PacketFacts] | None:
        """Return the packet that was forwarded under this number of this epoch, if it is still kept."""

    def sender_clock(self, epoch: int) -> SenderClock | None:
        """Return the publisher's last word on the clock of the source that is called so."""


@dataclass(frozen=True, slots=True)
class DownTrackStatistics:
    """What went out, and what the subscriber says of it (RFC 3550 §6.4.1); `round_trip_seconds` if known.

    `refused` came too late to be encrypted. `paused` names all reasons to send nothing. `resends` are answers to NACKs,
    which are counted nowhere else.
    """

    packets: int
    octets: int
    refused: int
    paused: frozenset[str]
    packets_lost: int
    jitter: int
    round_trip_seconds: float | None
    resends: ResendStatistics


class DownTrack:
    """Takes the decisions for one (subscriber, published track), and holds the handle on its row.

    What is lost is sent again on `rtx_ssrc` if the subscriber agrees to that, and else in the stream itself.
    """

    def __init__(
        self,
        source: Source,
        connection: PeerConnection,
        ssrc: Ssrc,
        *,
        first_sequence: int,
        rtx_ssrc: Ssrc | None = None,
        first_rtx_sequence: int = 0,
    ) -> None:
        assert first_rtx_sequence < 1 << 15, "a receiver that joins after a wrap cannot guess the roll-over counter"
        self.ssrc = ssrc
        self.rtx_ssrc = rtx_ssrc
        self.row = Row(self, ssrc)
        self.source = source
        self._connection = connection
        self._pauses = {Pause.UNBOUND, Pause.DISCONNECTED}
        self._splicer = SequenceSplicer(first_sequence=first_sequence, clock_rate=source.clock_rate)
        self._report: ReportBlock | None = None
        self._round_trip: float | None = None
        self._resender: Resender[PacketFacts] = Resender()
        self._rtx_payload_type: int | None = None
        self._rtx_sequence = first_rtx_sequence
        source.attach(self)
        self.transport_changed()

    @property
    def bound(self) -> bool:
        """Whether the subscriber has agreed to the section that carries this."""
        return Pause.UNBOUND not in self._pauses

    @property
    def is_sending(self) -> bool:
        """Whether the subscriber is to get something of it now."""
        return self.row.target != NO_LAYER

    def bind(self, *, payload_type: int, abs_send_time_id: int | None, rtx_payload_type: int | None = None) -> None:
        """Send with these numbers: the subscriber's description has agreed to them."""
        self.row.payload_type = payload_type
        self.row.abs_send_time_id = abs_send_time_id
        self._rtx_payload_type = rtx_payload_type
        self.set_pause(Pause.UNBOUND, paused=False)

    def transport_changed(self) -> None:
        """Look at the connection again: is it up, and where does it lead?"""
        srtp, path = self._connection.transport.srtp, self._connection.selected
        if srtp is not None and path is not None:
            self.row.retarget(srtp.protect, self._connection.endpoint.outbox(path.local), path.remote)
        self.set_pause(Pause.DISCONNECTED, paused=srtp is None or path is None)

    def set_pause(self, reason: Pause, *, paused: bool) -> None:
        """Add or take away one reason to send nothing."""
        if paused:
            self._pauses.add(reason)
        else:
            self._pauses.discard(reason)
        self.retarget()

    def retarget(self) -> None:
        """Aim the row at the source's layer, or at nothing."""
        chosen = self.source.chosen_layer
        target = NO_LAYER if self._pauses or chosen is None else chosen
        if self.row.target == target:
            return
        if target == NO_LAYER:
            self.row.pause()
        else:
            self.row.target = target
            self.source.request_keyframe()

    def enter(self, facts: PacketFacts) -> None:
        """Go on with another source, or after a pause, at a packet where a decoder can start."""
        splice = self._splicer.splice(
            sequence=facts.sequence,
            timestamp=facts.timestamp,
            epoch=facts.epoch,
            now=facts.arrived_at,
            sent=self.row.sent,
        )
        self.row.splice(facts, splice.sequence_offset, splice.timestamp_offset)
        self._resender.begin(
            Run(
                facts.sequence + splice.sequence_offset,
                facts.epoch,
                splice.sequence_offset,
                splice.timestamp_offset,
                self.row.payload_type,
                self.row.abs_send_time_id,
            )
        )

    def fail(self, error: Exception) -> None:
        """End the subscriber's session: a fault in its row is its own."""
        self._connection.fail(error)

    def keyframe_requested(self) -> None:
        """The subscriber's decoder cannot go on (PLI or FIR)."""
        if self.is_sending and self.source.request_keyframe():
            self._resender.hold()

    def keyframe_came(self) -> None:
        """The source has a key frame, from which the subscriber's decoder can go on if it is on that source."""
        self._resender.release()

    def nack(self, sequences: Iterable[int], now: float) -> None:
        """Send again what the subscriber misses: 16-bit numbers, as sent."""
        if not self._pauses.isdisjoint(_UNREACHABLE):
            return
        for resend in self._resender.answer(
            sequences,
            highest=self.row.last_sequence,
            now=now,
            round_trip_seconds=DEFAULT_ROUND_TRIP_SECONDS if self._round_trip is None else self._round_trip,
            find=self.source.find,
        ):
            self._send_again(resend, now)

    def report_received(self, report: ReportBlock, *, round_trip_seconds: float | None) -> None:
        """Note what the subscriber says of what it got."""
        self._report = report
        if round_trip_seconds is not None:
            self._round_trip = round_trip_seconds

    def sender_clock(self) -> SenderClock | None:
        """Return the publisher's last word on the clock of what is being sent; None while nothing is."""
        return self.source.sender_clock(self.row.epoch) if self.row.epoch != NO_EPOCH else None

    def close(self) -> None:
        """Send no more, for good, and let the connection's keys forget the SSRC. Idempotent."""
        self.source.detach(self)
        self.set_pause(Pause.CLOSED, paused=True)
        if self._connection.transport.srtp is not None:
            self._connection.transport.srtp.remove_stream(self.ssrc)
            if self.rtx_ssrc is not None:
                self._connection.transport.srtp.remove_stream(self.rtx_ssrc)

    def totals(self) -> Totals:
        """Return what went out, and how much of it the subscriber says was lost."""
        return Totals(self.row.packets, self.row.octets, self._report.packets_lost if self._report else 0)

    def statistics(self) -> DownTrackStatistics:
        """Return counts so far."""
        return DownTrackStatistics(
            packets=self.row.packets,
            octets=self.row.octets,
            refused=self.row.refused,
            paused=frozenset(pause.name for pause in self._pauses),
            packets_lost=self._report.packets_lost if self._report else 0,
            jitter=self._report.jitter if self._report else 0,
            round_trip_seconds=self._round_trip,
            resends=self._resender.statistics(),
        )

    def _send_again(self, resend: Resend[PacketFacts], now: float) -> None:
        protect, queue = self.row.protect, self.row.queue
        assert protect is not None, "the connection is up"
        assert queue is not None, "and leads somewhere"
        if self.rtx_ssrc is None or self._rtx_payload_type is None:
            packet = resend.serialize(self.ssrc)
        else:
            packet = resend.serialize_rtx(
                self.rtx_ssrc, payload_type=self._rtx_payload_type, sequence=self._rtx_sequence, now=now
            )
            self._rtx_sequence += 1
        try:
            queue((protect(packet), self.row.remote))
        except SrtpSendError:
            self.row.refused += 1  # overtaken by more packets than SRTP keeps books on
