from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.media.allocator import HEADROOM, Demand, allocate, next_step_bps
from sfu.media.ladder import Level, Rung

CAMERA = (Rung(Level(0), 150_000), Rung(Level(1), 500_000), Rung(Level(2), 1_700_000))
SCREEN = (Rung(Level(0), 400_000), Rung(Level(1), 2_500_000))


def camera(current: int | None = None, *, up_to: int = 2) -> Demand:
    return Demand(CAMERA[: up_to + 1], current=None if current is None else Level(current))


def layers(demands: list[Demand], budget_bps: int, *, may_pause: bool = False) -> list[int | None]:
    return [rung and rung.level.layer for rung in allocate(demands, budget_bps, may_pause=may_pause)]


@pytest.mark.parametrize(
    ("demands", "budget", "expected"),
    [
        pytest.param([camera()], 5_000_000, [2], id="enough for all that is wished"),
        pytest.param([camera(up_to=1)], 5_000_000, [1], id="no more than is wished"),
        pytest.param([camera()], 600_000, [1], id="the best that fits"),
        pytest.param([camera()], 50_000, [0], id="the lowest even if it does not fit"),
        pytest.param([camera(2)], 1_700_000, [2], id="what is sent is kept without headroom"),
        pytest.param([camera(1)], 1_720_000, [1], id="climbing takes headroom"),
        pytest.param([camera(), camera()], 1_200_000, [1, 1], id="two of a kind climb in turn"),
        pytest.param([camera(), camera()], 2_800_000, [2, 1], id="and the first goes on"),
        pytest.param([camera(), Demand(SCREEN, priority=1)], 2_900_000, [0, 1], id="priority climbs first"),
        pytest.param([camera(), Demand(SCREEN, priority=1)], 1_000_000, [1, 0], id="and leaves what it cannot use"),
        pytest.param([], 1, [], id="nobody"),
    ],
)
def test_who_gets_what(demands: list[Demand], budget: int, expected: list[int]) -> None:
    assert layers(demands, budget) == expected


def test_where_pausing_is_allowed_the_less_important_go_first() -> None:
    demands = [camera(), Demand(SCREEN, priority=1), camera()]
    assert layers(demands, 650_000, may_pause=True) == [0, 0, None]
    assert layers(demands, 200_000, may_pause=True) == [0, None, None]
    assert layers(demands, 100_000, may_pause=True) == [None, None, None]


def test_what_would_be_needed_for_more_is_known() -> None:
    demands = [camera(0), camera(0)]
    assert next_step_bps(demands, [CAMERA[0], CAMERA[1]]) == 650_000 + round(350_000 * HEADROOM)
    assert next_step_bps(demands, [CAMERA[2], None]) == 1_700_000 + round(150_000 * HEADROOM)
    assert next_step_bps(demands, [CAMERA[2], CAMERA[2]]) is None


@st.composite
def demand(draw: st.DrawFn) -> Demand:
    costs = sorted(draw(st.sets(st.integers(1, 5_000_000), min_size=1, max_size=6)))
    ladder = tuple(Rung(Level(layer), cost) for layer, cost in enumerate(costs))
    return Demand(ladder, draw(st.integers(0, 2)), draw(st.none() | st.integers(0, 5).map(Level)))


demand_lists = st.lists(demand(), max_size=6)
budgets = st.integers(0, 20_000_000)


def cost(rungs: list[Rung | None]) -> int:
    return sum(rung.bitrate_bps for rung in rungs if rung is not None)


@given(demand_lists, budgets)
def test_the_budget_is_kept_where_pausing_is_allowed(demands: list[Demand], budget: int) -> None:
    assert cost(allocate(demands, budget, may_pause=True)) <= budget


@given(demand_lists, budgets)
def test_without_pausing_only_lowest_rungs_break_the_budget(demands: list[Demand], budget: int) -> None:
    given_rungs = allocate(demands, budget, may_pause=False)
    assert None not in given_rungs
    assert cost(given_rungs) <= max(budget, sum(each.ladder[0].bitrate_bps for each in demands))


@given(demand_lists, budgets, st.booleans())
def test_nothing_is_left_over_that_anybody_could_use(demands: list[Demand], budget: int, may_pause: bool) -> None:
    left = budget - cost(given_rungs := allocate(demands, budget, may_pause=may_pause))
    for each, rung in zip(demands, given_rungs, strict=True):
        at = -1 if rung is None else each.ladder.index(rung)
        if rung is not None and at + 1 < len(each.ladder):
            assert each.needed(at + 1, from_rung=at) > left


@given(demand(), st.lists(budgets, min_size=2), st.booleans())
def test_more_budget_never_means_less_for_one_video(each: Demand, amounts: list[int], may_pause: bool) -> None:
    costs = [cost(allocate([each], amount, may_pause=may_pause)) for amount in sorted(amounts)]
    assert all(low <= high for low, high in pairwise(costs))


@given(demand_lists, budgets, st.booleans())
def test_what_was_given_once_is_given_again(demands: list[Demand], budget: int, may_pause: bool) -> None:
    first = allocate(demands, budget, may_pause=may_pause)
    settled = [
        replace(each, current=None if rung is None else rung.level) for each, rung in zip(demands, first, strict=True)
    ]
    assert allocate(settled, budget, may_pause=may_pause) == first


@given(st.integers(0, 2), st.floats(0.97, 1.03))
def test_a_video_stays_where_it_is_while_its_budget_swings_round_a_rung(at: int, swing: float) -> None:
    budget = int(CAMERA[at].bitrate_bps * HEADROOM**0.5)
    (first,) = allocate([camera(at)], budget, may_pause=True)
    assert first == CAMERA[at]
    (again,) = allocate([camera(at)], int(budget * swing), may_pause=True)
    assert again == first
