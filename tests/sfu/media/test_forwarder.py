from hypothesis import given
from hypothesis import strategies as st

from sfu.media.forwarder import MAX_REMEMBERED_RUNS, GapCloser


def test_what_is_dropped_on_purpose_leaves_no_gap() -> None:
    gaps = GapCloser()
    assert gaps.number(10) == 10
    gaps.drop(11)
    gaps.drop(12)
    assert [gaps.number(number) for number in (13, 14)] == [11, 12]
    gaps.drop(15)
    assert gaps.number(16) == 13


def test_a_late_packet_gets_the_number_that_was_left_for_it() -> None:
    gaps = GapCloser()
    gaps.number(10)
    gaps.number(12)
    gaps.drop(13)
    assert gaps.number(15) == 14
    assert gaps.number(11) == 11  # before what was dropped
    assert gaps.number(14) == 13  # after it
    assert gaps.number(9) == 9  # before the first
    assert gaps.number(-1) == -1


def test_what_is_dropped_behind_a_gap_stays_a_hole_but_those_behind_it_do_not() -> None:
    gaps = GapCloser()
    gaps.number(10)
    gaps.drop(12)  # 11 may still come
    gaps.drop(13)
    gaps.drop(14)
    assert gaps.number(15) == 13
    assert gaps.number(11) == 11
    gaps.drop(11)  # late itself: nothing to hide any more
    assert gaps.number(16) == 14


def test_what_is_missing_among_what_is_left_out_leaves_no_hole_and_is_never_sent() -> None:
    gaps = GapCloser()
    gaps.number(10)
    gaps.drop(11)
    gaps.drop(14, with_missing=True)
    assert [gaps.number(number) for number in (15, 16)] == [11, 12]
    gaps.drop(12)  # comes late, and is left out indeed
    assert gaps.number(13) is None
    assert [gaps.number(number) for number in (10, 15, 17)] == [10, 11, 13]
    assert [gaps.original(number) for number in (10, 11, 13)] == [10, 15, 17]


def test_what_is_put_before_the_newest_comes_after_all_that_was_before_it() -> None:
    gaps = GapCloser()
    gaps.number(10)
    gaps.drop(11)
    assert gaps.number(13) == 12
    assert gaps.insert(2) == 12
    assert [gaps.number(sequence) for sequence in (13, 14)] == [14, 15]
    assert gaps.number(12) == 11  # late
    gaps.drop(15)
    assert gaps.number(16) == 16
    assert gaps.insert(1) == 16
    assert [gaps.number(sequence) for sequence in (16, 14, 10)] == [17, 15, 10]


def test_runs_too_long_ago_are_forgotten_and_one_long_run_counts_once() -> None:
    gaps = GapCloser()
    gaps.number(0)
    for number in range(1, 5000):
        gaps.drop(number)
    assert gaps.number(5000) == 1
    for number in range(5001, 5001 + 2 * MAX_REMEMBERED_RUNS, 2):
        gaps.drop(number)
        gaps.number(number + 1)
    assert gaps.number(-3) is None
    assert gaps.number(5002 + MAX_REMEMBERED_RUNS) is not None


@given(
    st.integers(0, 0xFFFF),
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 3), st.booleans(), st.booleans(), st.integers(0, 2)), max_size=400
    ),
    st.randoms(use_true_random=False),
)
def test_no_number_is_given_twice_and_order_is_kept(first: int, steps: list, random: object) -> None:
    """Whatever is lost, late, dropped or put between: numbers rise with sequence numbers, and none is given twice."""
    gaps = GapCloser()
    given_out: dict[float, int] = {}
    late: list[int] = []
    sequence = first
    for lost, delayed, is_dropped, with_missing, inserted in steps:
        late += range(sequence + 1, sequence + 1 + lost)
        sequence += 1 + lost
        for each in [sequence, *(late.pop(random.randrange(len(late))) for _ in range(min(delayed, len(late))))]:
            if is_dropped:
                gaps.drop(each, with_missing=with_missing)
            elif (number := gaps.number(each)) is not None:
                given_out[each] = number
                if inserted and each == sequence:
                    number = gaps.insert(inserted)
                    given_out |= {each - 1 + (at + 1) / 8: number + at for at in range(inserted)}
                    given_out[each] = gaps.number(each)
    numbers = [given_out[each] for each in sorted(given_out)]
    assert numbers == sorted(set(numbers))


@given(st.integers(0, 0xFFFF), st.lists(st.booleans(), max_size=300))
def test_a_stream_that_arrives_whole_has_no_gap_whatever_is_dropped(first: int, drops: list[bool]) -> None:
    gaps = GapCloser()
    numbers = [gaps.number(first)]
    for sequence, is_dropped in enumerate(drops, first + 1):
        if is_dropped:
            gaps.drop(sequence)
        else:
            numbers.append(gaps.number(sequence))
    assert numbers == list(range(first, first + len(numbers)))


def test_where_numbers_go_on_nothing_that_came_before_gets_one() -> None:
    gaps = GapCloser()
    assert gaps.number(10) == 10
    gaps.drop(11)
    gaps.drop(5_000)
    assert gaps.number(9_000) == 8_999
    gaps.go_on(9_000, 11)
    assert [gaps.number(sequence) for sequence in (9_000, 9_001, 9_003)] == [11, 12, 14]
    assert [gaps.number(sequence) for sequence in (10, 4_999, 8_999)] == [None, None, None]
    assert [gaps.original(number) for number in (10, 11, 12)] == [None, 9_000, 9_001]
