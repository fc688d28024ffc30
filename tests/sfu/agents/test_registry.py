"""Who is asked to take a job."""

from collections import Counter
from random import Random

import pytest
from livekit.protocol.models import ParticipantPermission

from sfu.agents.registry import Registry, choose
from sfu.agents.worker import DeploymentError, Worker, WorkerKey, check_deployment

KEY = WorkerKey("bot", "", 0, "")


def worker(name: str, load: float, *, is_available: bool = True) -> Worker:
    made = Worker(name, KEY, ParticipantPermission(), "key", lambda _: None)
    made.set_status(load, is_available=is_available)
    return made


IDLE, HALF, BUSY, FULL = (
    worker("idle", 0),
    worker("half", 0.5),
    worker("busy", 0.7),
    worker("full", 0, is_available=False),
)


@pytest.mark.parametrize(
    ("workers", "refused", "dice", "chosen"),
    [
        ([], (), 0.0, None),
        ([BUSY, FULL], (), 0.0, None),
        ([IDLE], ("idle",), 0.0, None),
        ([IDLE, HALF], ("idle",), 0.0, HALF),
        ([IDLE, HALF], (), 0.0, IDLE),
        ([IDLE, HALF], (), 0.66, IDLE),
        ([IDLE, HALF], (), 0.67, HALF),
        ([FULL, HALF, BUSY, IDLE], (), 0.33, HALF),
        ([FULL, HALF, BUSY, IDLE], (), 0.34, IDLE),
        ([IDLE, HALF], (), 0.9999999999999999, HALF),
    ],
)
def test_the_idler_the_likelier(
    workers: list[Worker], refused: tuple[str, ...], dice: float, chosen: Worker | None
) -> None:
    assert choose(workers, refused, dice) is chosen


def test_of_many_each_is_drawn_as_often_as_it_is_idle() -> None:
    registry = Registry(Random(1))
    for each in (IDLE, HALF, BUSY, FULL):
        registry.add(each)
    drawn = Counter(registry.choose(KEY, set()) for _ in range(6000))
    assert drawn.keys() == {IDLE, HALF}
    assert drawn[IDLE] == pytest.approx(4000, abs=150)


def test_who_refused_is_not_drawn_and_is_forgotten_once_gone() -> None:
    registry = Registry(Random(1))
    registry.add(HALF)
    refused = {"half", "gone"}
    assert registry.choose(KEY, refused) is None
    assert refused == {"half"}


@pytest.mark.parametrize(
    ("said", "load"), [(0.2, 0.2), (-1, 0), (7, 1), (float("nan"), 1), (float("inf"), 1), (float("-inf"), 1)]
)
def test_a_load_that_cannot_be_is_not_believed(said: float, load: float) -> None:
    assert worker("liar", said).load == load


@pytest.mark.parametrize("deployment", ["a_b", "a b", "a\tb", "ä" * 33])
def test_a_deployment_has_a_short_plain_name(deployment: str) -> None:
    check_deployment("ä" * 32)
    with pytest.raises(DeploymentError):
        check_deployment(deployment)
