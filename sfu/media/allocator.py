"""How the bits that a subscriber's connection can carry are shared among its videos.

Theory of operation. Each video has a ladder: what it may be sent, from the least to what its subscriber wishes for, and
what each rung costs. First everybody gets the lowest rung, then those of the highest priority climb, a rung at a time
and in turn, then the others. Who cannot afford the next rung stops there, and what is left over goes to those after it.
Nobody climbs above what it is sent now unless there is some room to spare, for what layers cost varies from one second
to the next: without that, pictures would change for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from sfu.media.ladder import Level, Rung

HEADROOM: Final = 1.07
"""By how much more than is needed there must be to climb above what is sent now."""


@dataclass(frozen=True, slots=True)
class Demand:
    """One video: its ladder, of at least one rung; how important it is; and the level that it is sent in, if any."""

    ladder: tuple[Rung, ...]
    priority: int = 0
    current: Level | None = None

    def cost(self, at: int) -> int:
        """Return the bits per second of the rung `at`; -1 stands for nothing."""
        return self.ladder[at].bitrate_bps if at >= 0 else 0

    def needed(self, at: int, *, from_rung: int) -> float:
        """Return what has to be left over for the step from one rung to another, headroom included."""
        step = self.cost(at) - self.cost(from_rung)
        is_kept = self.current is not None and self.ladder[at].level <= self.current
        return step if is_kept else step * HEADROOM


def allocate(demands: Sequence[Demand], budget_bps: int, *, may_pause: bool) -> list[Rung | None]:
    """Return what each video gets of the budget, in their order; None: it is paused.

    Without `may_pause` everybody gets its lowest rung, whatever the budget.
    """
    order = sorted(range(len(demands)), key=lambda each: -demands[each].priority)
    granted = [-1] * len(demands)
    left = float(budget_bps)

    def climb(each: int, *, is_forced: bool = False) -> bool:
        nonlocal left
        demand, at = demands[each], granted[each]
        if at + 1 == len(demand.ladder):
            return False
        if not is_forced and demand.needed(at + 1, from_rung=at) > left:
            return False
        left -= demand.cost(at + 1) - demand.cost(at)
        granted[each] = at + 1
        return True

    climbing = [each for each in order if climb(each, is_forced=not may_pause)]
    for _, group in groupby(climbing, key=lambda each: demands[each].priority):
        turn = list(group)
        while turn:
            turn = [each for each in turn if climb(each)]
    return [demands[each].ladder[at] if at >= 0 else None for each, at in enumerate(granted)]


def next_step_bps(demands: Sequence[Demand], given: Sequence[Rung | None]) -> int | None:
    """Return what all videos would cost if the one that lacks most got its next rung; None if all have what they wish.

    It is the cheapest next step of those of the highest priority that lack something, with headroom.
    """
    used = sum(rung.bitrate_bps for rung in given if rung is not None)
    steps: list[tuple[int, float]] = []
    for demand, rung in zip(demands, given, strict=True):
        at = -1 if rung is None else demand.ladder.index(rung)
        if at + 1 < len(demand.ladder):
            steps.append((-demand.priority, (demand.cost(at + 1) - demand.cost(at)) * HEADROOM))
    return None if not steps else used + round(min(steps)[1])
