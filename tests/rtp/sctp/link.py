"""Two cores joined by a virtual link that loses, repeats and reorders by a seed. Time is the link's own."""

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any, Protocol

from rtp.sctp.association import SctpAssociation
from rtp.sctp.outputs import SendPacket

SECRET = bytes(range(32))


class Core(Protocol):
    def receive(self, packet: bytes, now: float) -> Sequence[Any]: ...
    def next_timeout(self) -> float | None: ...
    def handle_timeout(self, now: float) -> Sequence[Any]: ...


class Link:
    """Carries packets between `ends[0]` and `ends[1]`; `seen[i]` is all that end i put out, packets apart."""

    def __init__(self, left: Core, right: Core, *, seed: int = 0, loss: float = 0.0, repeat: float = 0.0) -> None:
        self.now = 0.0
        self.ends = (left, right)
        self.seen: tuple[list[Any], list[Any]] = ([], [])
        self.packets: tuple[list[bytes], list[bytes]] = ([], [])  # sent by each
        self.drops: Callable[[int, bytes], bool] = lambda _end, _packet: self._random.random() < loss
        self._random = Random(seed)
        self._repeat = repeat
        self._is_jittery = bool(loss or repeat)
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
                delay = self._random.uniform(0.01, 0.06) if self._is_jittery else 0.02
                heappush(self._flying, (self.now + delay, next(self._order), 1 - end, output.data))

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
