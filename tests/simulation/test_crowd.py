"""Twenty visitors at once: nothing is left of them, and one seed tells one story."""

import os
import subprocess
import sys

from tests.simulation.crowd import run_crowd


def test_of_a_crowd_nothing_is_left_behind(simulation_seed) -> None:
    print(f"repeat with python -m tests.simulation.crowd {simulation_seed} --lines")  # noqa: T201 - shown if it fails
    trace, done = run_crowd(simulation_seed)
    assert len(trace.lines) > 1_500
    assert done["join single"] + done["join dual"] >= 20
    assert {"publish", "join single", "join dual"} <= set(done)
    assert done.total() > 50


def test_one_seed_gives_one_trace_whatever_the_hash_seed_and_another_seed_another_trace() -> None:
    runs = [_start(1, hash_seed=1), _start(1, hash_seed=2), _start(2, hash_seed=1)]
    first, again, other = [_digest(run) for run in runs]
    assert first == again
    assert first != other


def _start(seed: int, *, hash_seed: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.simulation.crowd", str(seed)],
        env=os.environ | {"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": os.getcwd()},  # noqa: PTH109 - as pytest has it
        stdout=subprocess.PIPE,
        text=True,
    )


def _digest(run: subprocess.Popen[str]) -> str:
    output, _ = run.communicate()
    assert run.returncode == 0
    return output.strip()
