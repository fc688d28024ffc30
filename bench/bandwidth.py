"""What becomes of the picture on links that are not what they should be: `python -m bench.bandwidth`.

A publisher of three layers (150, 500 and 1,700 kbit/s of media), and a subscriber behind a bottleneck, on the network in
memory and a virtual clock: it measures decisions, and no machine. Of each scenario the worst of three seeds is shown.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import trio
from trio.testing import MockClock

from bench.plots import Panel, draw
from tests.simulation.bottleneck import Outcome, Phase, bottleneck, run_phases
from triforium.testing import deterministic_scheduling
from triforium.visitor import BandwidthFeedback

PLOTS: Final = Path(__file__).parent / "results" / "bandwidth.png"
"""Of each scenario and kind of feedback, what the seed did that was frozen longest."""

SEEDS: Final = (1, 2, 3)
FAST, SLOW = 2e6, 3e5
STEADY, NARROW, WIDE = 8.0, 15.0, 30.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is played, when the link becomes narrower and wide again (None: never), and how long may be frozen at most."""

    name: str
    phases: Sequence[Phase]
    drop_at: float | None = None
    rate_bps: float = 0.0
    rise_at: float | None = None
    frozen_goal: float = 0.5


def drop(name: str, queue_seconds: float) -> Scenario:
    """Return 2 Mbit/s, 300 kbit/s, and 2 Mbit/s again, with so long a queue."""
    link = partial(bottleneck, queue_seconds=queue_seconds)
    phases = [Phase(STEADY, link(FAST)), Phase(NARROW, link(SLOW)), Phase(WIDE, link(FAST))]
    return Scenario(name, phases, STEADY, SLOW, STEADY + NARROW, frozen_goal=2.0)


RAMP: Final = (20, 18, 16, 14, 12, 10, 8, 6, 5, 4, 3, 3, 4, 5, 6, 8, 10, 12, 14, 16, 18)
RAMP_SECONDS: Final = 2.0

SCENARIOS: Final = (
    Scenario("steady 2 Mbit/s", [Phase(40, bottleneck(FAST))]),
    Scenario("steady 900 kbit/s", [Phase(40, bottleneck(9e5))]),
    Scenario("steady 300 kbit/s", [Phase(40, bottleneck(3e5))], frozen_goal=2.0),
    drop("2 M, 300 k, 2 M", 0.3),
    drop("the same, a queue of 1 s", 1.0),
    drop("the same, a queue of 50 ms", 0.05),
    Scenario(
        "slow ramp, down and up",
        [*(Phase(RAMP_SECONDS, bottleneck(each * 1e5)) for each in RAMP), Phase(WIDE, bottleneck(FAST))],
        rise_at=RAMP_SECONDS * len(RAMP),
    ),
    Scenario(
        "1 Mbit/s of others on 2",
        [Phase(STEADY, bottleneck(FAST)), Phase(NARROW, bottleneck(FAST), 1e6), Phase(WIDE, bottleneck(FAST))],
        STEADY,
        1e6,
        STEADY + NARROW,
    ),
    *(Scenario(f"{loss} % loss", [Phase(30, bottleneck(None, loss=loss / 100))]) for loss in (1, 5, 10)),
)

STEADY_FROM: Final = 10.0
"""Changes are counted from then on, where nothing else happens."""


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of an outcome (None: the scenario has none), and what it is not to exceed."""

    title: str
    figure: Callable[[Scenario, Outcome], float | None]
    goal: Callable[[Scenario], float]


def _below(scenario: Scenario, outcome: Outcome) -> float | None:
    return None if scenario.drop_at is None else outcome.fell_below(scenario.rate_bps, scenario.drop_at)


def _back(scenario: Scenario, outcome: Outcome) -> float | None:
    return None if scenario.rise_at is None else outcome.reached(2, scenario.rise_at)


def _frozen(_: Scenario, outcome: Outcome) -> float:
    return outcome.frozen(0, outcome.samples[-1].at)


def _changes(scenario: Scenario, outcome: Outcome) -> float | None:
    return outcome.changes(STEADY_FROM) if scenario.drop_at is None and scenario.rise_at is None else None


COLUMNS: Final = (
    Column("below, s", _below, lambda _: 2.0),
    Column("back, s", _back, lambda _: 15.0),
    Column("frozen, s", _frozen, lambda scenario: scenario.frozen_goal),
    Column("changes", _changes, lambda _: 3.0),
)


def play(scenario: Scenario, feedback: BandwidthFeedback, seed: int) -> Outcome:
    """Play a scenario once; the same seed gives the same outcome."""
    with deterministic_scheduling(seed):
        run = partial(run_phases, scenario.phases, feedback=feedback, seed=seed)
        return trio.run(run, clock=MockClock(autojump_threshold=0))


def line(scenario: Scenario, feedback: BandwidthFeedback, outcomes: Sequence[Outcome]) -> str:
    """Return the worst figures of all outcomes; an asterisk marks what misses its goal."""
    cells: list[str] = []
    for column in COLUMNS:
        figures = [figure for each in outcomes if (figure := column.figure(scenario, each)) is not None]
        text = f"{max(figures):.3g}{'*' if max(figures) > column.goal(scenario) else ''}" if figures else "-"
        cells.append(f"{text:>11}")
    return f"{scenario.name:<28}{feedback.name:<14}{''.join(cells)}"


def main() -> None:
    panels: list[Panel] = []
    print(f"{'':<42}{''.join(f'{column.title:>11}' for column in COLUMNS)}")
    for scenario in SCENARIOS:
        for feedback in (BandwidthFeedback.TRANSPORT_CC, BandwidthFeedback.REMB):
            outcomes = [play(scenario, feedback, seed) for seed in SEEDS]
            print(line(scenario, feedback, outcomes), flush=True)
            worst = max(outcomes, key=partial(_frozen, scenario))
            panels.append(Panel(f"{scenario.name} - {feedback.name.replace('_', ' ')}", scenario.phases, worst))
    PLOTS.parent.mkdir(exist_ok=True)
    PLOTS.write_bytes(draw(panels))
    print(f"plots: {PLOTS}")


if __name__ == "__main__":
    main()
