"""What a path can carry, by the receiver's transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).

Theory of operation. Only what has been seen counts. What arrived is what the path carries at least, so the estimate never
is less than the delivery rate of a path without a queue, and grows by nothing else: media, or padding sent to probe. It
falls when a standing queue grows, when more is lost than chance explains, and while feedback stays away: to what the path
delivered meanwhile, less a margin in which the queue drains. A sender with little to send so keeps its estimate.
"""

from collections import Counter, deque
from dataclasses import dataclass
from enum import Enum, auto
from math import sqrt
from typing import Final

from rtp.bandwidth.arrival_groups import GROUP_SECONDS, DeliveryRate, PacketGroup, StandingQueue
from rtp.bandwidth.estimate import Estimate
from rtp.rtcp.transport_cc import REFERENCE_TICKS, TICK_SECONDS, TransportCcFeedback
from rtp.serial import unwrap

MAX_PACKETS: Final = 4_096
"""How many of the newest packets are remembered; a power of two."""

MARGIN: Final = 0.95
"""What of an overloaded path's rate is used, so that its queue drains."""

MIN_BITRATE_BPS: Final = 30_000
"""An estimate never is less: audio goes on, and without packets nothing can be learnt."""

SILENCE_SECONDS: Final = 0.75
"""For so long feedback may stay away while packets are sent: it comes ten times as often."""

LOSS_SECONDS: Final = 1.0
"""The window in which loss is counted."""

MIN_LOSS_PACKETS: Final = 20
"""Fewer packets in the window say nothing about loss."""

RANDOM_LOSS: Final = 0.15
"""Share of packets that a path may lose by itself; one of radio links, say, which sending less does not mend."""

LOSS_DEVIATIONS: Final = 2.0
"""By how many standard deviations loss must exceed chance."""

ROUND_TRIP_WEIGHT: Final = 0.25
"""Of the newest measurement."""

_MASK: Final = MAX_PACKETS - 1
_SENT, _LOST, _RECEIVED = 0, 1, 2


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
    probing: int
    drops: dict[FeedbackDrop, int]


class SendSideEstimator:
    """Estimates one path. `now` is in seconds on one monotonic clock, sizes are bytes of RTP packets."""

    def __init__(self) -> None:
        self.estimate = Estimate()
        """What the path can carry, now."""
        self.round_trip_seconds: float | None = None
        """From a packet to the feedback that tells of it; None before the first."""
        self.sent_bytes = 0
        """Of all packets so far."""
        self._next = 0
        self._sent_at = [0.0] * MAX_PACKETS  # this and the next two by number, modulo MAX_PACKETS
        self._sizes = [0] * MAX_PACKETS
        self._states = bytearray(MAX_PACKETS)
        self._reference: int | None = None
        self._quiet_until: float | None = None  # feedback should have come by then; None before the first
        self._heard_of = 0  # packets that were sent when feedback came last
        self._is_overloaded = self._is_losing = self._is_silent = False
        self._group: PacketGroup | None = None  # the newest: more of it may arrive
        self._queue = StandingQueue()
        self._delivery = DeliveryRate()
        self._losses = deque[tuple[float, int, int]]()  # time, packets received, packets lost
        self._received_lately = self._lost_lately = 0
        self._received = self._lost = self._probing = 0
        self._drops = Counter[FeedbackDrop]()

    def sent(self, size: int, now: float, *, probe: int | None = None) -> int:
        """Count a packet of `size` bytes; return the transport-wide number, unwrapped, to send it under.

        `probe` is the number of the probe, if the packet is sent for its sake alone.
        """
        number = self._next
        self._next = number + 1
        at = number & _MASK
        self._sent_at[at] = now
        self._sizes[at] = size
        self._states[at] = _SENT
        self.sent_bytes += size
        if probe is not None:
            self._probing += 1
        return number

    def receive_feedback(self, feedback: TransportCcFeedback, now: float) -> bool:
        """Learn what became of packets. Returns True if the estimate has changed."""
        received, lost = self._received, self._lost
        newest = self._read(feedback)
        if newest is not None:
            self._measure_round_trip(now - self._sent_at[newest & _MASK])
        self._quiet_until = now + SILENCE_SECONDS
        self._heard_of = self._next
        self._is_silent = False
        self._count_losses(self._received - received, self._lost - lost, now)
        return self._judge()

    def next_timeout(self) -> float | None:
        """Say when `handle_timeout` may find that feedback stays away."""
        return self._quiet_until

    def handle_timeout(self, now: float) -> bool:
        """See whether feedback stays away. Returns True if the estimate has changed."""
        if self._quiet_until is None or now < self._quiet_until:
            return False
        self._quiet_until = now + SILENCE_SECONDS
        if self._next == self._heard_of or now < self._sent_at[self._heard_of & _MASK] + SILENCE_SECONDS:
            return False  # nothing was sent that could have been told of
        self._is_silent = True
        believed = self._delivery.bitrate_bps or 0
        if self.estimate.bitrate_bps is not None:
            believed = self.estimate.bitrate_bps
        return self._set(max(MIN_BITRATE_BPS, believed // 2))

    def statistics(self) -> SendSideStatistics:
        """Return counts so far, and what is believed now."""
        return SendSideStatistics(
            self.estimate,
            self._delivery.bitrate_bps,
            self.round_trip_seconds,
            self._next,
            self._received,
            self._lost,
            self._probing,
            dict(self._drops),
        )

    def _read(self, feedback: TransportCcFeedback) -> int | None:
        """Take in each packet; return the newest that has arrived."""
        reference = feedback.reference_time
        self._reference = reference if self._reference is None else unwrap(reference, self._reference, bits=24)
        ticks = self._reference * REFERENCE_TICKS
        base = unwrap(feedback.base_sequence, near=self._next - 1)
        oldest = max(0, self._next - MAX_PACKETS)
        newest: int | None = None
        states, sent_at, sizes = self._states, self._sent_at, self._sizes
        for number, delta in enumerate(feedback.deltas, base):
            if delta is not None:
                ticks += delta
            if not oldest <= number < self._next:
                self._drops[FeedbackDrop.UNKNOWN] += 1
                continue
            at = number & _MASK
            state = states[at]
            if delta is None:
                if state == _SENT:
                    states[at] = _LOST
                    self._lost += 1
                continue
            if state == _RECEIVED:
                self._drops[FeedbackDrop.REPEATED] += 1
                continue
            states[at] = _RECEIVED
            self._received += 1
            self._lost -= state == _LOST
            newest = number
            self._take(sent_at[at], ticks * TICK_SECONDS, sizes[at])
        return newest

    def _take(self, sent_at: float, arrived_at: float, size: int) -> None:
        group = self._group
        if group is None or sent_at > group.sent_at + GROUP_SECONDS:
            if group is not None:
                self._queue.add(group)
                self._delivery.add(group)
            self._group = PacketGroup(sent_at, arrived_at, arrived_at - sent_at, size)
            return
        group.size += size
        group.arrived_at = max(arrived_at, group.arrived_at)
        group.delay = min(arrived_at - sent_at, group.delay)

    def _measure_round_trip(self, seconds: float) -> None:
        if self.round_trip_seconds is None:
            self.round_trip_seconds = seconds
        self.round_trip_seconds += ROUND_TRIP_WEIGHT * (seconds - self.round_trip_seconds)

    def _count_losses(self, received: int, lost: int, now: float) -> None:
        self._losses.append((now, received, lost))
        self._received_lately += received
        self._lost_lately += lost
        while now - self._losses[0][0] > LOSS_SECONDS:
            _, received, lost = self._losses.popleft()
            self._received_lately -= received
            self._lost_lately -= lost
        packets = self._received_lately + self._lost_lately
        chance = RANDOM_LOSS * packets + LOSS_DEVIATIONS * sqrt(RANDOM_LOSS * (1 - RANDOM_LOSS) * max(0, packets))
        self._is_losing = packets >= MIN_LOSS_PACKETS and self._lost_lately > chance

    def _judge(self) -> bool:
        delivered = self._delivery.bitrate_bps
        bitrate = self.estimate.bitrate_bps
        overload = self._queue.overload()
        self._is_overloaded = overload is not None or (self._is_overloaded and not self._queue.is_empty)
        if self._is_losing and delivered is not None:
            overload = min(delivered, overload or delivered)
        if overload is not None:
            limit = max(MIN_BITRATE_BPS, int(MARGIN * overload))
            bitrate = limit if bitrate is None else min(bitrate, limit)
        elif bitrate is not None and delivered is not None and self._queue.is_empty:
            bitrate = max(bitrate, delivered)
        return self._set(bitrate)

    def _set(self, bitrate: int | None) -> bool:
        before = self.estimate
        self.estimate = Estimate(bitrate, self._is_overloaded or self._is_losing or self._is_silent)
        return self.estimate != before
