"""When a publisher is told what is wanted of its track: up at once, down after a while."""

from hypothesis import given
from hypothesis import strategies as st

from sfu.media.dynacast import FIRST_SECONDS, LOWERING_SECONDS, NOTHING, LayerDemand
from sfu.media.simulcast import Quality

LOW, MEDIUM, HIGH = Quality.LOW, Quality.MEDIUM, Quality.HIGH


def play(*steps: tuple[float, int]) -> list[tuple[float, int]]:
    """Return what is told, and when, of a track of time 0 of which so much is wanted from these times on."""
    demand = LayerDemand(0.0)
    told = []
    for at, wanted in [*steps, (1000.0, steps[-1][1])]:
        while (due := demand.next_timeout()) is not None and due < at:
            assert demand.take_due(due), "it said that something is due"
            told.append((due, demand.allowed))
        demand.want(wanted, at)
        if demand.take_due(at):
            told.append((at, demand.allowed))
    return told


def test_a_track_that_nobody_watches_is_stopped_once_there_was_time_to_subscribe() -> None:
    assert play((0.0, NOTHING)) == [(FIRST_SECONDS, NOTHING)]


def test_a_subscriber_who_wants_everything_is_told_of_at_once_though_everything_is_sent() -> None:
    assert play((0.0, NOTHING), (0.3, HIGH)) == [(0.3, HIGH)]


def test_less_than_everything_is_told_for_the_first_time_as_late_as_nothing() -> None:
    assert play((0.0, NOTHING), (0.3, LOW)) == [(FIRST_SECONDS, LOW)]


def test_who_was_told_something_is_told_of_less_without_that_delay() -> None:
    assert play((0.0, NOTHING), (0.3, HIGH), (1.0, LOW)) == [(0.3, HIGH), (1.0 + LOWERING_SECONDS, LOW)]


def test_more_is_told_at_once() -> None:
    assert play((0.0, NOTHING), (20.0, LOW), (21.0, HIGH)) == [(FIRST_SECONDS, NOTHING), (20.0, LOW), (21.0, HIGH)]


def test_less_is_told_after_a_while() -> None:
    assert play((0.0, HIGH), (20.0, LOW)) == [(0.0, HIGH), (20.0 + LOWERING_SECONDS, LOW)]


def test_looking_away_for_a_moment_changes_nothing() -> None:
    assert play((0.0, HIGH), (20.0, NOTHING), (24.9, HIGH), (26.0, LOW), (30.0, HIGH)) == [(0.0, HIGH)]


def test_wanting_even_less_begins_the_wait_anew() -> None:
    told = play((0.0, HIGH), (20.0, MEDIUM), (24.0, LOW))
    assert told == [(0.0, HIGH), (24.0 + LOWERING_SECONDS, LOW)]


def test_the_same_is_not_told_twice() -> None:
    assert play((0.0, HIGH), (1.0, HIGH), (2.0, HIGH)) == [(0.0, HIGH)]


def test_who_may_have_missed_it_is_told_again_without_delay() -> None:
    demand = LayerDemand(0.0)
    demand.want(HIGH, 0.0)
    assert demand.take_due(0.0)
    demand.want(LOW, 1.0)
    demand.tell_again()
    assert demand.take_due(1.0)
    assert demand.allowed == LOW
    assert not demand.take_due(1.0)


def test_of_a_codec_that_was_never_asked_for_nothing_is_told() -> None:
    demand = LayerDemand(0.0, begun=False)
    demand.want(NOTHING, 0.0)
    demand.tell_again()
    assert not demand.take_due(20.0)
    assert not demand.is_told
    demand.want(LOW, 21.0)
    assert demand.take_due(21.0)
    demand.want(NOTHING, 22.0)
    demand.tell_again()
    assert demand.take_due(22.0)
    assert demand.allowed == NOTHING


@given(st.lists(st.tuples(st.floats(0.01, 8.0), st.integers(NOTHING, HIGH)), min_size=1, max_size=30))
def test_nobody_waits_for_more_than_is_allowed_and_in_the_end_no_more_is_allowed_than_wanted(
    steps: list[tuple[float, int]],
) -> None:
    demand = LayerDemand(0.0)
    now = 0.0
    for pause, wanted in steps:
        now += pause
        demand.want(wanted, now)
        demand.take_due(now)
        assert demand.allowed >= wanted
    demand.take_due(now + max(FIRST_SECONDS, LOWERING_SECONDS))
    assert demand.allowed == steps[-1][1]
