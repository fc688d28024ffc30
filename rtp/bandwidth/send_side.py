"""What a path can carry, by the receiver's transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).

Theory of operation. Only what has been seen counts. What arrived is what the path carries at least, so the estimate never
is less than the delivery rate of a path without a queue, and grows by nothing else: media, or padding sent to probe. It
falls when a standing queue grows, when more is lost than chance explains, and while feedback stays away: to what the path
delivered meanwhile, less a margin in which the queue drains. A sender with little to send so keeps its estimate.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from rtp.bandwidth.arrival_groups import ArrivalGroups
from rtp.bandwidth.estimate import MIN_BITRATE_BPS, Estimate
from rtp.bandwidth.losses import Losses
from rtp.bandwidth.sent_packets import SentPackets
from rtp.rtcp.transport_cc import REFERENCE_TICKS, TransportCcFeedback
from rtp.serial import unwrap

MARGIN: Final = 0.95
"""What of an overloaded path's rate is used, so that its queue drains."""

SILENCE_SECONDS: Final = 0.75
"""For so long feedback may stay away while packets are sent: it comes ten times as often."""

LOSING_SECONDS: Final = 2.0
"""From losses that were too many to when they no longer count, if too little is sent to tell whether they go on."""

ROUND_TRIP_WEIGHT: Final = 0.25
"""Of the newest measurement."""


class FeedbackDrop(Enum):
    """Why something that feedback said was not heeded."""

    UNKNOWN = auto()  # about a packet that was never sent, or is long forgotten
    REPEATED = auto()  # about a packet of whose arrival we knew


@dataclass(frozen=True, slots=True)
class SendSideStatistics:
    """Counts so far, in packets, and what is believed now.

    `lost` packets were told of as missing, and not as received after that.
    """

    estimate: Estimate
    delivered_bps: int | None
    round_trip_seconds: float | None
    sent: int
    received: int
    lost: int
    drops: dict[FeedbackDrop, int]


class SendSideEstimator:
    """Estimates one path. `now` is in seconds on one monotonic clock, sizes are bytes of RTP packets."""

    def __init__(self) -> None:
        self.estimate = Estimate()
        """What the path can carry, now."""
        self.round_trip_seconds: float | None = None
        """From a packet to the feedback that tells of it; None before the first."""
        self._packets = SentPackets()
        self.sent = self._packets.add
        """Count a packet: see `SentPackets.add`."""
        self._reference: int | None = None
        self._quiet_until: float | None = None  # feedback should have come by then; None before the first
        self._given_up = 0  # packets that were sent when it stayed away last
        self._heard_of = 0  # packets that were sent when feedback came last
        self._is_overloaded = self._is_losing = self._is_silent = False
        self._groups = ArrivalGroups()
        self._losses = Losses()
        self._lost_at = 0.0  # when too much was found to be lost
        self._losses_from = 0  # the number from which on losses count: those before it have been acted upon
        self._told_of = 0  # the number after the last that feedback spoke of
        self._unknown = 0  # packets that feedback spoke of

    @property
    def sent_bytes(self) -> int:
        """Of all packets so far."""
        return self._packets.bytes

    def receive_feedback(self, feedback: TransportCcFeedback, now: float) -> bool:
        """Learn what became of packets. Returns True if the estimate has changed."""
        self._quiet_until = now + SILENCE_SECONDS
        self._heard_of = self._packets.next
        self._is_silent = False
        received, lost = self._read(feedback, now)
        has_queue = self._groups.has_queue()
        if received or lost:
            self._losses.add(received, lost, now, has_queue=has_queue)
        return self._judge(now, has_queue=has_queue)

    def next_timeout(self) -> float | None:
        """Say when `handle_timeout` may find that feedback stays away."""
        return self._quiet_until

    def handle_timeout(self, now: float) -> bool:
        """See whether feedback stays away. Returns True if the estimate has changed."""
        if self._quiet_until is None or now < self._quiet_until:
            return False
        self._quiet_until = now + SILENCE_SECONDS
        packets = self._packets
        if packets.next in {self._heard_of, self._given_up}:
            # Nothing was sent that could be told of, and all that was sent before it has gone its way.
            self._is_overloaded = self._is_losing = self._is_silent = False
            return self._set(self.estimate.bitrate_bps)
        if self._heard_of >= packets.oldest:
            overdue = packets.times[self._heard_of - packets.start] + SILENCE_SECONDS
            if now < overdue:
                self._quiet_until = overdue
                return False
        self._is_silent = True
        self._losses_from = self._given_up = packets.next
        bitrate = self.estimate.bitrate_bps or self._groups.rate()
        return self._set(None if bitrate is None else max(MIN_BITRATE_BPS, bitrate // 2))

    def statistics(self) -> SendSideStatistics:
        """Return counts so far, and what is believed now."""
        packets = self._packets
        drops = {FeedbackDrop.UNKNOWN: self._unknown, FeedbackDrop.REPEATED: packets.repeated}
        return SendSideStatistics(
            self.estimate,
            self._groups.rate(),
            self.round_trip_seconds,
            packets.next,
            packets.received,
            packets.lost,
            {cause: count for cause, count in drops.items() if count},
        )

    def _read(self, feedback: TransportCcFeedback, now: float) -> tuple[int, int]:
        """Take in what became of each packet; return how many came, and were lost, of those that losses are counted of."""
        packets, deltas = self._packets, feedback.deltas
        reference = feedback.reference_time
        self._reference = reference if self._reference is None else unwrap(reference, self._reference, bits=24)
        ticks = self._reference * REFERENCE_TICKS
        base = unwrap(feedback.base_sequence, near=packets.next - 1)
        oldest = packets.oldest
        untold = packets.skip(max(oldest, self._told_of), min(base, packets.next))
        first = max(base, oldest)
        end = max(first, min(base + len(deltas), packets.next))
        if end - first < len(deltas):
            self._unknown += len(deltas) - (end - first)
            ticks += sum(delta for delta in deltas[: first - base] if delta is not None)
            deltas = deltas[first - base : end - base]
        self._told_of = max(self._told_of, min(end, packets.next))
        arrivals, received, lost = packets.match(first, deltas, ticks)
        if received:
            if untold:
                (sent_at, came_at, size), *others = arrivals
                arrivals = [(sent_at, came_at, untold + size), *others]
            self._measure_round_trip(now - self._groups.add(arrivals))
        return (received, lost) if first >= self._losses_from else (0, 0)

    def _measure_round_trip(self, seconds: float) -> None:
        if self.round_trip_seconds is None:
            self.round_trip_seconds = seconds
        self.round_trip_seconds += ROUND_TRIP_WEIGHT * (seconds - self.round_trip_seconds)

    def _judge(self, now: float, *, has_queue: bool) -> bool:
        groups, bitrate = self._groups, self.estimate.bitrate_bps
        overload = groups.overload() if has_queue else None
        self._is_overloaded = overload is not None or (self._is_overloaded and has_queue)
        is_losing = self._losses.is_excessive(has_queue=has_queue)
        if is_losing is not None or now > self._lost_at + LOSING_SECONDS:
            self._is_losing = bool(is_losing)
        if is_losing:
            self._lost_at = now
            overload = groups.rate()
            self._losses.forget()
            self._losses_from = self._packets.next
        if overload is not None:
            limit = max(MIN_BITRATE_BPS, int(MARGIN * self._carried(overload)))
            bitrate = limit if bitrate is None else min(bitrate, limit)
        elif bitrate is not None and not has_queue:
            bitrate = max(bitrate, self._carried(groups.rate() or 0))
        return self._set(bitrate)

    def _carried(self, delivered_bps: int) -> int:
        """Return what was sent of which that much arrived: the path's own loss is no lack of capacity."""
        return int(delivered_bps / (1 - self._losses.path_loss))

    def _set(self, bitrate: int | None) -> bool:
        before, is_congested = self.estimate, self._is_overloaded or self._is_losing or self._is_silent
        if bitrate == before.bitrate_bps and is_congested is before.is_congested:
            return False
        self.estimate = Estimate(bitrate, is_congested)
        return True
