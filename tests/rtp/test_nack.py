from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.nack import (
    DEFAULT_ROUND_TRIP_SECONDS,
    MAX_INTERVAL_SECONDS,
    MAX_MISSING,
    MAX_TRIES,
    MIN_INTERVAL_SECONDS,
    KeyframeNeeded,
    NackGenerator,
    NackOutput,
    Request,
)


def generator(*sequences: int) -> NackGenerator:
    """A generator that was given these packets at time 0."""
    made = NackGenerator()
    for sequence in sequences:
        made.receive_packet(sequence, 0.0)
    return made


def run(nacks: NackGenerator, until: float) -> list[tuple[float, NackOutput]]:
    """All that the timer brings out until then, and when."""
    outputs = []
    while (due := nacks.next_timeout()) is not None and due <= until:
        outputs += [(due, output) for output in nacks.handle_timeout(due)]
    return outputs


def test_a_stream_without_gaps_asks_for_nothing() -> None:
    nacks = generator(7, 8, 9)
    assert nacks.next_timeout() is None
    assert nacks.handle_timeout(10.0) == []


def test_a_missing_packet_is_asked_for_after_the_time_that_reordering_takes() -> None:
    nacks = generator(1, 3)
    assert nacks.next_timeout() == 0.02
    assert nacks.handle_timeout(0.019) == []
    assert nacks.handle_timeout(0.02) == [Request((2,))]


def test_a_packet_that_was_only_overtaken_is_never_asked_for() -> None:
    nacks = generator(1, 3, 2)
    assert nacks.next_timeout() is None
    assert nacks.handle_timeout(1.0) == []
    assert nacks.statistics().missed == 1
    assert nacks.statistics().requested == nacks.statistics().recovered == 0


def test_all_that_is_due_goes_into_one_request() -> None:
    assert generator(1, 3, 7).handle_timeout(0.02) == [Request((2, 4, 5, 6))]


def test_each_request_is_waited_for_a_quarter_longer_and_after_the_last_a_key_frame_is_needed() -> None:
    nacks = generator(1, 3)
    outputs = run(nacks, until=10.0)
    assert [output for _, output in outputs] == [Request((2,))] * MAX_TRIES + [KeyframeNeeded()]
    times = [time for time, _ in outputs]
    assert [later - time for time, later in pairwise(times)] == pytest.approx(
        [DEFAULT_ROUND_TRIP_SECONDS * 1.25**tries for tries in range(MAX_TRIES)]
    )
    assert nacks.statistics().abandoned == 1


def test_the_interval_is_bounded_whatever_the_round_trip() -> None:
    for round_trip, interval in ((0.0, MIN_INTERVAL_SECONDS), (60.0, MAX_INTERVAL_SECONDS)):
        nacks = generator(1, 3)
        for _ in range(20):
            nacks.measure_round_trip(round_trip)
        (first, _), (second, _), *_ = run(nacks, until=10.0)
        assert second - first == pytest.approx(interval)


def test_a_resend_that_arrives_ends_the_asking() -> None:
    nacks = generator(1, 3)
    nacks.handle_timeout(0.02)
    assert nacks.receive_packet(2, 0.05) == []
    assert run(nacks, until=10.0) == []
    assert nacks.statistics().recovered == 1


def test_a_retransmission_of_what_was_asked_for_once_measures_the_round_trip() -> None:
    nacks = generator(1, 3)
    nacks.handle_timeout(0.02)
    nacks.receive_packet(2, 0.22, is_resend=True)
    assert nacks.round_trip_seconds == pytest.approx(0.75 * 0.2 + 0.25 * DEFAULT_ROUND_TRIP_SECONDS)


def test_a_packet_that_may_only_have_been_late_and_one_asked_for_twice_measure_nothing() -> None:
    late, twice = generator(1, 3), generator(1, 3)
    for nacks in (late, twice):
        nacks.handle_timeout(0.02)
    late.receive_packet(2, 0.021)
    twice.handle_timeout(0.2)
    twice.receive_packet(2, 0.201, is_resend=True)
    assert late.round_trip_seconds == twice.round_trip_seconds == DEFAULT_ROUND_TRIP_SECONDS


def test_a_gap_too_big_to_be_asked_for_needs_a_key_frame_at_once() -> None:
    nacks = generator(1, 3)
    assert nacks.receive_packet(3 + MAX_MISSING + 2, 0.0) == [KeyframeNeeded()]
    assert nacks.next_timeout() is None, "what was missing before it is of no use either"
    assert nacks.statistics().abandoned == MAX_MISSING + 2


def test_a_gap_as_big_as_can_be_asked_for_is() -> None:
    nacks = generator(1)
    assert nacks.receive_packet(MAX_MISSING + 2, 0.0) == []
    assert nacks.handle_timeout(0.02) == [Request(tuple(range(2, MAX_MISSING + 2)))]


def test_the_oldest_are_given_up_for_the_newest_and_that_needs_a_key_frame() -> None:
    nacks = generator(0, 61)
    assert nacks.receive_packet(62 + MAX_MISSING - 60 + 5, 0.0) == [KeyframeNeeded()]
    (request,) = nacks.handle_timeout(0.02)
    assert isinstance(request, Request)
    assert len(request.sequences) == MAX_MISSING
    assert request.sequences[0] == 6
    assert nacks.statistics().abandoned == 5


def test_a_key_frame_later_than_the_gap_ends_the_wait_for_it() -> None:
    nacks = generator(1, 3)
    assert nacks.receive_packet(4, 0.0, is_keyframe=True) == []
    assert run(nacks, until=10.0) == []


def test_a_key_frame_behind_the_gap_itself_needs_nothing_before_it() -> None:
    nacks = generator(1, 3)
    assert nacks.receive_packet(1000, 0.0, is_keyframe=True) == []
    assert run(nacks, until=10.0) == []


def test_what_is_missing_after_a_late_key_frame_is_still_asked_for() -> None:
    nacks = generator(1, 5, 7)
    nacks.receive_packet(4, 0.0, is_keyframe=True)
    assert nacks.handle_timeout(0.02) == [Request((6,))]


ARRIVALS = st.lists(
    st.tuples(st.integers(-20, 130), st.sampled_from([0.0, 0.001, 0.01, 0.1]), st.booleans(), st.booleans()),
    max_size=60,
)


@given(ARRIVALS)
def test_requests_are_bounded_and_only_for_what_is_missing(arrivals: list[tuple[int, float, bool, bool]]) -> None:
    nacks, now, highest = NackGenerator(), 0.0, 1000
    seen: set[int] = set()
    tries: Counter[int] = Counter()
    for step, elapsed, is_keyframe, is_resend in arrivals:
        now += elapsed
        outputs = run(nacks, until=now)
        for time, output in outputs:
            if isinstance(output, Request):
                assert len(output.sequences) <= MAX_MISSING
                assert list(output.sequences) == sorted(set(output.sequences) - seen)
                assert output.sequences[-1] < highest
                tries.update(output.sequences)
            assert time <= now
        assert max(tries.values(), default=0) <= MAX_TRIES
        sequence = highest + step
        seen.add(sequence)
        highest = max(highest, sequence)
        nacks.receive_packet(sequence, now, is_keyframe=is_keyframe, is_resend=is_resend)
    last = run(nacks, until=now + 60)
    assert nacks.next_timeout() is None, "a silent stream is not asked forever"
    assert all(output.sequences for _, output in last if isinstance(output, Request))


@given(st.sets(st.integers(1, 90)), st.floats(0.0, 0.3))
def test_every_packet_lost_once_comes_back_from_a_publisher_that_answers(lost: set[int], round_trip: float) -> None:
    nacks, arrived, now = NackGenerator(), set(range(92)) - lost, 0.0
    for sequence in sorted(arrived):
        nacks.receive_packet(sequence, now)
    answers: list[tuple[float, int]] = []
    while (due := nacks.next_timeout()) is not None:
        now = min([due, *(time for time, _ in answers)])
        for time, sequence in [answer for answer in answers if answer[0] <= now]:
            answers.remove((time, sequence))
            arrived.add(sequence)
            nacks.receive_packet(sequence, now, is_resend=True)
        for output in nacks.handle_timeout(now):
            assert isinstance(output, Request), "no key frame is needed"
            answers += [(now + round_trip, sequence) for sequence in output.sequences]
    assert arrived == set(range(92))
