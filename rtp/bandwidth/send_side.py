"""What a path can carry, by the receiver's transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).

Theory of operation. Only what has been seen counts. What arrived is what the path carries at least, so the estimate never
is less than the delivery rate of a path without a queue, and grows by nothing else: media, or padding sent to probe. It
falls when a standing queue grows, when more is lost than chance explains, and while feedback stays away: to what the path
delivered meanwhile, less a margin in which the queue drains. A sender with little to send so keeps its estimate.
"""

from array import array
from collections import Counter
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from rtp.bandwidth.arrival_groups import ArrivalGroups
from rtp.bandwidth.estimate import MIN_BITRATE_BPS, Estimate
from rtp.bandwidth.losses import Losses
from rtp.rtcp.transport_cc import REFERENCE_TICKS, TICK_SECONDS, TransportCcFeedback
from rtp.serial import unwrap

MAX_PACKETS: Final = 2_048
"""How many of the newest packets are remembered; a power of two."""

MARGIN: Final = 0.95
"""What of an overloaded path's rate is used, so that its queue drains."""

SILENCE_SECONDS: Final = 0.75
"""For so long feedback may stay away while packets are sent: it comes ten times as often."""

ROUND_TRIP_WEIGHT: Final = 0.25
"""Of the newest measurement."""

_MASK: Final = MAX_PACKETS - 1
_SENT, _LOST, _RECEIVED, _UNTOLD = range(4)


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
        self.sent_bytes = 0
        """Of all packets so far."""
        self._next = 0
        self._sent_at = array("d", bytes(8 * MAX_PACKETS))  # this and the next two by number, modulo MAX_PACKETS
        self._sizes = array("H", bytes(2 * MAX_PACKETS))
        self._states = bytearray(MAX_PACKETS)
        self._reference: int | None = None
        self._quiet_until: float | None = None  # feedback should have come by then; None before the first
        self._given_up = 0  # packets that were sent when it stayed away last
        self._heard_of = 0  # packets that were sent when feedback came last
        self._is_overloaded = self._is_losing = self._is_silent = False
        self._groups = ArrivalGroups()
        self._losses = Losses()
        self._losses_from = 0  # what was lost of the packets before this number has been acted upon
        self._told_of = 0  # the number after the last that feedback spoke of
        self._received = self._lost = 0
        self._drops = Counter[FeedbackDrop]()

    def sent(self, size: int, now: float) -> int:
        """Count a packet of `size` bytes, media or padding; return the transport-wide number, unwrapped, to send it by."""
        number = self._next
        self._next = number + 1
        at = number & _MASK
        self._sent_at[at] = now
        self._sizes[at] = size
        self._states[at] = _SENT
        self.sent_bytes += size
        return number

    def receive_feedback(self, feedback: TransportCcFeedback, now: float) -> bool:
        """Learn what became of packets. Returns True if the estimate has changed."""
        self._quiet_until = now + SILENCE_SECONDS
        self._heard_of = self._next
        self._is_silent = False
        self._read(feedback, now)
        return self._judge()

    def next_timeout(self) -> float | None:
        """Say when `handle_timeout` may find that feedback stays away."""
        return self._quiet_until

    def handle_timeout(self, now: float) -> bool:
        """See whether feedback stays away. Returns True if the estimate has changed."""
        if self._quiet_until is None or now < self._quiet_until:
            return False
        self._quiet_until = now + SILENCE_SECONDS
        if self._next in {self._heard_of, self._given_up}:
            # Nothing was sent that could be told of, and all that was sent before it has gone its way.
            self._is_overloaded = self._is_losing = self._is_silent = False
            return self._set(self.estimate.bitrate_bps)
        overdue = self._sent_at[self._heard_of & _MASK] + SILENCE_SECONDS
        if now < overdue and self._next - self._heard_of <= MAX_PACKETS:
            self._quiet_until = overdue
            return False
        self._is_silent = True
        self._losses_from = self._given_up = self._next
        bitrate = self.estimate.bitrate_bps or self._groups.rate()
        return self._set(None if bitrate is None else max(MIN_BITRATE_BPS, bitrate // 2))

    def statistics(self) -> SendSideStatistics:
        """Return counts so far, and what is believed now."""
        return SendSideStatistics(
            self.estimate,
            self._groups.rate(),
            self.round_trip_seconds,
            self._next,
            self._received,
            self._lost,
            dict(self._drops),
        )

    def _read(self, feedback: TransportCcFeedback, now: float) -> None:
        """Take in what became of each packet."""
        reference = feedback.reference_time
        self._reference = reference if self._reference is None else unwrap(reference, self._reference, bits=24)
        ticks = self._reference * REFERENCE_TICKS
        base = unwrap(feedback.base_sequence, near=self._next - 1)
        oldest = max(0, self._next - MAX_PACKETS)
        untold = self._skip(range(max(oldest, self._told_of), min(base, self._next)))
        newest: int | None = None
        received = lost = 0
        states, sent_at, sizes, add = self._states, self._sent_at, self._sizes, self._groups.add
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
                    lost += number >= self._losses_from
            elif state == _RECEIVED:
                self._drops[FeedbackDrop.REPEATED] += 1
            else:
                states[at] = _RECEIVED
                self._received += 1
                self._lost -= state == _LOST
                received += number >= self._losses_from
                add(sent_at[at], ticks * TICK_SECONDS, untold + sizes[at] if state != _UNTOLD else 0)
                untold = 0
                newest = number
        self._told_of = max(self._told_of, min(base + len(feedback.deltas), self._next))
        if newest is not None:
            self._measure_round_trip(now - sent_at[newest & _MASK])
        if received or lost:
            self._losses.add(received, lost, now, has_queue=self._groups.has_queue())

    def _skip(self, numbers: range) -> int:
        """Take packets for received that no feedback has told of: feedback is lost too. Return their size."""
        for number in numbers:
            self._states[number & _MASK] = _UNTOLD
        return sum(self._sizes[number & _MASK] for number in numbers)

    def _measure_round_trip(self, seconds: float) -> None:
        if self.round_trip_seconds is None:
            self.round_trip_seconds = seconds
        self.round_trip_seconds += ROUND_TRIP_WEIGHT * (seconds - self.round_trip_seconds)

    def _judge(self) -> bool:
        groups, bitrate = self._groups, self.estimate.bitrate_bps
        overload, has_queue = groups.overload(), groups.has_queue()
        self._is_overloaded = overload is not None or (self._is_overloaded and has_queue)
        is_losing = self._losses.is_excessive(has_queue=has_queue)
        if is_losing is not None:
            self._is_losing = is_losing
        if is_losing:
            overload = groups.rate()
            self._losses.forget()
            self._losses_from = self._next
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
