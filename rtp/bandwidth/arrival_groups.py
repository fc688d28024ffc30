"""Packets that left together, and what the path made of them: its queue, and the rate at which it delivers.

Theory of operation. A packet's delay is when it arrived, by the receiver's clock, less when it left by ours: the least of
late is what the path takes when it is idle, and what a packet took longer it spent in a queue. Packets that left within
`GROUP_SECONDS` are one group (a frame leaves at once, so its last packets wait for its first ones), and the least delay
among them tells what was queued *before* the group: queues of our own bursts drain by the next group, unless there is
more than the path can carry.

A queue that is there before every group for `MIN_STANDING_SECONDS` is a standing one. If it grows, more is sent than the
path carries; and as the path was never idle meanwhile, the rate at which packets arrived is what it carries. If it only
stands or shrinks, nothing more is known: the path may have become longer, or a key frame of ours is still under way.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from rtp.bandwidth.sent_packets import Arrival
from rtp.rtcp.transport_cc import TICK_SECONDS

GROUP_SECONDS: Final = 0.01
"""What leaves within this time of a group's first packet belongs to it."""

KEPT_SECONDS: Final = 1.0
"""How far back groups are looked at, by their arrival."""

MAX_GROUPS: Final = 128
"""The same where arrivals are told to go back in time."""

STANDING_DELAY_SECONDS: Final = 0.04
"""Delay, beyond the least, from which a queue counts: jitter is below."""

MIN_STANDING_SECONDS: Final = 0.2
"""For so long packets must have arrived late before a queue counts as standing."""

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


class ArrivalGroups:
    """The groups that have arrived of late. The newest is looked at as far as it has come."""

    def __init__(self) -> None:
        self._groups = deque[PacketGroup](maxlen=MAX_GROUPS)
        self._base: float | None = None  # the least delay
        self._next_base = 0.0  # the same, since `_base_since`
        self._base_since = 0.0

    def add(self, arrivals: Iterable[Arrival]) -> float:
        """Take in packets that have arrived; return when the last of them left."""
        groups = self._groups
        group = groups[-1] if groups else None
        until = -inf if group is None else group.sent_at + GROUP_SECONDS
        sent_at = 0.0
        for sent_at, ticks, size in arrivals:
            arrived_at = ticks * TICK_SECONDS
            delay = arrived_at - sent_at
            if group is None or sent_at > until:
                if group is not None:
                    self._learn_base(group)
                group = PacketGroup(sent_at, arrived_at, delay, size)
                until = sent_at + GROUP_SECONDS
                groups.append(group)
                while arrived_at - groups[0].arrived_at > KEPT_SECONDS:
                    groups.popleft()
                continue
            group.size += size
            if arrived_at > group.arrived_at:  # noqa: PLR1730 -- `max` costs twice as much, for every packet
                group.arrived_at = arrived_at
            if delay < group.delay:  # noqa: PLR1730 -- and so does `min`
                group.delay = delay
        return sent_at

    def overload(self) -> int | None:
        """Return the bitrate at which the path delivers if that is less than what is sent; None if it does not show."""
        late = self._late()
        if not late or (span := late[-1].arrived_at - late[0].arrived_at) < MIN_STANDING_SECONDS:
            return None
        first = min(group.delay for group in late if group.arrived_at <= late[0].arrived_at + span / 3)
        last = min(group.delay for group in late if group.arrived_at >= late[-1].arrived_at - span / 3)
        if last - first < MIN_GROWTH_SECONDS:
            return None
        start, size = _span(late)
        return round(8 * size / (late[-1].arrived_at - start.arrived_at))

    def has_queue(self) -> bool:
        """Say whether the newest group found a queue."""
        return bool(self._groups) and self._is_late(self._groups[-1])

    def rate(self) -> int | None:
        """Return the bitrate at which packets arrived in the last `RATE_SECONDS`; None if too little has."""
        if not self._groups:
            return None
        newest = self._groups[-1]
        start, size = _span(self._groups)
        # what was sent in a second and arrives within a tenth has been delivered in a second
        span = max(newest.arrived_at - start.arrived_at, newest.sent_at - start.sent_at)
        return round(8 * size / span) if span >= MIN_RATE_SECONDS else None

    def _late(self) -> list[PacketGroup]:
        """Return the newest groups, as far back as each found a queue."""
        late: list[PacketGroup] = []
        for group in reversed(self._groups):
            if not self._is_late(group):
                break
            late.append(group)
        late.reverse()
        return late

    def _is_late(self, group: PacketGroup) -> bool:
        return self._base is not None and group.delay - self._base > STANDING_DELAY_SECONDS

    def _learn_base(self, group: PacketGroup) -> None:
        if self._base is None:
            self._base = self._next_base = group.delay
            self._base_since = group.arrived_at
        elif group.arrived_at - self._base_since > BASE_SECONDS:
            self._base, self._next_base = self._next_base, group.delay
            self._base_since = group.arrived_at
        self._next_base = min(self._next_base, group.delay)
        self._base = min(self._base, self._next_base)


def _span(groups: Sequence[PacketGroup]) -> tuple[PacketGroup, int]:
    """Return a group that arrived `RATE_SECONDS` before the newest, or a little longer, and how much has come since."""
    newest, size = groups[-1], 0
    for group in reversed(groups):
        if newest.arrived_at - group.arrived_at >= RATE_SECONDS:
            return group, size
        size += group.size
    return groups[0], size - groups[0].size
