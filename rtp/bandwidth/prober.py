"""When to send padding to learn whether a path carries more, and how much of it.

Theory of operation. An estimate grows only by what is sent, so more must be sent than there is media for before a higher
layer is tried. A probe fills up what is sent to at most `MAX_STEP` times the estimate for `PROBE_SECONDS`; then the estimate has
`SETTLE_SECONDS` to follow. If it does, the next probe begins at once, until the estimate is what is wanted; if it does
not, or the path becomes congested meanwhile, the probe ends there, and the next one waits longer.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from rtp.bandwidth.estimate import Estimate

PROBE_SECONDS: Final = 0.4
"""How long padding is sent: somewhat longer than estimators look back for a rate."""

SETTLE_SECONDS: Final = 0.8
"""From the end of a probe until its effect must show: REMB takes that long to tell of none."""

STEP_SECONDS: Final = 0.02
"""Between two portions of padding."""

MIN_PAD: Final = 200
"""A portion of less waits for the next."""

MAX_STEP: Final = 1.5
"""How many times the estimate a probe sends."""

OVERAGE: Final = 1.1
"""How much more than what is wanted a probe sends."""

MIN_PROBE_BPS: Final = 200_000

FIRST_INTERVAL_SECONDS: Final = 1.5
"""To the next probe after one that failed, and after congestion."""

INTERVAL_FACTOR: Final = 1.5
"""How much longer it is each time, while one trouble follows the other with no success between."""

CALM_SECONDS: Final = 15.0
"""Without trouble for so long, the next interval is the first again."""

MAX_INTERVAL_SECONDS: Final = 6.0
"""However often probes have failed: a path that recovers is to be found out."""


@dataclass(frozen=True, slots=True)
class Pad:
    """Send about `size` bytes of padding now."""

    size: int


ProberOutput: TypeAlias = Pad


@dataclass(frozen=True, slots=True)
class ProberStatistics:
    """Counts so far: probes begun and those that were followed by the estimate; bytes of padding asked for."""

    probes: int
    successes: int
    padding: int


@dataclass(slots=True)
class _Probe:
    bitrate_bps: int
    began_at: float
    sent_before: int
    next_step: float


class Prober:
    """Probes one path. `now` is in seconds on one monotonic clock."""

    def __init__(self) -> None:
        self._wanted: int | None = None
        self._estimate = Estimate()
        self._probe: _Probe | None = None
        self._not_before = 0.0
        self._interval = FIRST_INTERVAL_SECONDS
        self._troubled_at: float | None = None
        self._probes = self._successes = self._padding = 0

    def want(self, bitrate_bps: int | None, now: float) -> None:
        """Say what would be sent if the path were known to carry it; None: there is nothing more to send."""
        if self._wanted is None:
            self._not_before = max(self._not_before, now)
        self._wanted = bitrate_bps
        self._settle()

    def receive_estimate(self, estimate: Estimate, now: float) -> None:
        """Take in an estimate: call it whenever that has changed."""
        if estimate.is_congested and not self._estimate.is_congested:
            self._back_off(now)
        self._estimate = estimate
        self._settle()

    def next_timeout(self) -> float | None:
        """Say when `handle_timeout` has something to do."""
        if self._probe is not None:
            return self._probe.next_step
        return self._not_before if self._target() is not None else None

    def handle_timeout(self, now: float, sent_bytes: int) -> list[ProberOutput]:
        """Return the padding that is due. `sent_bytes` counts all that the path was ever sent, padding too."""
        if self._probe is None and now >= self._not_before and (target := self._target()) is not None:
            self._probe = _Probe(target, now, sent_bytes, now)
            self._probes += 1
        probe = self._probe
        if probe is None or now < probe.next_step:
            return []
        elapsed = now - probe.began_at
        if now >= probe.began_at + PROBE_SECONDS + SETTLE_SECONDS:  # as `next_step` was reckoned, to the last bit
            self._back_off(now)
            return []
        if elapsed >= PROBE_SECONDS:
            probe.next_step = probe.began_at + PROBE_SECONDS + SETTLE_SECONDS
            return []
        probe.next_step = now + STEP_SECONDS
        due = int(probe.bitrate_bps * (elapsed + STEP_SECONDS) / 8) - (sent_bytes - probe.sent_before)
        if due < MIN_PAD:
            return []
        self._padding += due
        return [Pad(due)]

    def statistics(self) -> ProberStatistics:
        """Return counts so far."""
        return ProberStatistics(self._probes, self._successes, self._padding)

    def _target(self) -> int | None:
        """Return the bitrate of the next probe, if one is called for."""
        bitrate, wanted = self._estimate.bitrate_bps, self._wanted
        if wanted is None or bitrate is None or bitrate >= wanted or self._estimate.is_congested:
            return None
        return max(MIN_PROBE_BPS, int(min(OVERAGE * wanted, MAX_STEP * bitrate)))

    def _settle(self) -> None:
        """End the probe if the estimate has followed it, or nobody needs it any more."""
        probe, bitrate = self._probe, self._estimate.bitrate_bps
        if probe is None:
            return
        if self._wanted is None:
            self._probe = None
        elif bitrate is not None and (bitrate >= self._wanted or OVERAGE * bitrate >= probe.bitrate_bps):
            self._probe = None
            self._successes += 1
            self._interval = FIRST_INTERVAL_SECONDS

    def _back_off(self, now: float) -> None:
        self._probe = None
        if self._troubled_at is None or now - self._troubled_at > CALM_SECONDS:
            self._interval = FIRST_INTERVAL_SECONDS
        self._troubled_at = now
        self._not_before = now + self._interval
        self._interval = min(MAX_INTERVAL_SECONDS, INTERVAL_FACTOR * self._interval)
