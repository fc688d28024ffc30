"""Feeds every target what the network might: `--fuzz-inputs` inputs each, the same in every run."""

import importlib
import signal
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import pytest

from rtp.errors import RemoteProtocolError
from tests.fuzz.mutator import Mutator
from tests.fuzz.target import Target

MUTATOR_SEED: Final = 1
LIMIT_SECONDS: Final = 1.0
"""The longest that one input may keep us, in time of our own process: a busy machine is no bug of the target's."""


class TooSlowError(Exception):
    """An input took longer than `LIMIT_SECONDS`."""


@contextmanager
def watch() -> Iterator[None]:
    """Let an input that takes too long end in `TooSlowError`, even if it would never have ended."""

    def stop(number: int, frame: types.FrameType | None) -> NoReturn:
        raise TooSlowError(f"longer than {LIMIT_SECONDS} s")

    before = signal.signal(signal.SIGPROF, stop)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def fuzz(target: Target, inputs: int) -> None:
    """Feed `target` its seeds and as many more as make `inputs`; fail the test at the first that it cannot take."""
    mutator = Mutator(target.seeds(), MUTATOR_SEED)
    with watch():
        for number in range(inputs):
            data = mutator.make(number)
            signal.setitimer(signal.ITIMER_PROF, LIMIT_SECONDS)
            try:
                target.run(data)
            except RemoteProtocolError:
                pass  # what a target may raise
            except Exception as error:
                signal.setitimer(signal.ITIMER_PROF, 0)
                error.add_note(f"target {target.name}, mutator seed {MUTATOR_SEED}, input {number}: {data.hex()}")
                raise


def collect() -> list[Target]:
    """Return the targets of every `targets_*.py` beside this file."""
    modules = sorted(path.stem for path in Path(__file__).parent.glob("targets_*.py"))
    return [target for module in modules for target in importlib.import_module(f"tests.fuzz.{module}").TARGETS]


@pytest.mark.parametrize("target", collect(), ids=lambda target: target.name)
def test_hostile_input_ends_in_a_protocol_error_at_worst(target: Target, pytestconfig: pytest.Config) -> None:
    fuzz(target, max(pytestconfig.getoption("fuzz_inputs"), len(target.seeds())))


def test_a_failing_input_is_named_so_that_it_repeats() -> None:
    def run(data: bytes) -> None:
        if len(data) > 1:
            raise IndexError

    with pytest.raises(IndexError) as failure:
        fuzz(Target("brittle", lambda: [b"\x01", b"\x02\x03"], run), 10)
    assert failure.value.__notes__ == ["target brittle, mutator seed 1, input 1: 0203"]


def test_an_input_that_takes_forever_is_stopped_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(data: bytes) -> None:
        while data:
            pass

    monkeypatch.setitem(fuzz.__globals__, "LIMIT_SECONDS", 0.05)
    with pytest.raises(TooSlowError) as failure:
        fuzz(Target("endless", lambda: [b"", b"\x00"], run), 10)
    assert failure.value.__notes__ == ["target endless, mutator seed 1, input 1: 00"]


def test_two_targets_never_share_a_name() -> None:
    names = [target.name for target in collect()]
    assert sorted(set(names)) == sorted(names)
