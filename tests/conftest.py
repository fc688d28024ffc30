"""What holds for the whole suite: where its chance comes from, and how much of it there is.

Each trio test runs under an order of tasks that hangs on its own name and `--scheduler-seed`, so that one run of the
suite tries as many orders as it has tests, and the same run can be had again. The long runs of `make deep` are these
options with greater numbers, and `--hypothesis-profile=deep`.
"""

import zlib
from collections.abc import Callable, Generator

import pytest
from hypothesis import HealthCheck, settings

from triforium.testing import deterministic_scheduling

# No deadline and no check for slowness: a busy machine is no bug.
_PROFILE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", _PROFILE, derandomize=True, max_examples=50)
settings.register_profile("deep", _PROFILE, derandomize=False, max_examples=2_000, print_blob=True)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("triforium")
    group.addoption("--scheduler-seed", type=int, default=0, help="seeds the order of tasks in every trio test")
    group.addoption("--simulation-seeds", type=int, default=20, help="how many seeds a simulation is run with")
    group.addoption("--judged-changes", type=int, default=100, help="how many changes are judged by a real decoder")
    group.addoption("--cancellation-stride", type=int, default=7, help="how many steps lie between two cancellations")
    group.addoption("--fuzz-inputs", type=int, default=300, help="how many inputs each fuzz target is given")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `simulation_seed` once for each of `--simulation-seeds`."""
    if "simulation_seed" in metafunc.fixturenames:
        metafunc.parametrize("simulation_seed", range(metafunc.config.getoption("simulation_seeds")))


@pytest.hookimpl(wrapper=True, trylast=True)  # last, so inside pytest-trio's: the test is a plain function by now
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    if item.get_closest_marker("trio") is None or not isinstance(item, pytest.Function):
        return (yield)
    suite_seed = item.config.getoption("scheduler_seed")
    seed = zlib.crc32(f"{suite_seed} {item.nodeid}".encode())
    item.add_report_section("call", "scheduler", f"repeat with --scheduler-seed={suite_seed}")
    handle = getattr(item.obj, "hypothesis", None)
    if handle is None:
        with deterministic_scheduling(seed):
            return (yield)
    # Hypothesis seeds trio's shuffle anew, and always alike, before each example: ours has to come after it.
    inner_test = handle.inner_test
    handle.inner_test = _scheduled(inner_test, seed)
    try:
        return (yield)
    finally:
        handle.inner_test = inner_test


def _scheduled(test: Callable[..., None], seed: int) -> Callable[..., None]:
    def scheduled_test(*args: object, **kwargs: object) -> None:
        with deterministic_scheduling(seed):
            test(*args, **kwargs)

    return scheduled_test
