"""trio's order of tasks, from a seed.

trio shuffles each batch of runnable tasks on purpose, so that nobody leans on their order. For a simulation that is to
give the same trace twice, the shuffle has to come from our seed. trio has the switch, but keeps it for Hypothesis and
its own tests: `_ALLOW_DETERMINISTIC_SCHEDULING` sorts a batch by the tasks' age before it shuffles, and `_r` is the
generator it shuffles with. Both are private, which is why trio's minor version is pinned, and why they are touched
nowhere but here.

Sorting by age is what makes runs independent of memory addresses and of PYTHONHASHSEED: trio wakes the waiters of an
event in a set's order, which differs from process to process. What is left for simulated code to mind is its own: to
let no outcome hang on the order of a set of strings or bytes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Final

import trio._core._run as trio_run

_SWITCH: Final = "_ALLOW_DETERMINISTIC_SCHEDULING"


@contextmanager
def deterministic_scheduling(seed: int) -> Iterator[None]:
    """Make every `trio.run` inside the block order its tasks by `seed` alone.

    Enter it outside `trio.run`: the order of a run depends on all its batches since the first. The switch is
    process-wide, so two threads must not run trio in such a block at once. On leaving, all is as it was.

    Raises:
        AttributeError: if this version of trio has no such switch.
    """
    shuffler: Random = trio_run._r  # noqa: SLF001  # trio offers no public way: see above
    was_on: bool = getattr(trio_run, _SWITCH)
    state = shuffler.getstate()
    setattr(trio_run, _SWITCH, True)
    shuffler.seed(seed)
    try:
        yield
    finally:
        setattr(trio_run, _SWITCH, was_on)
        shuffler.setstate(state)
