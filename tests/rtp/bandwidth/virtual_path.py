"""A path with a bottleneck, in steps of a millisecond: what enters it, and when it arrives, if it does."""

from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Final

STEP: Final = 0.001
HOLD_BACK_SECONDS: Final = 0.02
FOREIGN: Final = -1
"""What competing flows send: it takes its share of the queue, and goes elsewhere."""


@dataclass(frozen=True)
class Conditions:
    """Of one path: `rates` are (from when, bit/s), ascending; the queue turns away what would wait longer than its depth."""

    rates: tuple[tuple[float, float], ...] = ((0.0, 1e9),)
    queue_seconds: float = 0.3
    queue_bytes: int | None = None  # instead
    delay_seconds: float = 0.025
    jitter_seconds: float = 0.0
    loss: float = 0.0
    reorder: float = 0.0
    shift: tuple[float, float] = (1e9, 0.0)  # from when the path is longer, and by how much
    stall: tuple[float, float] = (1e9, 0.0)  # when nothing passes, and for how long


class VirtualPath:
    """One direction: packets are (name, size)."""

    def __init__(self, conditions: Conditions, random: Random) -> None:
        self.conditions = conditions
        self._random = random
        self._queue = deque[tuple[int, int]]()
        self._queued = 0
        self._credit = 0.0
        self._last_arrival = 0.0
        self.overflowed = 0

    def rate(self, now: float) -> float:
        start, length = self.conditions.stall
        if start <= now < start + length:
            return 0.0
        return next(rate for since, rate in reversed(self.conditions.rates) if now >= since)

    def waiting(self, now: float) -> float:
        """For how long what enters now would wait."""
        return self._queued * 8 / max(1.0, self.rate(now))

    def send(self, name: int, size: int, now: float) -> bool:
        limit = self.conditions.queue_bytes
        is_full = self._queued + size > limit if limit else self.waiting(now) > self.conditions.queue_seconds
        if is_full:
            self.overflowed += 1
            return False
        self._queue.append((name, size))
        self._queued += size
        return True

    def step(self, now: float) -> list[tuple[float, int]]:
        """Return what leaves the bottleneck within this step: when it arrives, and its name."""
        arrivals: list[tuple[float, int]] = []
        rate = self.rate(now)
        self._credit += rate * STEP / 8
        while self._queue and self._credit >= self._queue[0][1]:
            name, size = self._queue.popleft()
            self._queued -= size
            self._credit -= size
            if name == FOREIGN:
                continue
            if self._random.random() < self.conditions.loss:
                continue
            left = now + STEP - self._credit * 8 / rate
            arrivals.append((self._arrive(left), name))
        if not self._queue:
            self._credit = 0.0
        return arrivals

    def _arrive(self, left: float) -> float:
        since, longer = self.conditions.shift
        at = left + self.conditions.delay_seconds + (longer if left >= since else 0.0)
        if self.conditions.jitter_seconds:
            at += self._random.uniform(0, self.conditions.jitter_seconds)
        if self._random.random() < self.conditions.reorder:
            return at + HOLD_BACK_SECONDS
        self._last_arrival = max(self._last_arrival, at)
        return self._last_arrival
