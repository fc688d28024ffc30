"""When to send again what was lost, on a path that is known to carry no more than so much.

Theory of operation. Where a queue is shorter than a key frame, much of that is lost at a time, and is asked for at a
time: if it was sent again as it is asked for, the queue would overflow once more, and lose what is sent live beside it.
So answers wait for their turn in a leaky bucket that all packets fill, the live ones too, which do not wait: it is the
queue of the path, as far as it can be known. It leaks as fast as the path is known to deliver: at 1.25 times that, the
answers already overflow a queue of 50 ms.
"""

from collections.abc import Iterable
from typing import Final, Generic, TypeVar

DEPTH_SECONDS: Final = 0.03
"""What the bucket holds at most: a little less than passes between two frames, so that live ones which are too many for the
path, until there is another layer to send, do not keep answers waiting for ever."""

STEP_SECONDS: Final = 0.005
"""The bucket may hold this much when an answer is sent; if it holds more, it is left to run empty."""

MAX_WAITING: Final = 256
"""Requests that wait: who asks for more will ask again."""

_RequestT = TypeVar("_RequestT")


class RepairPacer(Generic[_RequestT]):
    """Keeps requests for packets until they are to be answered, each once. `now` is in seconds on one monotonic clock."""

    def __init__(self) -> None:
        self.overflows = 0
        """Requests that there was no room for."""
        self._waiting: dict[_RequestT, None] = {}  # the oldest first
        self._bytes_per_second: float | None = None
        self._level = 0.0  # bytes, at `_looked_at`
        self._looked_at = 0.0
        self._sent_before = 0
        self._due: float | None = None

    def limit(self, bitrate_bps: int | None) -> None:
        """Say what the path is known to carry; None: nothing has shown a limit, and nothing waits."""
        self._bytes_per_second = None if bitrate_bps is None else bitrate_bps / 8

    def add(self, requests: Iterable[_RequestT], now: float) -> None:
        """Take in requests: `take` says when each is to be answered."""
        for request in requests:
            if len(self._waiting) < MAX_WAITING:
                self._waiting[request] = None
            elif request not in self._waiting:
                self.overflows += 1
        if self._due is None and self._waiting:
            self._due = now

    def take(self, now: float, sent_bytes: int) -> _RequestT | None:
        """Return what to answer now; None: nothing. `sent_bytes` counts all that the path was ever sent."""
        if self._due is None or now < self._due:
            return None
        wait = self._measure(now, sent_bytes)
        if not self._waiting:
            self._due = None
            return None
        if wait:
            self._due = now + wait
            return None
        request = next(iter(self._waiting))
        del self._waiting[request]
        return request

    def next_timeout(self) -> float | None:
        """Say when `take` may have something to answer."""
        return self._due

    def _measure(self, now: float, sent_bytes: int) -> float:
        """Bring the level up to date; return how long to wait until it is empty; 0: it is low enough."""
        filled, self._sent_before = sent_bytes - self._sent_before, sent_bytes
        elapsed, self._looked_at = now - self._looked_at, now
        rate = self._bytes_per_second
        if rate is None:
            self._level = 0.0
            return 0.0
        self._level = min(DEPTH_SECONDS * rate, max(0.0, self._level + filled - elapsed * rate))
        seconds = self._level / rate
        return seconds if seconds > STEP_SECONDS else 0.0
