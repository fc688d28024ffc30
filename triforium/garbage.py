"""When the garbage collector may stop the world. Only the command line takes it in hand: an embedder has its own ways."""

import gc
from typing import Final, NoReturn

import trio
from trio.testing import wait_all_tasks_blocked

COLLECTION_SECONDS: Final = 30.0
"""Between full collections: reference counts free nearly everything, cycles wait for this."""

IDLE_SECONDS: Final = 0.005
"""For so long nothing may have happened before a collection: then a packet is not likely to come in the middle of it."""

PATIENCE_SECONDS: Final = 5.0
"""After this long without a moment's peace it is done all the same: memory has to be bounded."""

GROWTH: Final = 2
"""What a collection has left alive is looked at again only when there is so much more of it: beside the server itself a
hundred participants are 45,000 objects, and looking at all of them takes a tenth of a second."""

_NEVER: Final = 1_000_000_000


async def collect_when_idle() -> NoReturn:
    """Take full collections out of the collector's hands, and run them in quiet moments, until cancelled.

    What survives one is frozen. A cycle that becomes garbage only later waits until the frozen have grown by `GROWTH`, so
    there is never more garbage than what is alive.
    """
    settled = _collect_and_freeze()
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)
    try:
        while True:
            await trio.sleep(COLLECTION_SECONDS)
            with trio.move_on_after(PATIENCE_SECONDS):
                await wait_all_tasks_blocked(IDLE_SECONDS)
            if _collect_and_freeze() > GROWTH * settled:
                gc.unfreeze()
                settled = _collect_and_freeze()
    finally:
        gc.set_threshold(young, middle, old)
        gc.unfreeze()


def _collect_and_freeze() -> int:
    """Free what has become garbage and is not frozen, freeze the rest, and return how much is frozen."""
    gc.collect()
    gc.freeze()
    return gc.get_freeze_count()
