"""For tests that take no time, of code that asks what time it is."""

from collections.abc import Callable
from functools import partial, wraps

import trio
from trio.testing import MockClock


def in_trio(function: Callable[..., None]) -> Callable[..., None]:
    """Let a plain function run where `trio.current_time` has an answer, on a clock that stands still."""

    @wraps(function)
    def run(*args: object, **kwargs: object) -> None:
        trio.run(_call, partial(function, *args, **kwargs), clock=MockClock())

    return run


async def _call(function: Callable[[], None]) -> None:
    await trio.lowlevel.checkpoint()
    function()
