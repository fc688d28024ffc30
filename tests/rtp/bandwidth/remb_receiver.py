"""A receiver that estimates by arrival times and tells by REMB, with the habits recorded from Chromium 156."""

from collections import deque
from typing import Final

INTERVAL_SECONDS: Final = 0.233
FIRST_SECONDS: Final = 0.4
FIRST_SHARE: Final = 0.8
GROWTH_A_SECOND: Final = 1.08
LEAD: Final = 1.3
"""How many times what arrives an estimate grows to at most."""
BACK_OFF: Final = 0.85
WINDOW_SECONDS: Final = 0.5
GROUPS: Final = 20
GROUP_SECONDS: Final = 0.005
STEEP: Final = 0.05
"""Growth of the delay, in seconds a second, that counts as a queue, if it has come to `NOTICEABLE_SECONDS`."""
NOTICEABLE_SECONDS: Final = 0.0125


class RembReceiver:
    """Learns of packets by when they left and came; `take` is called often and now and then tells."""

    def __init__(self) -> None:
        self._began_at: float | None = None
        self._next = 0.0
        self._estimate: float | None = None
        self._changed_at = 0.0
        self._arrivals = deque[tuple[float, int]]()
        self._groups = deque[tuple[float, float]](maxlen=GROUPS)  # when it left, its delay
        self._backed_off_at = -1.0

    def note(self, sent_at: float, arrived_at: float, size: int) -> None:
        if self._began_at is None:
            self._began_at, self._next = arrived_at, arrived_at + FIRST_SECONDS
        self._arrivals.append((arrived_at, size))
        while arrived_at - self._arrivals[0][0] > WINDOW_SECONDS:
            self._arrivals.popleft()
        if not self._groups or sent_at - self._groups[-1][0] > GROUP_SECONDS:
            self._groups.append((sent_at, arrived_at - sent_at))

    def take(self, now: float) -> int | None:
        """Return a REMB, if one is due."""
        if self._began_at is None or now < self._began_at + FIRST_SECONDS:
            return None
        incoming = 8 * sum(size for _, size in self._arrivals) / WINDOW_SECONDS
        if self._estimate is None:
            self._estimate, self._changed_at = FIRST_SHARE * incoming, now
        if self._is_overused() and now - self._backed_off_at > INTERVAL_SECONDS:
            self._backed_off_at = self._changed_at = self._next = now
            self._estimate = min(self._estimate, BACK_OFF * incoming)
        if now < self._next:
            return None
        self._next = now + INTERVAL_SECONDS
        if now - self._backed_off_at > 2 * INTERVAL_SECONDS:
            grown = self._estimate * GROWTH_A_SECOND ** (now - self._changed_at)
            self._estimate = max(self._estimate, min(grown, LEAD * incoming))
        self._changed_at = now
        return int(self._estimate)

    def _is_overused(self) -> bool:
        if len(self._groups) < GROUPS:
            return False
        mean_sent = sum(sent for sent, _ in self._groups) / GROUPS
        mean_delay = sum(delay for _, delay in self._groups) / GROUPS
        spread = sum((sent - mean_sent) ** 2 for sent, _ in self._groups)
        slope = sum((sent - mean_sent) * (delay - mean_delay) for sent, delay in self._groups) / spread
        return slope > STEEP and slope * (self._groups[-1][0] - self._groups[0][0]) > NOTICEABLE_SECONDS
