"""Measure the server: `python -m bench [NAME…]` runs all loads, or those whose names are given, three times each.

The long ones run if they are named, and once.
"""

import json
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from bench.loads import (
    Crowd,
    Data,
    Dispatches,
    Flood,
    Idlers,
    JoinsAtOnce,
    Layers,
    Load,
    Media,
    Meeting,
    SlowReader,
    Turnover,
)
from bench.messages import BULK_BYTES, LOSSY_BYTES
from bench.processes import RESULTS

RUNS: Final = 3

LOADS: Final[dict[str, Load]] = {
    "video-1": Media("video", 1),
    "video-10": Media("video", 10),
    "video-50": Media("video", 50),
    "video-50-twcc": Media("video", 50, feedback="TRANSPORT_CC"),
    "video-50-of-550": Media("video", 50, bystanders=500),
    "video-200": Media("video", 200, checked_every=8),
    "layers-50": Layers(50),
    "flood-50": Flood(50),
    "audio-100": Media("audio", 100),
    "meeting-10": Meeting(10),
    "data-bulk": Data("data-bulk", BULK_BYTES, 1),
    "data-50": Data("data-lossy", LOSSY_BYTES, 50),
    "data-slow": SlowReader(10),
    "join-at-once": JoinsAtOnce(),
    "idle-two": Idlers(single=False),
    "idle-one": Idlers(single=True),
    "dispatches": Dispatches(1000, 200),
    "crowd": Crowd(1000),
}

LONG_LOADS: Final[dict[str, Load]] = {
    "turnover": Turnover("full", 5_000),
    "turnover-by-signal": Turnover("signal", 100_000),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: LiveKit's figure (None: not measured) and what we want to reach (None: nothing set).

    The target is not to be exceeded, or `at_least` reached.
    """

    load: str
    figure: str
    label: str
    livekit: float | None = None
    target: float | None = None
    at_least: bool = False

    def is_missed(self, value: float) -> bool:
        """Say whether a figure fails its target."""
        return self.target is not None and (value < self.target if self.at_least else value > self.target)


# LiveKit's server 1.13.4, measured in the same way on a machine of the same kind: see the README.
ROWS: Final = (
    Row("video-1", "packet_us", "video 1 → 1: CPU µs per packet out", 243),
    Row("video-1", "delay_p50_ms", "  one-way delay p50, ms", 0.52),
    Row("video-1", "delay_p99_ms", "  one-way delay p99, ms", 0.92),
    Row("video-10", "packet_us", "video 1 → 10: CPU µs per packet out", 39),
    Row("video-10", "delay_p50_ms", "  one-way delay p50, ms", 0.92),
    Row("video-10", "delay_p99_ms", "  one-way delay p99, ms", 2.2),
    Row("video-10", "per_wake_up", "  inbound packets per wake-up"),
    Row("video-50", "packet_us", "video 1 → 50: CPU µs per packet out", 25.4, 15),
    Row("video-50", "delay_p50_ms", "  one-way delay p50, ms", 2.7),
    Row("video-50", "delay_p99_ms", "  one-way delay p99, ms", 7.4, 5),
    Row("video-50", "per_wake_up", "  inbound packets per wake-up"),
    Row("video-50-twcc", "packet_us", "the same, told of each arrival: CPU µs per packet out"),
    Row("video-50-twcc", "delay_p99_ms", "  one-way delay p99, ms"),
    Row("video-50-twcc", "per_wake_up", "  inbound packets per wake-up"),
    Row("video-50-of-550", "packet_us", "video 1 → 50 beside 500 idle participants: CPU µs"),
    Row("video-50-of-550", "delay_p50_ms", "  one-way delay p50, ms"),
    Row("video-50-of-550", "delay_p99_ms", "  one-way delay p99, ms"),
    Row("video-50-of-550", "delay_p999_ms", "  one-way delay p99.9, ms"),
    Row("video-200", "packet_us", "video 1 → 200: CPU µs per packet out"),
    Row("video-200", "delay_p50_ms", "  one-way delay p50, ms"),
    Row("video-200", "delay_p99_ms", "  one-way delay p99, ms"),
    Row("layers-50", "ratio", "half of 50 on another layer: CPU, as share of all on one", None, 1.2),
    Row("flood-50", "packet_us", "video 1 → 50, as fast as it goes: CPU µs", None, 5.5),
    Row("flood-50", "packets_out", "  packets out per second"),
    Row("audio-100", "packet_us", "Opus 1 → 100: CPU µs per packet out", 39),
    Row("audio-100", "per_wake_up", "  inbound packets per wake-up"),
    Row("meeting-10", "packet_us", "meeting of 10: CPU µs per packet out", 40),
    Row("meeting-10", "delay_p50_ms", "  one-way delay p50, ms", 0.53),
    Row("meeting-10", "delay_p99_ms", "  one-way delay p99, ms", 2.0),
    Row("data-bulk", "megabits", "reliable data 1 → 1, 16 KiB messages: Mbit/s"),
    Row("data-bulk", "megabits_per_core", "  Mbit/s for each core of the server's CPU", None, 40, at_least=True),
    Row("data-50", "server_percent", "lossy data 1 → 50, 30 Hz of 200 bytes: % of a core", None, 8),
    Row("data-50", "delay_p50_ms", "  one-way delay p50, ms"),
    Row("data-50", "delay_p99_ms", "  one-way delay p99, ms", None, 5),
    Row("data-slow", "percent_without", "reliable data 1 → 10, 100 Hz of 1,000 bytes: % of a core"),
    Row("data-slow", "server_percent", "  and beside one who reads nothing"),
    Row("data-slow", "delay_without", "  one-way delay p99 without, ms"),
    Row("data-slow", "delay_p99_ms", "  and beside one who reads nothing"),
    Row("idle-two", "join_p50_ms", "50 joins in turn, two connections: p50 ms", 8.0, 25),
    Row("idle-two", "join_p99_ms", "  slowest, ms", 21.6),
    Row("idle-two", "join_cpu_ms", "  CPU ms each", 9.6),
    Row("idle-one", "join_p50_ms", "50 joins in turn, one connection: p50 ms", None, 25),
    Row("join-at-once", "slowest_ms", "50 joins at once: slowest, ms", None, 2000),
    Row("join-at-once", "cpu_ms", "  CPU ms each", 5.7),
    Row("idle-two", "empty_mib", "resident memory, empty, MiB", 46),
    Row("idle-two", "participant_kib", "  per idle participant, two connections, KiB", 879, 320),
    Row("idle-one", "participant_kib", "  per idle participant, one connection, KiB", None, 200),
    Row("dispatches", "assigned_p50_ms", "200 dispatches/s, 1,000 workers: p50 ms to assignment"),
    Row("dispatches", "assigned_p99_ms", "  p99 ms", None, 50),
    Row("dispatches", "server_percent", "  % of a core"),
    Row("crowd", "cpu_seconds", "1,000 joins to one room: CPU s of both sides", None, 30),
    Row("crowd", "kilobytes", "  signal messages of each, KB", None, 400),
    Row("crowd", "known_after_seconds", "  the last is known to everybody after, s", None, 4),
    Row("turnover", "cpu_ms", "5,000 visits: CPU ms of both sides"),
    Row("turnover", "grown_kib", "  resident memory, grown since the first tenths, KiB", None, 1024),
    Row("turnover", "grown_heap_kib", "  taken of C's heap, KiB", None, 1024),
    Row("turnover", "grown_blocks", "  blocks of Python's memory", None, 1000),
    Row("turnover", "grown_objects", "  objects", None, 5),
    Row("turnover-by-signal", "cpu_ms", "100,000 visits by signal alone: CPU ms"),
    Row("turnover-by-signal", "grown_kib", "  resident memory, grown since the first tenths, KiB", None, 1024),
    Row("turnover-by-signal", "grown_heap_kib", "  taken of C's heap, KiB", None, 1024),
    Row("turnover-by-signal", "grown_blocks", "  blocks of Python's memory", None, 1000),
    Row("turnover-by-signal", "grown_objects", "  objects", None, 5),
    Row("idle-two", "server_percent", "100 idle participants, two connections: % of a core", 4.75, 4),
    Row("idle-one", "server_percent", "100 idle participants, one connection: % of a core", None, 4),
)


def main(names: list[str]) -> None:
    loads = {name: (LOADS | LONG_LOADS)[name] for name in names or LOADS}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in loads}
    for number in range(RUNS):
        for name, load in loads.items():
            if not number or name not in LONG_LOADS:
                print(f"{name}: {number + 1} of {RUNS}", file=sys.stderr)
                runs[name].append(load.measure())
    medians = {name: {figure: median(run[figure] for run in each) for figure in each[0]} for name, each in runs.items()}
    print_table(medians)
    file = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
    file.write_text(json.dumps({"machine": machine(), "medians": medians, "runs": runs}, indent=1) + "\n")
    print(f"\nAll figures of all runs are in {file}")


def print_table(medians: dict[str, dict[str, float]]) -> None:
    print(f"\n{machine()}; medians of {RUNS}\n")
    print(f"{'':<54}{'here':>9}{'LiveKit':>9}{'target':>9}")
    for row in ROWS:
        if row.load in medians:
            value = medians[row.load][row.figure]
            missed = "  missed" if row.is_missed(value) else ""
            print(f"{row.label:<54}{value:>9.3g}{text(row.livekit):>9}{text(row.target):>9}{missed}")
    print(f"\n{'Was it a fair run?':<54}{'in/s':>9}{'out/s':>9}{'lost':>9}{'visitors':>10}{'others':>9}")
    for name, figures in medians.items():
        if "others_percent" in figures:
            counts = "".join(f"{text(figures.get(key)):>9}" for key in ("packets_in", "packets_out", "lost"))
            print(f"{name:<54}{counts}{figures['generator_percent']:>9.0f}%{figures['others_percent']:>8.0f}%")


def text(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def machine() -> str:
    processor = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{os.cpu_count()} cores of {processor}, {platform.system()} {platform.release()}, Python {platform.python_version()}"


if __name__ == "__main__":
    main(sys.argv[1:])
