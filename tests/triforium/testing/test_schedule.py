import os
import subprocess
import sys

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from triforium.testing import deterministic_scheduling


async def race() -> list[int]:
    # The waiters of an event are woken in a set's order, and a set of tasks is ordered by their places in memory.
    finished: list[int] = []
    go = trio.Event()

    async def run(name: int) -> None:
        await go.wait()
        finished.append(name)

    async with trio.open_nursery() as nursery:
        for name in range(20):
            nursery.start_soon(run, name)
        await trio.testing.wait_all_tasks_blocked()
        go.set()
    return finished


def race_under(seed: int) -> list[int]:
    with deterministic_scheduling(seed):
        return trio.run(race)


@given(seed=st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_order(seed: int) -> None:
    assert race_under(seed) == race_under(seed)


def test_another_seed_gives_another_order() -> None:
    orders = {tuple(race_under(seed)) for seed in range(10)}
    assert len(orders) == 10


def test_the_order_does_not_hang_on_the_hash_seed() -> None:
    program = f"from {__name__} import race_under; print(race_under(7))"
    orders = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(orders) == 1


def test_afterwards_the_shuffle_goes_on_where_it_was() -> None:
    with deterministic_scheduling(1):
        undisturbed = [trio.run(race), trio.run(race)]
    with deterministic_scheduling(1):
        first = trio.run(race)
        race_under(2)
        assert [first, trio.run(race)] == undisturbed
