"""Which checks have come before."""

import random

from rtp.ice.seen import MAX_SEEN, SeenChecks


def test_a_check_is_known_again_for_as_many_others_as_are_remembered():
    dice = random.Random(1)
    seen, first = SeenChecks(), dice.randbytes(12)
    assert not seen.note(first)
    for _ in range(MAX_SEEN):
        seen.note(dice.randbytes(12))
    assert seen.note(first)


def test_hardly_any_new_check_is_taken_for_an_old_one():
    dice = random.Random(1)
    seen = SeenChecks()
    assert sum(seen.note(dice.randbytes(12)) for _ in range(10 * MAX_SEEN)) <= 2 * 10 * MAX_SEEN // 1000


def test_repeating_what_came_before_forgets_nothing():
    dice = random.Random(1)
    seen, known = SeenChecks(), [dice.randbytes(12) for _ in range(MAX_SEEN)]
    for _ in range(5):
        for each in known:
            seen.note(each)
    assert all(map(seen.note, known))


def test_what_counts_up_is_told_apart_too():
    """Not as random as RFC 8489 §6 wants it."""
    seen = SeenChecks()
    assert not any(seen.note(number.to_bytes(12)) for number in range(1, 2000))
