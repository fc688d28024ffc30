import pytest

from sfu.media.ladder import LayerCost, Level, Rung, ladder
from sfu.media.selecting import NO_LIMIT, LayerLimit

ALL = NO_LIMIT.spatial
PLAIN = {0: LayerCost(150, {}), 1: LayerCost(500, {}), 2: LayerCost(1_700, {})}
SVC = {
    0: LayerCost(
        1_000,
        {
            (0, 0): 60,
            (0, 1): 20,
            (0, 2): 20,
            (1, 0): 180,
            (1, 1): 60,
            (1, 2): 60,
            (2, 0): 360,
            (2, 1): 120,
            (2, 2): 120,
        },
    )
}


def test_simulcast_layers_are_rungs() -> None:
    assert ladder(PLAIN, NO_LIMIT) == (Rung(Level(0), 150), Rung(Level(1), 500), Rung(Level(2), 1_700))


def test_spatial_layers_are_rungs_and_the_lowest_can_be_had_with_fewer_frames() -> None:
    assert ladder(SVC, NO_LIMIT) == (
        Rung(Level(0, 0, 0), 60),
        Rung(Level(0, 0, 1), 80),
        Rung(Level(0, 0), 100),
        Rung(Level(0, 1), 400),
        Rung(Level(0), 1_000),
    )


def test_only_the_lowest_simulcast_layer_can_be_had_with_fewer_frames() -> None:
    temporal = {(0, 0): 50, (0, 1): 50}
    costs = {0: LayerCost(200, temporal), 1: LayerCost(600, temporal)}
    assert ladder(costs, NO_LIMIT) == (Rung(Level(0, 0, 0), 100), Rung(Level(0), 200), Rung(Level(1), 600))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (LayerLimit(1, ALL), [(Level(0, 0, 0), 60), (Level(0, 0, 1), 80), (Level(0, 0), 100), (Level(0), 400)]),
        (LayerLimit(ALL, 1), [(Level(0, 0, 0), 60), (Level(0, 0), 80), (Level(0, 1), 320), (Level(0), 800)]),
        (LayerLimit(0, 0), [(Level(0), 60)]),
    ],
)
def test_the_top_rung_is_what_is_wished_for(limit: LayerLimit, expected: list[tuple[Level, int]]) -> None:
    assert ladder(SVC, limit) == tuple(Rung(*each) for each in expected)


def test_what_is_within_costs_its_share_of_what_comes_in() -> None:
    costs = {0: LayerCost(1_000, {(0, 0): 250, (0, 1): 250})}  # measured at other times
    assert ladder(costs, NO_LIMIT) == (Rung(Level(0, 0, 0), 500), Rung(Level(0), 1_000))


def test_a_rung_that_costs_no_less_than_one_above_is_of_no_use() -> None:
    assert ladder({0: LayerCost(500, {}), 1: LayerCost(400, {})}, NO_LIMIT) == (Rung(Level(1), 400),)


def test_levels_compare_by_how_much_of_the_picture_there_is() -> None:
    levels = [Level(0, 0, 0), Level(0, 0, 1), Level(0, 0), Level(0, 1), Level(0), Level(1, 0, 0), Level(1)]
    assert sorted(levels, reverse=True) == levels[::-1]
