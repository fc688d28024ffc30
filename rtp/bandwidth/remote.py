"""What a path can carry, by the receiver's own estimate (REMB), for peers that give no transport-wide feedback.

Theory of operation. A REMB is no measure of capacity: Chromium begins at 0.65 to 0.95 of what arrives, grows by 8 % a
second and stops at about 1.3 times what arrives. What it does tell is when the receiver saw a queue grow: then it falls,
to 0.85 of what arrived. So a REMB counts when it is below what is sent, and has fallen or, with so much sent for a while,
grows no more: it is a complaint, and the estimate. Packets that are asked for again and again are a complaint too. The estimate grows by what is sent, media or
padding, with no complaint meanwhile nor for `SETTLE_SECONDS` after.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from rtp.bandwidth.estimate import MIN_BITRATE_BPS, Estimate

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

GROWN: Final = 1.05
"""One of less than so many times the first of them has stopped growing."""

STOPPED_REMBS: Final = 5
"""So many in a row must be below what is sent, for that: a second. While less is sent there is nothing to grow by."""

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
        self._exceeded = self._exceeded + 1 if bitrate_bps < USED * self._rate(0) else 0
        has_stopped = self._exceeded >= STOPPED_REMBS and bitrate_bps < GROWN * self._rembs[0]
        has_fallen = bitrate_bps < FALL * max(self._rembs)
        if self._exceeded and (has_fallen or has_stopped):
            return self._complain(bitrate_bps, now)
        return self._learn(now)

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
        limit = int(self._rate(0) * (1 - LOSS_WEIGHT * min(1.0, asked / packets)))
        return self._complain(min(limit, self._rembs[-1]) if self._rembs else limit, now)

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
        return RemoteStatistics(self.estimate, remb, self._rate(0), self._complaints)

    def _close_slot(self, now: float) -> None:
        if now < self._slot_end:
            return
        size, packets, repeated = self._before
        self._before = self.sent_bytes, self._packets, self._repeated
        self._slots.append(
            _Slot(now - self._slot_began, self.sent_bytes - size, self._packets - packets, self._repeated - repeated)
        )
        self._slot_began, self._slot_end = now, now + SLOT_SECONDS

    def _rate(self, age: int) -> int:
        """Return the bitrate over `RATE_SLOTS` slots, of which `age` have passed since."""
        slots = [*self._slots][max(0, len(self._slots) - RATE_SLOTS - age) : max(0, len(self._slots) - age)]
        return int(8 * sum(slot.size for slot in slots) / max(SLOT_SECONDS, sum(slot.seconds for slot in slots)))

    def _complain(self, limit: int, now: float) -> bool:
        self._complaints += 1
        self._next_look = now + SLOT_SECONDS
        self._complained_at = now
        before = self.estimate
        bitrate = limit if before.bitrate_bps is None else min(before.bitrate_bps, limit)
        self.estimate = Estimate(max(MIN_BITRATE_BPS, bitrate), is_congested=True)
        return self.estimate != before

    def _learn(self, now: float) -> bool:
        before = self.estimate
        if before.bitrate_bps is None or self._complained_at is None or self._heard_at is None:
            return False
        quiet, bitrate = now - self._complained_at, before.bitrate_bps
        if quiet > SETTLE_SECONDS + RATE_SLOTS * SLOT_SECONDS and now - self._heard_at < SETTLE_SECONDS:
            bitrate = max(bitrate, self._rate(round(SETTLE_SECONDS / SLOT_SECONDS)))
        self.estimate = Estimate(bitrate, quiet < CALM_SECONDS)
        return self.estimate != before
