"""What a path can carry, by the receiver's own estimate (REMB), for peers that give no transport-wide feedback.

Theory of operation. A REMB is no measure of capacity: Chromium begins at 0.65 to 0.95 of what arrives, grows by 8 % a
second and stops at about 1.3 times what arrives. What it does tell is when the receiver saw a queue grow: then it falls,
to 0.85 of what arrived. So a REMB counts when it is below what is sent, and has fallen or, with so much sent for a while,
grows no more: it is a complaint, and the estimate. Two kinds are not taken at their word. If all that was sent had
arrived, it was a burst (a key frame, say) that made the queue. And if more was sent than was known to be carried (a
probe), the estimate falls no lower than to what was known. Packets that are asked for again and again, and receiver
reports of many losses, are complaints too: a queue may be too short for a receiver to see it grow.

The estimate grows by what is sent, media or padding, with no complaint meanwhile nor for `SETTLE_SECONDS` after, and
without a REMB that should have grown and has not.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from rtp.bandwidth.estimate import MIN_BITRATE_BPS, Estimate
from rtp.bandwidth.losses import MIN_PACKETS, RANDOM_LOSS, exceeds_chance

SLOT_SECONDS: Final = 0.1
"""What is sent is counted by slots of about this length."""

RATE_SLOTS: Final = 4
"""Over how many slots a rate is taken."""

SETTLE_SECONDS: Final = 0.6
"""How long after packets the receiver may still complain of them: two REMBs and a round trip."""

PEAK_REMBS: Final = 12
"""REMBs are compared with so many before them: three seconds."""

FALL: Final = 0.9
"""A REMB of less than this share of the highest has fallen."""

STOPPED_REMBS: Final = 5
"""So many in a row must be below what is sent to tell that they grow no more: a second. While less is sent there is
nothing to grow by."""

GROWN: Final = 1.03
"""A REMB of less than so many times the first of them has stopped growing."""

FLAT_REMBS: Final = 3
"""So many in a row below what is sent, none above the first: what is sent may be too much."""

BURST: Final = 0.81
"""A REMB that has fallen to no less than this share of what was sent (0.85, and a little less for chance) tells that all
of it had arrived."""

BURST_SLOTS: Final = 5
"""What the receiver takes for its rate may have been sent so much earlier at most."""

RETREAT_SECONDS: Final = 0.7
"""After a retreat to what was known before, until complaints are of what is sent since: a queue has to drain."""

RETREAT_TRIAL_SECONDS: Final = 1.5
"""A complaint so soon after a retreat is of what was thought to be known."""

USED: Final = 0.95
"""A REMB of at least this share of what is sent is no limit."""

CALM_SECONDS: Final = 1.0
"""So long after a complaint the path is no longer congested."""

LOSS_SLOTS: Final = 20
"""The window in which repeated requests are counted: two seconds."""

MAX_REPEATED: Final = 0.08
"""Share of packets sent that may be asked for more than once."""

LOSS_WEIGHT: Final = 0.4
"""By what part of the share of repeated requests the rate is lowered."""

LOSS_SECONDS: Final = 0.9
"""Between two receiver reports that are acted upon: each stream has its own, of about a second, which tell of the same."""


@dataclass(frozen=True, slots=True)
class RemoteStatistics:
    """What is believed now, the newest REMB, what was sent lately, and the number of complaints so far."""

    estimate: Estimate
    remb_bps: int | None
    sent_bps: int
    complaints: int


@dataclass(slots=True)
class _Slot:
    seconds: float
    size: int
    packets: int
    repeated: int  # requests, other than the first, for packets


class RemoteEstimator:
    """Estimates one path. `now` is in seconds on one monotonic clock, sizes are bytes of RTP packets."""

    def __init__(self) -> None:
        self.estimate = Estimate()
        """What the path can carry, now."""
        self.sent_bytes = 0
        """Of all packets so far."""
        self._packets = 0
        self._repeated = 0
        self._slots = deque[_Slot](maxlen=LOSS_SLOTS)  # the newest last
        self._slot_began = 0.0
        self._slot_end = 0.0
        self._before = (0, 0, 0)  # bytes, packets and repeated requests when the slot began
        self._rembs = deque[int](maxlen=PEAK_REMBS)
        self._exceeded = 0  # how many REMBs in a row have been below what was sent
        self._heard_at: float | None = None
        self._complained_at: float | None = None
        self._complaints = 0
        self._doubted_at = float("-inf")
        self._retreated_at = float("-inf")
        self._losses_at = float("-inf")  # when losses were acted upon
        self._known = deque[int](maxlen=PEAK_REMBS)  # the estimate at each REMB, since it fell last
        self._next_look: float | None = None  # before the first complaint there is nothing to learn

    def count_sent(self, size: int, now: float) -> None:
        """Count a packet of `size` bytes: media, or padding."""
        if now >= self._slot_end:
            self._close_slot(now)
        self.sent_bytes += size
        self._packets += 1

    def receive_remb(self, bitrate_bps: int, now: float) -> bool:
        """Take in the receiver's estimate. Returns True if ours has changed."""
        self._close_slot(now)
        self._heard_at = now
        self._rembs.append(bitrate_bps)
        self._exceeded = self._exceeded + 1 if bitrate_bps < USED * self._rate() else 0
        if self._exceeded >= FLAT_REMBS and bitrate_bps <= self._rembs[-FLAT_REMBS]:
            self._doubted_at = now
        changed = self._heed(bitrate_bps, now) if self._is_complaint() else self._learn(now)
        if self.estimate.bitrate_bps is not None:
            self._known.append(self.estimate.bitrate_bps)
        return changed

    def count_nacks(self, repeated: int, now: float) -> bool:
        """Count packets that were asked for again, after an answer was sent. Returns True if the estimate has changed."""
        self._close_slot(now)
        self._repeated += repeated
        packets = sum(slot.packets for slot in self._slots)
        asked = sum(slot.repeated for slot in self._slots)
        if len(self._slots) < LOSS_SLOTS // 2 or asked <= MAX_REPEATED * packets:
            return False
        for slot in self._slots:
            slot.repeated = 0  # they have been acted upon
        limit = int(self._used() * (1 - LOSS_WEIGHT * min(1.0, asked / packets)))
        return self._complain(self._capped(limit), now)

    def receive_losses(self, expected: int, share: float, now: float) -> bool:
        """Take in a receiver report on one stream: what share of `expected` packets was lost, before any was sent again.

        Returns True if the estimate has changed.
        """
        self._close_slot(now)
        if expected < MIN_PACKETS or now < self._losses_at + LOSS_SECONDS:
            return False
        if not exceeds_chance(share, RANDOM_LOSS, expected):
            return False
        self._losses_at = now
        return self._complain(int(self._capped(self._used()) * (1 - share)), now)

    def next_timeout(self) -> float | None:
        """Say when `handle_timeout` may change something: when packets have gone without complaint."""
        return self._next_look

    def handle_timeout(self, now: float) -> bool:
        """Learn from the absence of complaints. Returns True if the estimate has changed."""
        if self._next_look is None or now < self._next_look:
            return False
        self._next_look = now + SLOT_SECONDS
        self._close_slot(now)
        return self._learn(now)

    def statistics(self) -> RemoteStatistics:
        """Return what is believed now."""
        remb = self._rembs[-1] if self._rembs else None
        return RemoteStatistics(self.estimate, remb, self._rate(), self._complaints)

    def _close_slot(self, now: float) -> None:
        if now < self._slot_end:
            return
        if self._slot_end:
            self._keep_slot(now)
        self._slot_began, self._slot_end = now, now + SLOT_SECONDS

    def _keep_slot(self, now: float) -> None:
        size, packets, repeated = self._before
        self._before = self.sent_bytes, self._packets, self._repeated
        self._slots.append(
            _Slot(now - self._slot_began, self.sent_bytes - size, self._packets - packets, self._repeated - repeated)
        )

    def _rate(self, age: int = 0) -> int:
        """Return the bitrate over `RATE_SLOTS` slots, of which `age` have passed since."""
        slots = [*self._slots][max(0, len(self._slots) - RATE_SLOTS - age) : max(0, len(self._slots) - age)]
        return int(8 * sum(slot.size for slot in slots) / max(SLOT_SECONDS, sum(slot.seconds for slot in slots)))

    def _used(self) -> int:
        """Return what is sent, or the estimate if that is less: packets that are sent again can be many."""
        believed = self.estimate.bitrate_bps
        return self._rate() if believed is None else min(believed, self._rate())

    def _capped(self, bitrate_bps: int) -> int:
        return min(bitrate_bps, self._rembs[-1]) if self._rembs else bitrate_bps

    def _is_complaint(self) -> bool:
        """Say whether the newest REMB is: it is below what is sent, and has fallen, or they have stopped growing."""
        rembs, newest = self._rembs, self._rembs[-1]
        if not self._exceeded:
            return False
        has_fallen = newest < FALL * max(rembs) and newest <= rembs[-2]
        return has_fallen or (self._exceeded >= STOPPED_REMBS and newest < GROWN * rembs[-STOPPED_REMBS])

    def _heed(self, bitrate_bps: int, now: float) -> bool:
        """Act upon a REMB that is a complaint."""
        if bitrate_bps >= BURST * min(map(self._rate, range(min(BURST_SLOTS, len(self._slots))))):
            self._doubted_at = now
            return False
        since = now - self._retreated_at
        if since < RETREAT_SECONDS:
            return False
        known = self._known[0] if len(self._known) == PEAK_REMBS else 0
        if since > RETREAT_TRIAL_SECONDS and bitrate_bps < known < USED * self._rate():
            self._retreated_at = now
            return self._complain(known, now)
        return self._complain(bitrate_bps, now)

    def _complain(self, limit: int, now: float) -> bool:
        self._complaints += 1
        self._next_look = now + SLOT_SECONDS
        self._complained_at = now
        before = self.estimate
        bitrate = limit if before.bitrate_bps is None else min(before.bitrate_bps, limit)
        if self._known and bitrate < self._known[0]:
            self._known.clear()
        self.estimate = Estimate(max(MIN_BITRATE_BPS, bitrate), is_congested=True)
        return self.estimate != before

    def _learn(self, now: float) -> bool:
        before = self.estimate
        if before.bitrate_bps is None or self._complained_at is None or self._heard_at is None:
            return False
        settled = max(self._complained_at, self._doubted_at) + SETTLE_SECONDS + RATE_SLOTS * SLOT_SECONDS
        bitrate = before.bitrate_bps
        if now > settled and now - self._heard_at < SETTLE_SECONDS:
            bitrate = max(bitrate, self._rate(round(SETTLE_SECONDS / SLOT_SECONDS)))
        self.estimate = Estimate(bitrate, now - self._complained_at < CALM_SECONDS)
        return self.estimate != before
