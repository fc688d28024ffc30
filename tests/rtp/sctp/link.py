"""Two cores joined by a virtual link that loses, repeats and reorders by a seed. Time is the link's own."""

import math
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any, Protocol

from rtp.sctp.association import SctpAssociation
from rtp.sctp.outputs import SendPacket

SECRET = bytes(range(32))
QUEUE_BYTES = 64_000
OVERHEAD_BYTES = 70
"""What DTLS, UDP and IP put round a packet, about."""


class Core(Protocol):
    def receive(self, packet: bytes, now: float) -> Sequence[Any]: ...
    def next_timeout(self) -> float | None: ...
    def handle_timeout(self, now: float) -> Sequence[Any]: ...


class Link:
    """Carries packets between `ends[0]` and `ends[1]`; `seen[i]` is all that end i put out, packets apart.

    `delay` is the least and the most that a packet takes, in seconds: where they differ, packets overtake each other.
    With `bytes_per_second` each way has a bottleneck, with room for `QUEUE_BYTES` in front of it.
    """

    def __init__(
        self,
        left: Core,
        right: Core,
        *,
        seed: int = 0,
        loss: float = 0.0,
        repeat: float = 0.0,
        delay: tuple[float, float] = (0.02, 0.02),
        bytes_per_second: float = math.inf,
    ) -> None:
        self.now = 0.0
        self.ends = (left, right)
        self.seen: tuple[list[Any], list[Any]] = ([], [])
        self.packets: tuple[list[bytes], list[bytes]] = ([], [])  # sent by each
        self.drops: Callable[[int, bytes], bool] = lambda _end, _packet: self._random.random() < loss
        self._random = Random(seed)
        self._repeat = repeat
        self._delay = delay
        self._bytes_per_second = bytes_per_second
        self._free_at = [0.0, 0.0]  # when each end's bottleneck has passed on all that it has
        self._order = count()
        self._flying: list[tuple[float, int, int, bytes]] = []

    def perform(self, end: int, outputs: Sequence[Any]) -> None:
        """Send what `ends[end]` wants sent, and note the rest."""
        for output in outputs:
            if not isinstance(output, SendPacket):
                self.seen[end].append(output)
                continue
            self.packets[end].append(output.data)
            if self.drops(end, output.data):
                continue
            for _ in range(2 if self._random.random() < self._repeat else 1):
                self._carry(end, output.data)

    def _carry(self, end: int, packet: bytes) -> None:
        begins = max(self.now, self._free_at[end])
        if begins - self.now > QUEUE_BYTES / self._bytes_per_second:
            return
        self._free_at[end] = begins + (len(packet) + OVERHEAD_BYTES) / self._bytes_per_second
        arrives = self._free_at[end] + self._random.uniform(*self._delay)
        heappush(self._flying, (arrives, next(self._order), 1 - end, packet))

    def run(self, until: float) -> None:
        """Let time pass, up to `until` at most; stop when nothing is left to happen."""
        while True:
            due = [(self._flying[0][0], 2)] if self._flying else []
            due += [(time, i) for i, end in enumerate(self.ends) if (time := end.next_timeout()) is not None]
            time, what = min(due, default=(float("inf"), 0))
            if time > until:
                self.now = until
                return
            self.now = max(self.now, time)
            if what == 2:
                _, _, end, packet = heappop(self._flying)
                self.perform(end, self.ends[end].receive(packet, self.now))
            else:
                self.perform(what, self.ends[what].handle_timeout(self.now))


def association(number: int, **arguments: Any) -> SctpAssociation:
    """Return an association with a tag and TSN of its own; TSNs wrap early on."""
    return SctpAssociation(
        tag=0x1000 + number, initial_tsn=0xFFFF_FFF0 + number, cookie_secret=SECRET + bytes([number]), **arguments
    )


def connected(**arguments: Any) -> tuple[Link, SctpAssociation, SctpAssociation]:
    """Return a link without faults and the two associations that have come up over it."""
    left, right = association(1, **arguments), association(2, **arguments)
    link = Link(left, right)
    link.perform(0, left.connect(0.0))
    link.run(1.0)
    for seen in link.seen:
        seen.clear()
    for packets in link.packets:
        packets.clear()
    return link, left, right
