from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.media.simulcast import LayerState, PublishedLayer, Quality, Verdict, Wish, aim, decide, wished_layer

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
SCREEN = [PublishedLayer(0, LOW, 960, 540, 3.0), PublishedLayer(2, HIGH, 1920, 1080, 15.0)]
EQUALS = [
    PublishedLayer(0, LOW, 320, 180),
    PublishedLayer(1, MEDIUM, 320, 180),
    PublishedLayer(2, HIGH, 1280, 720),
]


@pytest.mark.parametrize(
    ("published", "wish", "layer"),
    [
        ([], Wish(), None),
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
        (SCREEN, Wish(HIGH, frame_rate=15), 2),
        (SCREEN, Wish(HIGH, frame_rate=14), 2),
        (SCREEN, Wish(HIGH, frame_rate=13), 0),
        (SCREEN, Wish(HIGH, frame_rate=1), 0),  # as slow as can be had
        (SCREEN, Wish(HIGH, 1920, 1080, frame_rate=5), 0),
        (CAMERA, Wish(HIGH, frame_rate=1), 2),  # nobody knows how fast they are
    ],
)
def test_a_wish_is_worth_a_layer(published: list[PublishedLayer], wish: Wish, layer: int | None) -> None:
    assert all(wished_layer(wish, list(order)) == layer for order in permutations(published))


STARTED = LayerState(current=1, target=1)


@pytest.mark.parametrize(
    ("state", "wished", "live", "expected"),
    [
        # nothing was sent yet
        (LayerState(), 2, (), LayerState()),
        (LayerState(), 2, (0, 1, 2), LayerState(None, 2)),
        (LayerState(), 0, (0, 1, 2), LayerState(None, 0)),
        (LayerState(), 2, (0,), LayerState(None, 2, 11.0)),  # it may still start
        (LayerState(None, 2, 10.5), 2, (0, 1), LayerState(None, 2, 10.5)),
        (LayerState(None, 2, 10.5), 1, (0,), LayerState(None, 1, 10.5)),  # a new wish is no new wait
        (LayerState(None, 2, 10.0), 2, (0, 1), LayerState(None, 1)),  # it has not started
        (LayerState(None, 1), 2, (0, 1), LayerState(None, 1)),  # and is not waited for again
        (LayerState(None, 1), 2, (0, 1, 2), LayerState(None, 2)),
        (LayerState(None, 0, 10.0), 0, (1, 2), LayerState(None, 1)),  # more is better than nothing
        # something was
        (STARTED, 2, (0, 1, 2), LayerState(1, 2)),
        (STARTED, 0, (0, 1, 2), LayerState(1, 0)),
        (STARTED, 2, (0, 1), STARTED),
        (STARTED, 2, (0,), LayerState(1, 0)),  # it died
        (LayerState(1, 0), 2, (0, 1), STARTED),  # it came back in time
        (STARTED, 0, (2,), LayerState(1, 2)),
        (STARTED, 0, (), STARTED),  # the publisher is cut off: go on where it stopped
        (STARTED, None, (0, 1, 2), LayerState()),
        (LayerState(None, 2, 10.5), None, (0,), LayerState()),
    ],
)
def test_the_best_live_layer_up_to_the_wish_is_aimed_at(
    state: LayerState, wished: int | None, live: tuple[int, ...], expected: LayerState
) -> None:
    assert aim(state, wished=wished, live=live, now=10.0) == expected


@pytest.mark.parametrize(
    ("state", "layer", "is_keyframe", "expected", "verdict"),
    [
        (LayerState(None, 2), 2, True, LayerState(2, 2), Verdict.SWITCH),
        (LayerState(None, 2), 2, False, LayerState(None, 2), Verdict.DROP),
        (LayerState(None, 2), 1, True, LayerState(None, 2), Verdict.DROP),
        (LayerState(None, 2, 10.5), 2, True, LayerState(2, 2), Verdict.SWITCH),
        (LayerState(1, 2), 1, False, LayerState(1, 2), Verdict.FORWARD),  # the old one goes on
        (LayerState(1, 2), 1, True, LayerState(1, 2), Verdict.FORWARD),
        (LayerState(1, 2), 2, False, LayerState(1, 2), Verdict.DROP),
        (LayerState(1, 2), 2, True, LayerState(2, 2), Verdict.SWITCH),
        (LayerState(2, 0), 0, True, LayerState(0, 0), Verdict.SWITCH),
        (LayerState(2, 2), 2, True, LayerState(2, 2), Verdict.FORWARD),  # no splice
        (LayerState(2, 2), 0, True, LayerState(2, 2), Verdict.DROP),
        (LayerState(), 0, True, LayerState(), Verdict.DROP),
    ],
)
def test_a_layer_is_entered_by_its_own_key_frame(
    state: LayerState, layer: int, is_keyframe: bool, expected: LayerState, verdict: Verdict
) -> None:
    assert decide(state, layer, is_keyframe=is_keyframe) == (expected, verdict)


@pytest.mark.parametrize(
    ("state", "wants"), [(LayerState(), False), (LayerState(None, 1), True), (LayerState(1, 0), True), (STARTED, False)]
)
def test_a_key_frame_is_wanted_until_the_target_is_entered(state: LayerState, wants: bool) -> None:
    assert state.wants_keyframe == wants


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("wish"), st.none() | st.integers(0, 2)),
        st.tuples(st.just("live"), st.sets(st.integers(0, 2))),
        st.tuples(st.just("packet"), st.tuples(st.integers(0, 2), st.booleans())),
        st.tuples(st.just("time"), st.sampled_from([0.1, 2.0])),
    )
)


@given(EVENTS)
def test_what_is_sent_is_decodable_and_in_the_end_the_best(events: list) -> None:
    state, wished, live, now = LayerState(), 2, set(), 0.0
    for event, value in events:
        match event:
            case "wish":
                wished = value
            case "live":
                live = value
            case "time":
                now += value
            case _:
                layer, is_keyframe = value
                before = state
                state, verdict = decide(state, layer, is_keyframe=is_keyframe)
                if verdict is Verdict.FORWARD:
                    assert before.current == layer
                elif verdict is Verdict.SWITCH:
                    assert is_keyframe
                    assert before.target == state.current == layer
                else:
                    assert state == before
                continue
        state = aim(state, wished=wished, live=live, now=now)
        assert state.current in (None, 0, 1, 2)
    if wished is None:
        assert aim(state, wished=wished, live=live, now=now) == LayerState()
    elif live:
        now += 1.0
        state = aim(aim(state, wished=wished, live=live, now=now), wished=wished, live=live, now=now + 1.0)
        best = max((layer for layer in live if layer <= wished), default=min(live))
        for layer in live:
            state, _ = decide(state, layer, is_keyframe=True)
        assert state == LayerState(best, best)
