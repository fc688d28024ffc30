"""Numbers for what is sent on: without gaps of our own making, and continuous where the source changes."""

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass
from typing import Final

MAX_REMEMBERED_RUNS: Final = 100
"""Late packets from before this many runs of deliberate drops cannot be numbered any more."""


class GapCloser:
    """Renumbers one source, so that packets dropped on purpose leave no gap (a receiver would call it a loss).

    Sequence numbers are unwrapped, in and out. Each comes to `number` or to `drop`, never to both; then no two are given
    the same number, and each the same whenever it is asked for, but for the newest if something is put before it.
    """

    def __init__(self) -> None:
        self._highest: int | None = None
        # From each start on, up to the next, a number is lower by its offset: by how many were left out before it.
        self._starts: deque[int] = deque([0], maxlen=MAX_REMEMBERED_RUNS)
        self._offsets: deque[int] = deque([0], maxlen=MAX_REMEMBERED_RUNS)
        self._forgets = False  # whether runs before the first entry have been forgotten

    def number(self, sequence: int) -> int | None:
        """Return the number to send `sequence` under, or None if it was left out, or is too late to know."""
        if self._highest is None or sequence > self._highest:
            self._highest = sequence
        if sequence >= self._starts[-1]:
            return sequence - self._offsets[-1]
        at = bisect_right(self._starts, sequence) - 1
        if at < 0:
            return None if self._forgets else sequence - self._offsets[0]
        left_out = self._offsets[at + 1] - self._offsets[at]  # up to where the next run starts
        return None if sequence >= self._starts[at + 1] - left_out else sequence - self._offsets[at]

    def original(self, number: int) -> int | None:
        """Return the sequence number that `number` was given for, or None if it is too late to know.

        Where a hole is, it is what stood there.
        """
        at = bisect_right(range(len(self._starts)), number, key=lambda at: self._starts[at] - self._offsets[at]) - 1
        if at < 0:
            return None if self._forgets else number + self._offsets[0]
        return number + self._offsets[at]

    def insert(self, count: int) -> int:
        """Make room for `count` packets before the newest, which was numbered; return the first one's number.

        `original` knows nothing of them.
        """
        assert self._highest is not None, "there is nothing to put them before"
        first = self._highest - self._offsets[-1]
        self._begin_run(self._highest, self._offsets[-1] - count)
        return first

    def go_on(self, sequence: int, number: int) -> None:
        """Number the newest, `sequence`, and what follows from `number` on; of what came before nothing is known then.

        So holes are closed that are too wide to be left.
        """
        self._starts.clear()
        self._offsets.clear()
        self._forgets = True
        self._starts.append(sequence)
        self._offsets.append(sequence - number)

    def drop(self, sequence: int, *, with_missing: bool = False) -> None:
        """Leave `sequence` out. Only the packet after the newest can be hidden: others have numbers round them.

        `with_missing`: so can those that are missing between the two, because they are to be left out if they come.
        """
        first = sequence if self._highest is None else self._highest + 1
        if sequence < first or (sequence > first and not with_missing):
            self._highest = max(first - 1, sequence)  # it stays a hole, for which the receiver asks in vain
            return
        if self._highest is not None and self._starts[-1] == first and len(self._starts) > 1:
            self._starts[-1] = sequence + 1  # the run goes on
            self._offsets[-1] += sequence + 1 - first
        else:
            self._begin_run(sequence + 1, self._offsets[-1] + sequence + 1 - first)
        self._highest = sequence

    def _begin_run(self, start: int, offset: int) -> None:
        self._forgets |= len(self._starts) == MAX_REMEMBERED_RUNS
        self._starts.append(start)
        self._offsets.append(offset)


@dataclass(frozen=True, slots=True)
class Splice:
    """What to add to a source's numbers to get the subscriber's (modulo 2**16 and 2**32)."""

    sequence_offset: int
    timestamp_offset: int


@dataclass(frozen=True, slots=True)
class Sent:
    """Where a subscriber's stream stands: its highest number, the timestamp of that, and when the last packet left."""

    sequence: int
    timestamp: int
    at: float
