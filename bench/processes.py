"""Processes that answer JSON lines, and what the kernel says of them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
END_SECONDS: Final = 20

RESULTS: Final = Path(__file__).parent / "results"
LOG: Final = RESULTS / "log"
"""What all processes had to say."""


class Process:
    """A Python program of this folder, made by `run`."""

    def __init__(self, name: str, child: subprocess.Popen[str]) -> None:
        self._name = name
        self._child = child

    def ask(self, **request: object) -> Any:
        """Send one line and return the answer to it."""
        assert self._child.stdin is not None, "opened with a pipe"
        self._child.stdin.write(json.dumps(request) + "\n")
        self._child.stdin.flush()
        return self.read()

    def read(self) -> Any:
        """Return the next line that it prints."""
        assert self._child.stdout is not None, "opened with a pipe"
        line = self._child.stdout.readline()
        if not line:
            raise SystemExit(f"the {self._name} process has ended: see {LOG}")
        return json.loads(line)

    @property
    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far; the kernel counts in ticks, of 10 ms nearly everywhere."""
        fields = Path(f"/proc/{self._child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND

    @property
    def resident_bytes(self) -> int:
        """What of it is in memory."""
        return int(Path(f"/proc/{self._child.pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def machine_busy_seconds() -> float:
    """How long the processors of this machine have worked since it started, all added up."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS_PER_SECOND


@contextmanager
def run(module: str, *arguments: str) -> Iterator[Process]:
    """Run a program of this folder for as long as the block lasts. What it logs goes to the end of `bench/results/log`."""
    command = [sys.executable, "-m", f"bench.{module}", *arguments]
    LOG.parent.mkdir(exist_ok=True)
    with (
        LOG.open("ab") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as child,
    ):
        try:
            yield Process(module, child)
        finally:
            child.terminate()
            try:
                child.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
