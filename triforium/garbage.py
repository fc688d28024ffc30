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

_NEVER: Final = 1_000_000_000


async def collect_when_idle() -> NoReturn:
    """Take full collections out of the collector's hands, and run them in quiet moments, until cancelled."""
    gc.collect()
    gc.freeze()  # what start-up made stays for good: no collection need look at it again
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)
    try:
        while True:
            await trio.sleep(COLLECTION_SECONDS)
            with trio.move_on_after(PATIENCE_SECONDS):
                await wait_all_tasks_blocked(IDLE_SECONDS)
            gc.collect()
    finally:
        gc.set_threshold(young, middle, old)
        gc.unfreeze()
