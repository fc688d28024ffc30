"""What lies between two hosts, as arithmetic: when, if at all, does what is sent arrive?

No clock is read and nothing is kept but two instants: `network` schedules by these answers, and a test that joins two
sans-IO cores in a plain loop can do the same.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

HOLD_BACK_SECONDS: Final = 0.02
"""How much longer a reordered datagram is under way: what leaves within this time overtakes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The conditions in one direction between two hosts. The default is a perfect link.

    A datagram first waits for its turn at a bottleneck of `rate_bps` (None: none) that holds up to `queue_bytes`,
    the one being sent included, and turns away what does not fit. Then it is lost with probability `loss`. What is
    left arrives `delay_seconds` later, and up to `jitter_seconds` on top, evenly spread. Order is kept whatever the
    jitter, as on most real paths; but with probability `reorder` a datagram is held back by `HOLD_BACK_SECONDS`, and
    with probability `duplicate` it arrives twice. Sizes are those of the payload: no headers are added.
    """

    delay_seconds: float = 0.0
    jitter_seconds: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    rate_bps: float | None = None
    queue_bytes: int = 65_536


class Route:
    """One direction between two hosts: how long it is busy, and what the dice say.

    The conditions are passed with each call, so that they may change between any two. `now` is in seconds and never
    goes back.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._free_at = 0.0  # when the bottleneck has sent all that was queued
        self._last_arrival = 0.0

    def backlog(self, link: Link, now: float) -> int:
        """Return how many bytes wait at the bottleneck, the one being sent included."""
        if link.rate_bps is None:
            return 0
        return round(max(0.0, self._free_at - now) * link.rate_bps / 8)  # whole bytes, whatever the float's last digit

    def depart(self, link: Link, size: int, now: float) -> float:
        """Queue `size` bytes; return when the last of them has passed the bottleneck."""
        if link.rate_bps is None:
            return now
        self._free_at = max(now, self._free_at) + size * 8 / link.rate_bps
        return self._free_at

    def arrive(self, link: Link, departure: float) -> float:
        """Return when what departed then arrives, if it is neither lost nor reordered."""
        arrival = departure + link.delay_seconds
        if link.jitter_seconds:
            arrival += self._random.uniform(0, link.jitter_seconds)
        self._last_arrival = max(arrival, self._last_arrival)
        return self._last_arrival

    def carry(self, link: Link, size: int, now: float) -> list[float] | None:
        """Send one datagram of `size` bytes.

        Returns:
            When each copy of it arrives: none if it is lost. None if the bottleneck's queue has no room for it.
        """
        if link.rate_bps is not None and self.backlog(link, now) + size > link.queue_bytes:
            return None
        departure = self.depart(link, size, now)
        if self._happens(link.loss):
            return []
        copies = 2 if self._happens(link.duplicate) else 1
        return [self._pass(link, departure) for _ in range(copies)]

    def _pass(self, link: Link, departure: float) -> float:
        if self._happens(link.reorder):  # leaves `_last_arrival` alone: the others are not to wait for it
            return max(departure + link.delay_seconds, self._last_arrival) + HOLD_BACK_SECONDS
        return self.arrive(link, departure)

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability
