"""One published track on its way to one subscriber: the decisions about its row."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from rtp.nack import DEFAULT_ROUND_TRIP_SECONDS
from rtp.reception import SenderClock
from rtp.rtcp.reports import ReportBlock
from rtp.sdp.codecs import MediaKind
from rtp.units import Ssrc
from sfu.media.allocator import Demand
from sfu.media.fanout import NO_EPOCH, NO_LAYER, PacketFacts, Row
from sfu.media.ladder import LayerCost, Level, Rung, ladder
from sfu.media.layers import TrackLayers
from sfu.media.packet_numbers import PacketNumbers
from sfu.media.playout import PlayoutDelayWriter
from sfu.media.quality import Counts
from sfu.media.repairing import Repair
from sfu.media.resending import ResendStatistics
from sfu.media.selecting import NO_LIMIT, LayerLimit
from sfu.media.simulcast import DEFAULT_WISH, Wish, target_layer, wished_layer, wished_limit
from sfu.media.splicing import StreamSplicer
from sfu.media.totals import Totals
from sfu.media.vp8_munger import Vp8Munger
from sfu.settings import PlayoutDelay
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
    IDLE = auto()
    """There is no track to send just now."""
    BANDWIDTH = auto()
    """The subscriber's connection cannot carry it beside what is more important."""
    CLOSED = auto()
    """It is over."""


SCREEN_SHARE_PRIORITY: Final = 1
"""Of a screen that is shared, over cameras, where the subscriber has not said what matters to it."""

_UNREACHABLE: Final = frozenset({Pause.UNBOUND, Pause.DISCONNECTED, Pause.CLOSED})
"""With none of these, what was sent can be sent again."""

_UNWANTED: Final = frozenset({Pause.UNBOUND, Pause.DISABLED, Pause.IDLE, Pause.CLOSED})
"""With none of these, the subscriber would like to see something: that it cannot just now is no wish of its."""


class Source(Protocol):
    """What a down track asks of what it is fed by."""

    kind: MediaKind
    clock_rate: int
    layers: TrackLayers

    def attach(self, down_track: "DownTrack") -> None:
        """Send to it from now on."""

    def detach(self, down_track: "DownTrack") -> None:
        """Send to it no more."""

    def request_keyframe(self, layer: int) -> bool:
        """Ask the publisher for a place to start in this layer; return whether there is one to wait for."""

    def find(self, epoch: int, sequence: int) -> tuple[bytes, PacketFacts] | None:
        """Return the packet that was forwarded under this number of this epoch, if it is still kept."""

    def sender_clock(self, epoch: int) -> SenderClock | None:
        """Return the publisher's last word on the clock of the source that is called so."""

    def demand_changed(self) -> None:
        """A down track may want more of it now, or less: `wanted_layer` says."""

    def costs(self, now: float) -> Mapping[int, LayerCost]:
        """Return what each layer that comes in costs to send on, where that is known."""


class Limiter(Protocol):
    """Who shares the subscriber's bandwidth among its tracks."""

    def wake(self) -> None:
        """A track may need more of it now, or less."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """Why a track gets what it gets: what it was allowed last, of what there was, and of how much.

    `level` is the best that may be sent, None: nothing. `ladder` is what it might have been, and `budget_bps` was to be
    shared among all videos of the connection.
    """

    level: Level | None
    ladder: tuple[Rung, ...]
    budget_bps: int


@dataclass(frozen=True, slots=True)
class DownTrackStatistics:
    """What went out, and what the subscriber says of it (RFC 3550 §6.4.1); `round_trip_seconds` if known.

    `refused` came too late to be encrypted. `paused` names all reasons to send nothing. `layer` is what is being sent,
    None if nothing is; `wished` is the best that the subscriber would like to see, and `allowance` what its bandwidth was
    found to be worth, None as long as that shows no limit. `resends` are answers to NACKs, which are counted nowhere else.
    """

    packets: int
    octets: int
    refused: int
    paused: frozenset[str]
    layer: int | None
    wished: int
    allowance: Allowance | None
    packets_lost: int
    jitter: int
    round_trip_seconds: float | None
    resends: ResendStatistics


class DownTrack:
    """Takes the decisions for one (subscriber, published track), and holds the handle on its row.

    What is lost is sent again on `rtx_ssrc` if the subscriber agrees to that, and else in the stream itself. Or one
    track after the other, if it `outlives` them: then it begins with a source that stands for none. With a
    `playout_delay` the subscriber is told of that, if it agrees to it.
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
        outlives: bool = False,
        playout_delay: PlayoutDelay | None = None,
    ) -> None:
        self.ssrc = ssrc
        self.row = Row(self, ssrc)
        self._repair = Repair(self.row, rtx_ssrc, first_sequence=first_rtx_sequence)
        self.source = source
        self._idle = source if outlives else None
        self._connection = connection
        self._playout_delay = playout_delay
        self._playout: PlayoutDelayWriter | None = None
        self._pauses = {Pause.UNBOUND, Pause.DISCONNECTED} | ({Pause.IDLE} if outlives else set())
        self._splicer = StreamSplicer(first_sequence=first_sequence, clock_rate=source.clock_rate)
        self._munger = Vp8Munger()
        self._wish = DEFAULT_WISH
        self._wished = wished_layer(self._wish, source.layers.published)
        self._layer: int | None = None  # what is being sent
        self._allowance: Allowance | None = None
        self.limiter: Limiter | None = None
        self._report: ReportBlock | None = None
        self.reports = 0
        self._round_trip: float | None = None
        source.attach(self)
        self.transport_changed()

    @property
    def rtx_ssrc(self) -> Ssrc | None:
        """What is lost is sent again on this, if the subscriber agrees to it."""
        return self._repair.ssrc

    @property
    def bound(self) -> bool:
        """Whether the subscriber has agreed to the section that carries this."""
        return Pause.UNBOUND not in self._pauses

    @property
    def is_sending(self) -> bool:
        """Whether the subscriber is to get something of it now."""
        return self.row.target != NO_LAYER

    @property
    def level(self) -> Level | None:
        """What the subscriber is to get of it now, as far as its bandwidth goes; None: nothing."""
        if not self.is_sending:
            return None
        target, allowed = self.row.target, None if self._allowance is None else self._allowance.level
        return allowed if allowed is not None and allowed.layer == target else Level(target)

    @property
    def flows(self) -> bool:
        """Whether the subscriber is being sent what came from where it is fed now."""
        return self._layer is not None

    @property
    def wanted_layer(self) -> int | None:
        """The layer that the subscriber would like to see, whatever it can be sent; None: nothing.

        While it is on its way down to that one, it still needs the one that it is on.
        """
        if not self._pauses.isdisjoint(_UNWANTED):
            return None
        return self._wished if self._layer is None else max(self._wished, self._layer)

    @property
    def is_starved(self) -> bool:
        """Whether nothing is sent for want of bandwidth."""
        return Pause.BANDWIDTH in self._pauses

    @property
    def needs_bandwidth(self) -> bool:
        """Whether something is sent, or would be if only there were bandwidth."""
        return not self._pauses - {Pause.BANDWIDTH}

    def bind(
        self,
        *,
        payload_type: int,
        abs_send_time_id: int | None,
        rtx_payload_type: int | None = None,
        numbers: PacketNumbers | None = None,
        descriptor_id: int | None = None,
        playout_delay_id: int | None = None,
        capture_time_id: int | None = None,
    ) -> None:
        """Send with these numbers: the subscriber's description has agreed to them.

        Transport-wide ones are for those who take retransmissions on a stream for that: what is sent again on its own
        SSRC must be what it was to the last byte (RFC 7714 §8.1). And so is the playout delay, which comes and goes.
        """
        self.row.payload_type = payload_type
        self.row.abs_send_time_id = abs_send_time_id
        self.row.numbers = numbers
        self.row.descriptor_id = descriptor_id
        self.row.capture_time_id = capture_time_id
        self._tell_playout(None if rtx_payload_type is None else playout_delay_id)
        self._repair.bind(rtx_payload_type)
        self.set_pause(Pause.UNBOUND, paused=False)

    def transport_changed(self) -> None:
        """Look at the connection again: is it up, and where does it lead?"""
        self.set_pause(Pause.DISCONNECTED, paused=not self._aim())

    def set_pause(self, reason: Pause, *, paused: bool) -> None:
        """Add or take away one reason to send nothing."""
        if paused:
            self._pauses.add(reason)
        else:
            self._pauses.discard(reason)
        self.retarget()
        self._demand_changed()

    def set_wish(self, wish: Wish) -> None:
        """Send the best layer that lives, up to what the subscriber wishes to see."""
        self._wish = wish
        self._wished = wished_layer(wish, self.source.layers.published)
        self.retarget()
        self._demand_changed()

    def layers_measured(self, numbers: Mapping[int, int]) -> None:
        """Look anew at what to send: the source knows more of its layers' sizes, and calls them by these numbers now."""
        if self._layer is not None:
            self._layer = numbers.get(self._layer, self._layer)
        self.set_wish(self._wish)

    def demand(self, now: float) -> Demand | None:
        """Return what of it could be sent, if only there were bandwidth; None: nothing.

        Of layers that come in without being known yet for what they cost, none is on the ladder but the lowest.
        """
        live = self.source.layers.live
        if not self.needs_bandwidth or not live:
            return None
        reach = max(self._wished, min(live))
        costs = {layer: cost for layer, cost in self.source.costs(now).items() if layer in live and layer <= reach}
        if not costs:
            return None
        priority = self._wish.priority or (SCREEN_SHARE_PRIORITY if self.source.layers.is_screen_share else 0)
        return Demand(ladder(costs, self._wished_limit()), priority, self.level)

    def allow(self, allowance: Allowance | None, *, at_once: bool = False) -> None:
        """Send no more than this; None: whatever is wished for.

        What is sent until a key frame of a lower layer comes is worth something only where it gets through: if it has to
        go down `at_once`, nothing is.
        """
        self._allowance = allowance
        is_starved = allowance is not None and allowance.level is None
        if is_starved:
            self._pauses.add(Pause.BANDWIDTH)
        else:
            self._pauses.discard(Pause.BANDWIDTH)
        layer = self._layer
        self.retarget()
        if at_once and layer is not None and self.is_sending and self.row.target < layer:
            self.row.leave()
            self._layer = None

    def pad(self, size: int, now: float) -> int:
        """Send about so many bytes of padding among the retransmissions, to probe for bandwidth; return how many.

        That it lacks bandwidth is no reason not to: else it would never be known that there is some again.
        """
        return self._repair.pad(size, now) if self.needs_bandwidth else 0

    def set_source(self, source: Source | None) -> None:
        """Go on with another track, from a place on where a decoder can start, or with none.

        It may be anybody's, and of another codec: `bind` comes first then. What was sent until now is not sent again.
        """
        next_source = source or self._idle
        assert next_source is not None, "this one ends with its track"
        self.source.detach(self)
        self.source = next_source
        self.row.pause()
        self._layer = None
        self._splicer.forget_source(clock_rate=self.source.clock_rate)
        self._repair.forget()
        self.source.attach(self)
        self.set_wish(self._wish)
        self.set_pause(Pause.IDLE, paused=source is None)

    def source_ended(self) -> None:
        """The track is gone: wait for another, if there can be one."""
        if self._idle is None:
            self.close()
        else:
            self.set_source(None)

    def retarget(self) -> None:
        """Aim the row at the best layer that there is for it, or at nothing; to be called when either may have changed.

        The row is not moved: the layer that it is on goes on until a key frame of the other comes.
        """
        if self._pauses:
            self.row.pause()
            self._layer = None
            return
        layers = self.source.layers
        allowed = self._wished
        if self._allowance is not None and self._allowance.level is not None:
            allowed = min(allowed, self._allowance.level.layer)
        target = target_layer(allowed, layers.live, current=self._layer, is_settling=layers.is_settling)
        self.row.target = target
        self._select()
        if target != self._layer or self._lacks_spatial_layers():
            self.source.request_keyframe(target)

    def enter(self, facts: PacketFacts) -> bool:
        """Go on with another source, or after a pause, at a packet where a decoder can start.

        False: it is behind what was sent. What was being sent goes on, and another place to start is asked for.
        """
        last_epoch = self._splicer.epoch
        splice = self._splicer.splice(
            sequence=facts.sequence,
            timestamp=facts.timestamp,
            epoch=facts.epoch,
            now=facts.arrived_at,
            sent=self.row.sent,
            clock=self.source.sender_clock(facts.epoch),
            last_clock=None if last_epoch is None else self.source.sender_clock(last_epoch),
        )
        if splice is None:
            self.source.request_keyframe(facts.layer)
            return False
        if facts.vp8 is not None:
            self._munger.switch(facts.vp8, self.row.last_vp8)
        self.row.splice(facts, splice.sequence_offset, splice.timestamp_offset, self._munger.offsets)
        self._layer = facts.layer
        self.source.demand_changed()
        self._repair.begin_run(facts.sequence + splice.sequence_offset)
        return True

    def fail(self, error: Exception) -> None:
        """End the subscriber's session: a fault in its row is its own."""
        self._connection.fail(error)

    def keyframe_requested(self) -> None:
        """The subscriber's decoder cannot go on (PLI or FIR)."""
        wanted = self.row.target if self._layer is None else self._layer
        if self.is_sending and self.source.request_keyframe(wanted):
            self._repair.hold()

    def keyframe_came(self) -> None:
        """The source has a key frame, from which the subscriber's decoder can go on if it is on that source."""
        self._repair.release()
        if self._lacks_spatial_layers():  # they begin with the key frame's first packet, which was lost
            self.source.request_keyframe(self.row.target)

    def nack(self, sequences: Iterable[int], now: float) -> int:
        """Send again what the subscriber misses: 16-bit numbers, as sent. Return how many not for the first time."""
        if not self._pauses.isdisjoint(_UNREACHABLE):
            return 0
        return self._repair.resend(
            sequences,
            now=now,
            round_trip_seconds=DEFAULT_ROUND_TRIP_SECONDS if self._round_trip is None else self._round_trip,
            find=self.source.find if self._allowance is None else self._find_current,
        )

    def report_received(self, report: ReportBlock, *, round_trip_seconds: float | None, now: float) -> int:
        """Note what the subscriber says of what it got. Return of how many packets its `fraction_lost` speaks."""
        before, self._report = self._report, report
        self.reports += 1
        if round_trip_seconds is not None:
            self._round_trip = round_trip_seconds
        if self._playout is not None:
            # What moves on a shared screen moves in bursts: its jitter is its own, and not the network's.
            jitter = None if self.source.layers.is_screen_share else report.jitter / self.source.clock_rate
            if self._playout.report_received(report.highest_sequence, jitter, self.row.last_sequence, now):
                self._aim()
        return 0 if before is None else max(0, report.highest_sequence - before.highest_sequence)

    def counts(self) -> Counts | None:
        """Return what the subscriber says of what it got; None before its first report."""
        report = self._report
        if report is None:
            return None
        layers = self.source.layers
        best = target_layer(self._wished, layers.live, current=self._layer, is_settling=layers.is_settling)
        return Counts(
            expected=report.highest_sequence,
            lost=report.packets_lost,
            jitter_seconds=report.jitter / self.source.clock_rate,
            round_trip_seconds=self._round_trip or 0.0,
            missing_layers=0 if self._layer is None else max(0, best - self._layer),
        )

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
            layer=self._layer,
            wished=self._wished,
            allowance=self._allowance,
            packets_lost=self._report.packets_lost if self._report else 0,
            jitter=self._report.jitter if self._report else 0,
            round_trip_seconds=self._round_trip,
            resends=self._repair.statistics(),
        )

    def _aim(self) -> bool:
        """Send where the connection leads, with its keys, and what is to be told just now; return whether it is up."""
        srtp, path = self._connection.transport.srtp, self._connection.selected
        if srtp is None or path is None:
            return False
        protect = srtp.protect if self._playout is None else self._playout.before(srtp.protect)
        self.row.retarget(protect, self._connection.endpoint.outbox(path.local), path.remote)
        return True

    def _tell_playout(self, identifier: int | None) -> None:
        """Tell of the playout delay in this header extension; None: no more."""
        if identifier == (None if self._playout is None else self._playout.identifier):
            return
        if self._playout is not None:
            self._repair.forget()  # it was sent with an extension that is no longer agreed on
        self._playout = None
        if identifier is not None and self._playout_delay is not None:
            self._playout = PlayoutDelayWriter(self._playout_delay, identifier, self.row.last_sequence)
        self._aim()

    def _select(self) -> None:
        """Let through the layers within the source that are wished for, and allowed."""
        wished, level = self._wished_limit(), self.level
        allowed = NO_LIMIT if level is None else level.limit
        limit = LayerLimit(min(wished.spatial, allowed.spatial), min(wished.temporal, allowed.temporal))
        if limit != self.row.limit and self.row.select(limit):
            self._repair.begin_run(self.row.last_sequence + 1)

    def _wished_limit(self) -> LayerLimit:
        layers = self.source.layers
        return wished_limit(self._wish, layers.within, layers.temporal_layers, layers.frame_rate)

    def _lacks_spatial_layers(self) -> bool:
        """Whether more of the source could be sent from its next key frame on."""
        selector = self.row.selector
        return self.row.epoch != NO_EPOCH and selector is not None and selector.spatial < self.row.limit.spatial

    def _find_current(self, epoch: int, sequence: int) -> tuple[bytes, PacketFacts] | None:
        """Find a packet to send again, while there is little bandwidth: of what is being sent, and of nothing else."""
        return self.source.find(epoch, sequence) if epoch == self.row.epoch else None

    def _demand_changed(self) -> None:
        self.source.demand_changed()
        if self.limiter is not None:
            self.limiter.wake()


def for_each_down_track(down_tracks: Iterable[DownTrack], step: Callable[[DownTrack], None]) -> None:
    """Do something to each; a fault in one's turn ends its subscriber, and not whoever caused the step."""
    for down_track in list(down_tracks):
        try:
            step(down_track)
        except Exception as error:  # noqa: BLE001 - the fence round each row: a subscriber's fault is its own
            down_track.fail(error)
