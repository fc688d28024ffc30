"""What one subscriber's connection can carry, and which of its videos gets how much of that.

Theory of operation. An estimator learns what the connection carries: by transport-wide feedback where the client agreed
to that, and else by the client's own estimate (REMB). As long as nothing has shown a limit everybody gets what it wishes
for. From then on the budget is shared (`allocator`): at once when it falls, now and then when it grows, or when what
layers cost has changed. While the connection is congested nobody climbs. While somebody lacks something padding is sent
every now and then, to learn whether there is room for more. What was lost is sent again no faster than is known to get
through.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import trio

from rtp.bandwidth.estimate import Estimate
from rtp.bandwidth.pacer import RepairPacer
from rtp.bandwidth.prober import Prober, ProberStatistics
from rtp.bandwidth.remote import RemoteEstimator, RemoteStatistics
from rtp.bandwidth.send_side import SendSideEstimator, SendSideStatistics
from rtp.rtcp.transport_cc import TransportCcFeedback
from rtp.sdp.codecs import MediaKind
from rtp.timers import earliest, is_due
from sfu.media.allocator import Demand, allocate, next_step_bps
from sfu.media.downtrack import Allowance, DownTrack
from sfu.media.ladder import Rung
from sfu.media.packet_numbers import PacketNumbers
from sfu.settings import CongestionSettings

STABLE_SECONDS: Final = 1.0
"""Between two looks at what layers cost, while everybody has what it wishes for."""

DEFICIENT_SECONDS: Final = 0.2
"""The same while somebody lacks something."""

REMOTE_REPAIR: Final = 1.5
"""How many times the subscriber's own estimate is sent, repairs included: whether it asks for them again tells whether
the estimate is too high (`RemoteEstimator`), so they must not wait long."""

CONGESTED_REPAIR: Final = 0.8
"""What share of the estimate is sent with repairs while a queue stands: else they alone keep it standing, and what waits
in it is asked for again."""


@dataclass(frozen=True, slots=True)
class BandwidthStatistics:
    """What the connection is believed to carry, by whose word, and what was done to find out.

    `ignored_requests` are for packets, while too many waited to be sent again.
    """

    budget_bps: int | None
    estimator: SendSideStatistics | RemoteStatistics
    prober: ProberStatistics
    ignored_requests: int


class BandwidthController:
    """Shares one connection among its down tracks. Times are monotonic seconds.

    `down_tracks` are all of them, audio too, which is neither counted nor limited. `changed` is called when something is
    due earlier than before. `pauses_changed`, if set, is called when a track was paused for want of bandwidth, or is no
    longer. `may_pause` says whether one may be.
    """

    def __init__(
        self,
        settings: CongestionSettings,
        down_tracks: Callable[[], Iterable[DownTrack]],
        changed: Callable[[], None],
    ) -> None:
        self.pauses_changed: Callable[[], None] = lambda: None
        self.may_pause = settings.may_pause
        self._settings = settings
        self._down_tracks = down_tracks
        self._changed = changed
        self._estimator: RemoteEstimator | SendSideEstimator = RemoteEstimator()
        self._numbers: PacketNumbers | None = None
        self._prober = Prober()
        self._pacer = RepairPacer[tuple[DownTrack, int]]()
        self._forced_bps: int | None = None
        self._budget_bps: int | None = None
        self._next_look: float | None = None

    def begin(self, down_track: DownTrack) -> None:
        """Let a new video have its share."""
        if self._settings.enabled and down_track.source.kind is MediaKind.VIDEO:
            down_track.limiter = self
            self.wake()

    def numbers(self, identifier: int) -> PacketNumbers | None:
        """Return what gives packets transport-wide numbers, in the extension `identifier`: the peer tells what arrives."""
        if not self._settings.enabled:
            return None
        if not isinstance(self._estimator, SendSideEstimator):
            self._estimator = SendSideEstimator()
            self._numbers = PacketNumbers(identifier, self._estimator.sent)
        return self._numbers

    def counter(self) -> Callable[[int, float], None] | None:
        """Return what is to be told of each packet without a number; None: nobody wants to know."""
        return None if self._remote is None else self._remote.count_sent

    def wake(self) -> None:
        """Look anew soon: what somebody needs has changed."""
        self._next_look = trio.current_time()
        self._changed()

    def force(self, bitrate_bps: int | None) -> None:
        """Believe that the connection carries just this; None: believe the estimator again."""
        self._forced_bps = bitrate_bps
        self.wake()

    def receive_feedback(self, feedback: TransportCcFeedback, now: float) -> None:
        """Take the subscriber's word on which packets came, and when."""
        if isinstance(self._estimator, SendSideEstimator) and self._estimator.receive_feedback(feedback, now):
            self._estimate_changed(now)

    def receive_remb(self, bitrate_bps: int, now: float) -> None:
        """Take the subscriber's own estimate."""
        remote = self._remote
        if remote is not None and remote.receive_remb(bitrate_bps, now):
            self._estimate_changed(now)

    def receive_losses(self, down_track: DownTrack, expected: int, share: float, now: float) -> None:
        """Take the subscriber's report on one stream: what share of `expected` packets was lost."""
        remote = self._remote
        if remote is not None and down_track.limiter is self and remote.receive_losses(expected, share, now):
            self._estimate_changed(now)

    def receive_nack(self, down_track: DownTrack, sequences: Sequence[int], now: float) -> None:
        """Have sent again what the subscriber misses, 16-bit numbers: at once, or of video as fast as can be carried."""
        if down_track.limiter is self and self._budget_bps is not None:
            self._pacer.add(((down_track, sequence) for sequence in sequences), now)
            self._repair(now)
            self._changed()
        else:
            self._answer(down_track, sequences, now)

    def next_timeout(self) -> float | None:
        """Say when to look at what layers cost, or to send padding, or again what was lost."""
        pacing = self._prober.next_timeout(), self._pacer.next_timeout()
        return earliest(self._next_look, self._estimator.next_timeout(), *pacing)

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        if is_due(self._estimator.next_timeout(), now) and self._estimator.handle_timeout(now):
            self._estimate_changed(now)
        if is_due(self._next_look, now):
            self._share(now)
        self._repair(now)
        for pad in self._prober.handle_timeout(now, self._estimator.sent_bytes):
            self._pad(pad.size, now)

    def statistics(self) -> BandwidthStatistics:
        """Return what is believed now."""
        return BandwidthStatistics(
            self._budget_bps, self._estimator.statistics(), self._prober.statistics(), self._pacer.overflows
        )

    @property
    def sent_bytes(self) -> int:
        """How much video, padding and retransmissions were sent, if anybody estimates by it."""
        return self._estimator.sent_bytes

    @property
    def _remote(self) -> RemoteEstimator | None:
        """What goes by the subscriber's own estimate, if that is all there is, and it is heeded."""
        estimator = self._estimator
        return estimator if self._settings.enabled and isinstance(estimator, RemoteEstimator) else None

    @property
    def _estimate(self) -> Estimate:
        return self._estimator.estimate if self._forced_bps is None else Estimate(self._forced_bps)

    def _estimate_changed(self, now: float) -> None:
        """Share a budget that is less than what was shared out at once; one that is more can wait for the next look."""
        estimate = self._estimate
        self._prober.receive_estimate(estimate, now)
        if estimate.bitrate_bps is not None and (self._budget_bps is None or estimate.bitrate_bps < self._budget_bps):
            self._share(now)
        self._changed()

    def _share(self, now: float) -> None:
        videos = [each for each in self._down_tracks() if each.limiter is self and each.needs_bandwidth]
        demands = [(each, demand) for each in videos if (demand := each.demand(now)) is not None]
        estimate = self._estimate
        budget = self._budget_bps = estimate.bitrate_bps
        self._pacer.limit(None if budget is None else int(self._repair_share(estimate) * budget))
        was_starved = [down_track.is_starved for down_track, _ in demands]
        if budget is None:
            for down_track, _ in demands:
                down_track.allow(None)
        else:
            self._allot(demands, budget, is_congested=estimate.is_congested, now=now)
        self._next_look = None
        if budget is not None and videos:  # of which some may become known only now for what they cost
            is_deficient = any(_lacks(each, demand) for each, demand in demands)
            self._next_look = now + (DEFICIENT_SECONDS if is_deficient else STABLE_SECONDS)
        if was_starved != [down_track.is_starved for down_track, _ in demands]:
            self.pauses_changed()

    def _allot(self, demands: list[tuple[DownTrack, Demand]], budget: int, *, is_congested: bool, now: float) -> None:
        wanted = [demand for _, demand in demands]
        asked = [_without_climbing(demand) for demand in wanted] if is_congested else wanted
        rungs = allocate(asked, budget, may_pause=self.may_pause)
        for (down_track, demand), rung in zip(demands, rungs, strict=True):
            allowance = Allowance(None if rung is None else rung.level, demand.ladder, budget)
            down_track.allow(allowance, at_once=is_congested)
        self._prober.want(None if self._forced_bps is not None else next_step_bps(wanted, rungs), now)

    def _repair_share(self, estimate: Estimate) -> float:
        if self._remote is not None:
            return REMOTE_REPAIR
        return CONGESTED_REPAIR if estimate.is_congested else 1.0

    def _repair(self, now: float) -> None:
        """Send again what is due, of what somebody misses."""
        while (request := self._pacer.take(now, self._estimator.sent_bytes)) is not None:
            down_track, sequence = request
            self._answer(down_track, (sequence,), now)

    def _answer(self, down_track: DownTrack, sequences: Sequence[int], now: float) -> None:
        """Send again what the subscriber misses, and note what of its video it has missed even so."""
        repeated, remote = down_track.nack(sequences, now), self._remote
        # Audio is not counted as sent: what is asked for of it would be a share of nothing.
        if remote is not None and down_track.limiter is self and remote.count_nacks(repeated, now):
            self._estimate_changed(now)

    def _pad(self, size: int, now: float) -> None:
        for down_track in self._down_tracks():
            if down_track.limiter is self and down_track.pad(size, now):
                return


def _lacks(down_track: DownTrack, demand: Demand) -> bool:
    level = down_track.level
    return level is None or level < demand.ladder[-1].level


def _without_climbing(demand: Demand) -> Demand:
    """Leave nothing above what is sent now, or the lowest rung if nothing is."""
    current = demand.current
    kept: tuple[Rung, ...] = () if current is None else tuple(each for each in demand.ladder if each.level <= current)
    return replace(demand, ladder=kept or demand.ladder[:1])
