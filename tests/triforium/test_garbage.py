"""Full collections happen in quiet moments only, and the collector is given back as it was."""

import gc
import weakref
from typing import Final

import trio
from trio.testing import MockClock

from triforium.garbage import COLLECTION_SECONDS, GROWTH, collect_when_idle

TICK_SECONDS: Final = COLLECTION_SECONDS + 1


class Cycle:
    def __init__(self) -> None:
        self.me = self


async def test_cycles_are_freed_by_the_timer_and_the_collector_is_given_back(autojump_clock: MockClock) -> None:
    before = gc.get_threshold()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect_when_idle)
        await trio.testing.wait_all_tasks_blocked()
        assert gc.get_threshold()[2] > before[2], "automatic full collections are off"
        cycle = Cycle()
        gc.collect(1)
        gc.collect(1)  # it is among the oldest by now, which only a full collection looks at
        remains = weakref.ref(cycle)
        del cycle
        assert remains() is not None
        await trio.sleep(TICK_SECONDS)
        assert remains() is None
        nursery.cancel_scope.cancel()
    assert gc.get_threshold() == before


async def test_what_stays_is_looked_at_again_only_once_there_is_much_more_of_it(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect_when_idle)
        await trio.testing.wait_all_tasks_blocked()
        cycle = Cycle()
        remains = weakref.ref(cycle)
        await trio.sleep(TICK_SECONDS)
        del cycle
        await trio.sleep(3 * TICK_SECONDS)
        assert remains() is not None, "it is frozen with all that was alive"
        more = [Cycle() for _ in range(int((GROWTH - 1) * gc.get_freeze_count()) + 1000)]
        await trio.sleep(TICK_SECONDS)
        assert remains() is None
        del more
        nursery.cancel_scope.cancel()
    gc.collect()
