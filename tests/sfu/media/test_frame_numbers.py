import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.media.frame_numbers import MAX_STEP, FrameNumbers


def unwrapped(came: list[int], *, bits: int = 16, gap: int = 1) -> list[int]:
    numbers = FrameNumbers(gap=gap)
    return [numbers.unwrap(each, bits) for each in came]


def test_numbers_wrap_and_come_late() -> None:
    assert unwrapped([0xFFFE, 1, 0xFFFF, 0, 2]) == [0xFFFE, 0x1_0001, 0xFFFF, 0x1_0000, 0x1_0002]


@pytest.mark.parametrize("lie", [0x7000, 0x9000])
def test_a_lie_is_followed_by_what_follows(lie: int) -> None:
    assert unwrapped([5, 6, 6 + lie, 6 + lie, 7, 8, 7]) == [5, 6, 7, 7, 8, 9, 8]
    assert unwrapped([5, 6, 6 + lie, 7], gap=100) == [5, 6, 106, 206]


def test_what_counts_anew_may_have_other_room() -> None:
    numbers = FrameNumbers()
    came = [(100, 7), (20_000, 15), (20_001, 15), (20_002 & 0x7F, 7), (20_003, 15)]
    assert [numbers.unwrap(*each) for each in came] == [100, 101, 102, 103, 104]


@given(st.lists(st.integers(0, 0xFFFF)), st.integers(1, MAX_STEP))
def test_whatever_came_what_is_counted_on_goes_up_at_once(came: list[int], gap: int) -> None:
    last = came[-1] if came else 0
    result = unwrapped([*came, *((last + step) & 0xFFFF for step in range(MAX_STEP, 3 * MAX_STEP))], gap=gap)
    after = result[len(came) :]
    assert after == list(range(after[0], after[0] + 2 * MAX_STEP))
    assert result[-1] == max(result)
