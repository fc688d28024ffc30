"""What a path can carry, by the receiver's own estimate (REMB), for peers that give no transport-wide feedback.

Theory of operation. A REMB is no measure of capacity: Chromium begins at 0.65 to 0.95 of what arrives, grows by 8 % a
second and stops at about 1.3 times what arrives. What it does tell is when the receiver saw a queue grow: then it falls,
to 0.85 of what arrived. So a REMB counts when it has fallen, and is below what is sent; from then on it is the estimate,
as long as it stays below. Growth is shown by sending: what was sent in a while, with no complaint in that while nor for
`SETTLE_SECONDS` after it, has arrived. Packets that are asked for twice are a complaint too.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from rtp.bandwidth.estimate import Estimate

SLOT_SECONDS: Final = 0.1
"""What is sent is counted by slots of this length."""

RATE_SLOTS: Final = 4
"""Over how many slots the rate at which we send is taken."""

SETTLE_SECONDS: Final = 0.6
"""How long after packets the receiver may still complain of them: two REMBs and a round trip."""

PEAK_SECONDS: Final = 3.0
"""A REMB has fallen if it is below the highest of this time."""

FALL: Final = 0.9
"""A REMB of less than this share of its peak has fallen."""

USED: Final = 0.95
"""A REMB of at least this share of what is sent is no limit."""

CALM_SECONDS: Final = 2.0
"""After this time without complaints the path is no longer congested."""

LOSS_SECONDS: Final = 2.0
"""The window in which repeated requests are counted."""

MAX_REPEATED: Final = 0.08
"""Share of packets sent that may be asked for more than once."""

LOSS_WEIGHT: Final = 0.4
"""By what part of the share of repeated requests the rate is lowered."""

MIN_BITRATE_BPS: Final = 30_000


@dataclass(frozen=True, slots=True)
class RemoteStatistics:
    """What is believed now, and the newest REMB."""

    estimate: Estimate
    remb_bps: int | None
    sent_bps: int


class RemoteEstimator:
    """Estimates one path. `now` is in seconds on one monotonic clock, sizes are bytes of RTP packets."""

    def __init__(self) -> None:
        self.estimate = Estimate()
        """What the path can carry, now."""
        self.round_trip_seconds: float | None = None
        """REMB does not tell."""
        self.sent_bytes = 0
        """Of all packets so far."""
        self._packets = 0
        self._slot_end = 0.0
        self._slot_from = 0  # bytes sent when the slot began
        self._slots = deque[int](maxlen=RATE_SLOTS + round(SETTLE_SECONDS / SLOT_SECONDS))  # bytes, newest last
        self._rembs = deque[tuple[float, int]]()
        self._remb: int | None = None
        self._complained_at: float | None = None
        self._repeated = deque[tuple[float, int, int]]()  # time, requests repeated, packets sent so far

    def count_sent(self, size: int, now: float) -> None:
        """Count a packet of `size` bytes: media, or padding."""
        self.sent_bytes += size
        self._packets += 1
        if now >= self._slot_end:
            self._close_slots(now)

    def receive_remb(self, bitrate_bps: int, now: float) -> bool:
        """Take in the receiver's estimate. Returns True if ours has changed."""
        self._close_slots(now)
        self._remb = bitrate_bps
        while self._rembs and (now - self._rembs[0][0] > PEAK_SECONDS or self._rembs[-1][1] <= bitrate_bps):
            if now - self._rembs[0][0] > PEAK_SECONDS:
                self._rembs.popleft()
            else:
                self._rembs.pop()
        self._rembs.append((now, bitrate_bps))
        bitrate = self.estimate.bitrate_bps
        is_used = bitrate_bps < USED * self.sent_bps()
        if is_used and bitrate_bps < FALL * self._rembs[0][1]:
            self._complain(now)
            bitrate = bitrate_bps if bitrate is None else min(bitrate, bitrate_bps)
        return self._set(bitrate, now)

    def count_nacks(self, repeated: int, now: float) -> bool:
        """Count packets that were asked for again, after an answer was sent. Returns True if the estimate has changed."""
        self._close_slots(now)
        if repeated:
            self._repeated.append((now, repeated, self._packets))
        while self._repeated and now - self._repeated[0][0] > LOSS_SECONDS:
            self._repeated.popleft()
        bitrate = self.estimate.bitrate_bps
        if self._repeated and now - self._repeated[0][0] >= LOSS_SECONDS / 2:
            packets = max(1, self._packets - self._repeated[0][2])
            share = min(1.0, sum(each[1] for each in self._repeated) / packets)
            if share > MAX_REPEATED:
                self._complain(now)
                limit = int(self.sent_bps() * (1 - LOSS_WEIGHT * share))
                bitrate = limit if bitrate is None else min(bitrate, limit)
                self._repeated.clear()
        return self._set(bitrate, now)

    def next_timeout(self) -> float | None:
        """Say when `handle_timeout` may change something: when packets have gone without complaint."""
        return None if self.estimate.bitrate_bps is None else self._slot_end

    def handle_timeout(self, now: float) -> bool:
        """Learn from the absence of complaints. Returns True if the estimate has changed."""
        self._close_slots(now)
        return self._set(self.estimate.bitrate_bps, now)

    def sent_bps(self) -> int:
        """Return the rate of the last `RATE_SLOTS` slots."""
        return self._rate(list(self._slots)[-RATE_SLOTS:])

    def statistics(self) -> RemoteStatistics:
        """Return what is believed now."""
        return RemoteStatistics(self.estimate, self._remb, self.sent_bps())

    def _close_slots(self, now: float) -> None:
        if now < self._slot_end:
            return
        passed = min(int((now - self._slot_end) / SLOT_SECONDS), len(self._slots) + RATE_SLOTS)
        self._slots.append(self.sent_bytes - self._slot_from)
        self._slots.extend([0] * passed)
        self._slot_from = self.sent_bytes
        self._slot_end = now + SLOT_SECONDS

    def _complain(self, now: float) -> None:
        self._complained_at = now

    def _set(self, bitrate: int | None, now: float) -> bool:
        before = self.estimate
        quiet = now - self._complained_at if self._complained_at is not None else None
        if bitrate is not None:
            if quiet is None or quiet > SETTLE_SECONDS + RATE_SLOTS * SLOT_SECONDS:
                bitrate = max(bitrate, self._rate(list(self._slots)[:RATE_SLOTS]))
            bitrate = max(bitrate, MIN_BITRATE_BPS)
        self.estimate = Estimate(bitrate, quiet is not None and quiet < CALM_SECONDS)
        return self.estimate != before

    @staticmethod
    def _rate(slots: list[int]) -> int:
        return int(8 * sum(slots) / (RATE_SLOTS * SLOT_SECONDS))
