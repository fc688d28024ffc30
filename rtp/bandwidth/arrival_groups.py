"""Packets that left together and what the path made of them: its queue, and the rate at which it delivers.

Theory of operation. A packet's delay is when it arrived, by the receiver's clock, less when it left by ours: the least of
late is what the path takes when it is idle, and what a packet took longer it spent in a queue. Packets that left within
`GROUP_SECONDS` are one group (a frame leaves at once, so its last packets wait for its first ones), and the least delay
among them tells what was queued *before* the group: queues of our own bursts drain by the next group, unless there is
more than the path can carry.

A queue that is there in every group for `MIN_STANDING_SECONDS` is a standing one. If it grows, more is sent than the path
carries; and as the path was never idle meanwhile, the rate at which packets arrived is what it carries. If it only stands
or shrinks, nothing more is known: the path may have become longer, or a key frame of ours is still under way.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

GROUP_SECONDS: Final = 0.01
"""What leaves within this time of a group's first packet belongs to it."""

STANDING_DELAY_SECONDS: Final = 0.04
"""Delay, beyond the least, from which a queue counts: jitter is below."""

MIN_STANDING_SECONDS: Final = 0.2
"""For so long packets must have arrived late before a queue counts as standing."""

MAX_STANDING_SECONDS: Final = 1.0
"""How far back a standing queue is looked at."""

MIN_GROWTH_SECONDS: Final = 0.015
"""What a standing queue must have grown by, from its first third to its last, to count as growing."""

BASE_SECONDS: Final = 10.0
"""The least delay is that of the last one to two times as long: then a path that has become longer is taken as it is."""

RATE_SECONDS: Final = 0.3
"""The window of the delivery rate."""

MIN_RATE_SECONDS: Final = 0.2
"""What a window must span at least to tell a rate."""


@dataclass(slots=True)
class PacketGroup:
    """Packets that left within `GROUP_SECONDS` and have arrived: times in seconds, each on its host's clock."""

    sent_at: float
    arrived_at: float  # the last of them
    delay: float  # the least of them, plus the difference of the two clocks
    size: int  # bytes


class StandingQueue:
    """Watches the delay of groups for a queue that does not drain."""

    def __init__(self) -> None:
        self._late = deque[PacketGroup]()  # the newest ones, if there was a queue before each
        self._base: float | None = None
        self._next_base = 0.0
        self._base_since = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether the newest group found no queue."""
        return not self._late

    def add(self, group: PacketGroup) -> None:
        """Take in a group, which will not change any more."""
        if group.delay - self._find_base(group) <= STANDING_DELAY_SECONDS:
            self._late.clear()
            return
        self._late.append(group)
        while group.arrived_at - self._late[0].arrived_at > MAX_STANDING_SECONDS:
            self._late.popleft()

    def overload(self) -> int | None:
        """Return the bitrate at which the path delivers if that is less than what is sent; None if it does not show."""
        late = self._late
        if not late or (span := late[-1].arrived_at - late[0].arrived_at) < MIN_STANDING_SECONDS:
            return None
        third = span / 3
        first = min(group.delay for group in late if group.arrived_at <= late[0].arrived_at + third)
        last = min(group.delay for group in late if group.arrived_at >= late[-1].arrived_at - third)
        if last - first < MIN_GROWTH_SECONDS:
            return None
        return int(8 * (sum(group.size for group in late) - late[0].size) / span)

    def _find_base(self, group: PacketGroup) -> float:
        if self._base is None:
            self._base = self._next_base = group.delay
            self._base_since = group.arrived_at
        elif group.arrived_at - self._base_since > BASE_SECONDS:
            self._base, self._next_base = self._next_base, group.delay
            self._base_since = group.arrived_at
        self._next_base = min(self._next_base, group.delay)
        self._base = min(self._base, self._next_base)
        return self._base


class DeliveryRate:
    """How much has arrived lately: the path carries as much at least."""

    def __init__(self) -> None:
        self._groups = deque[PacketGroup]()
        self._size = 0
        self.bitrate_bps: int | None = None
        """Over the last `RATE_SECONDS`; None while nothing is known."""

    def add(self, group: PacketGroup) -> None:
        """Take in a group, which will not change any more."""
        groups = self._groups
        groups.append(group)
        self._size += group.size
        while len(groups) > 2 and group.arrived_at - groups[1].arrived_at > RATE_SECONDS:
            self._size -= groups.popleft().size
        first = groups[0]
        # what is sent in a second and arrives within a tenth has been delivered in a second
        span = max(group.arrived_at - first.arrived_at, group.sent_at - first.sent_at)
        if span >= MIN_RATE_SECONDS:
            self.bitrate_bps = int(8 * (self._size - first.size) / span)
