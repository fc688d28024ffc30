from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.media.simulcast import PublishedLayer, Quality, Wish, target_layer, wished_layer

LOW, MEDIUM, HIGH = Quality
CAMERA = [
    PublishedLayer(0, LOW, 320, 180),
    PublishedLayer(1, MEDIUM, 640, 360),
    PublishedLayer(2, HIGH, 1280, 720),
]
UPRIGHT = [
    PublishedLayer(0, LOW, 180, 320),
    PublishedLayer(1, MEDIUM, 360, 640),
    PublishedLayer(2, HIGH, 720, 1280),
]
SILENT = [PublishedLayer(layer, quality) for layer, quality in enumerate(Quality)]
SCREEN = [PublishedLayer(0, LOW, 960, 540), PublishedLayer(2, HIGH, 1920, 1080)]
EQUALS = [
    PublishedLayer(0, LOW, 320, 180),
    PublishedLayer(1, MEDIUM, 320, 180),
    PublishedLayer(2, HIGH, 1280, 720),
]


@pytest.mark.parametrize(
    ("published", "wish", "layer"),
    [
        (CAMERA, Wish(), 2),
        (CAMERA, Wish(LOW), 0),
        (CAMERA, Wish(MEDIUM), 1),
        (CAMERA[:2], Wish(HIGH), 1),
        (CAMERA[:2], Wish(MEDIUM), 1),
        (CAMERA[1:], Wish(LOW), 1),  # the least there is
        (SCREEN, Wish(MEDIUM), 0),  # at most what is wished for
        (CAMERA[2:], Wish(LOW), 2),
        (CAMERA, Wish(LOW, 1280, 720), 2),  # a size counts more than a quality
        (CAMERA, Wish(HIGH, 320, 180), 0),
        (CAMERA, Wish(HIGH, 356, 200), 0),  # a little bigger than the layer is near enough
        (CAMERA, Wish(HIGH, 358, 201), 1),
        (CAMERA, Wish(HIGH, 4000, 3000), 2),
        (CAMERA, Wish(HIGH, 1, 1), 0),
        (UPRIGHT, Wish(HIGH, 180, 320), 0),
        (UPRIGHT, Wish(HIGH, 360, 640), 1),
        (EQUALS, Wish(HIGH, 320, 180), 1),
        (SILENT, Wish(HIGH, 320, 180), 0),
        (SILENT, Wish(HIGH, 640, 360), 1),
        (SILENT, Wish(HIGH, 712, 401), 2),
        (SCREEN, Wish(HIGH, 1920, 1080), 2),
        (CAMERA, Wish(HIGH, 320, 0), 2),  # half a size is none
        (CAMERA[:1], Wish(HIGH, 1920, 1080), 0),
        (CAMERA, Wish(LOW, frame_rate=30), 0),
        (CAMERA, Wish(HIGH, frame_rate=1), 2),  # all layers have all frames
    ],
)
def test_a_wish_is_worth_a_layer(published: list[PublishedLayer], wish: Wish, layer: int) -> None:
    assert all(wished_layer(wish, list(order)) == layer for order in permutations(published))


@pytest.mark.parametrize(
    ("wished", "live", "current", "is_settling", "expected"),
    [
        # nothing is sent yet
        (2, (), None, True, 2),
        (2, (), None, False, 2),
        (2, (0,), None, True, 2),  # it may still start
        (2, (0, 1), None, False, 1),  # it has not started
        (2, (0, 1, 2), None, True, 2),
        (0, (0, 1, 2), None, True, 0),
        (1, (0, 2), None, False, 0),  # never more than is wished for …
        (0, (1, 2), None, False, 1),  # … but more is better than nothing
        # something is
        (2, (0, 1, 2), 1, False, 2),
        (0, (0, 1, 2), 1, False, 0),
        (1, (0, 1, 2), 2, True, 1),  # a wish that can be met is met at once
        (2, (0, 1), 1, False, 1),
        (2, (0,), 1, False, 0),  # it died
        (2, (0,), 2, True, 2),  # all were silent, and one is back already
        (0, (2,), 1, False, 2),
        (0, (), 1, False, 1),  # the publisher is cut off: go on where it stopped
    ],
)
def test_the_best_live_layer_up_to_the_wish_is_aimed_at(
    wished: int, live: tuple[int, ...], current: int | None, is_settling: bool, expected: int
) -> None:
    assert target_layer(wished, live, current=current, is_settling=is_settling) == expected


@given(st.integers(0, 2), st.sets(st.integers(0, 2)), st.none() | st.integers(0, 2), st.booleans())
def test_in_the_end_nothing_better_lives(wished: int, live: set[int], current: int | None, is_settling: bool) -> None:
    target = target_layer(wished, live, current=current, is_settling=is_settling)
    if live and not is_settling:
        assert target in live
        assert not any(target < layer <= wished for layer in live)
        assert target <= wished or target == min(live)
    else:
        assert target in {wished, current}
