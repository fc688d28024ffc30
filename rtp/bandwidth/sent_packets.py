"""The packets that were sent last, by their transport-wide numbers: when, how big, and what became of them.

A packet is an entry in each of three arrays and no object: hundreds a second are sent to every subscriber. The newest
`MAX_PACKETS` always lie in one piece, so that what a message tells of is one slice of each.
"""

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, compress
from typing import Final, TypeAlias

Arrival: TypeAlias = tuple[float, int, int]
"""A packet that has come: when it left, in seconds by our clock; when it came, in ticks by the receiver's; its bytes."""

MAX_PACKETS: Final = 2_048
"""How many of the newest packets are remembered."""

SPARE: Final = 256
"""Room for so many more: only when that is used up are the entries moved."""

SENT: Final = 0
LOST: Final = 1
RECEIVED: Final = 2
UNTOLD: Final = 3
"""No feedback came that speaks of it, though some has come that speaks of later ones."""


class SentPackets:
    """Numbers packets from 0 on, and remembers them. Entry `number - start` of each array is that of packet `number`.

    `next` is the number of the next packet, `bytes` the size of all so far. `received`, `lost` and `repeated` count what
    was told of them: that they came, that they did not, and that they came when it was known.
    """

    __slots__ = ("_room", "bytes", "lost", "next", "received", "repeated", "sizes", "start", "states", "times")

    def __init__(self) -> None:
        self._room = MAX_PACKETS + SPARE
        self.times = array("d", bytes(8 * self._room))
        self.sizes = array("H", bytes(2 * self._room))
        self.states = bytearray(self._room)
        self.start = self.next = self.bytes = 0
        self.received = self.lost = self.repeated = 0

    @property
    def oldest(self) -> int:
        """The number of the first packet that is remembered."""
        return max(0, self.next - MAX_PACKETS)

    def add(self, size: int, now: float) -> int:
        """Count a packet of `size` bytes, media or padding; return the transport-wide number, unwrapped, to send it by."""
        number = self.next
        self.next = number + 1
        at = number - self.start
        if at == self._room:
            at = self._make_room()
        self.times[at] = now
        self.sizes[at] = size
        self.bytes += size
        return number

    def match(self, first: int, deltas: Sequence[int | None], ticks: int) -> tuple[Iterable[Arrival], int, int]:
        """Take in what became of the packets from `first` on, all of which are remembered.

        `deltas` are the ticks between their arrivals, None where none came, and `ticks` is the arrival before them.
        Returns those of whose arrival nobody knew, how many they are, and of how many nobody knew that they were lost.
        """
        here = slice(first - self.start, first - self.start + len(deltas))
        states, received, lost = self.states[here], len(deltas), 0
        is_whole = None not in deltas
        steps = deltas if is_whole else [delta or 0 for delta in deltas]
        came_at = accumulate(steps, initial=ticks)
        next(came_at)
        arrivals: Iterable[Arrival] = zip(self.times[here], came_at, self.sizes[here], strict=False)  # type: ignore[arg-type] # no step is None
        if is_whole and states.count(SENT) == received:  # as it nearly always is: then nothing is done packet by packet
            self.states[here] = bytes((RECEIVED,)) * received
        else:
            after, is_news = bytearray((RECEIVED,)) * received, bytearray((True,)) * received
            for at, (delta, state) in enumerate(zip(deltas, states, strict=True)):
                if delta is None:
                    after[at], is_news[at] = state or LOST, False
                    lost += state == SENT
                elif state == RECEIVED:
                    is_news[at] = False
            arrivals, received = compress(arrivals, is_news), sum(is_news)
            self.states[here] = after
            self.lost += after.count(LOST) - states.count(LOST)
            self.repeated += len(deltas) - deltas.count(None) - received
        self.received += received
        return arrivals, received, lost

    def skip(self, first: int, end: int) -> int:
        """Take packets for received of which no feedback has told: feedback is lost too. Return their size."""
        if first >= end:
            return 0
        here, count = slice(first - self.start, end - self.start), end - first
        size = sum(self.sizes[here])
        self.states[here] = bytes((UNTOLD,)) * count
        self.sizes[here] = array("H", bytes(2 * count))  # it has been counted
        return size

    def _make_room(self) -> int:
        """Forget the oldest packets; return where the next one goes."""
        self.times[:MAX_PACKETS] = self.times[SPARE:]
        self.sizes[:MAX_PACKETS] = self.sizes[SPARE:]
        self.states[:MAX_PACKETS] = self.states[SPARE:]
        self.states[MAX_PACKETS:] = bytes(SPARE)
        self.start += SPARE
        return MAX_PACKETS
