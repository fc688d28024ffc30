"""What is taken once, and what is kept for how long."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from sfu.data.history import KEPT_SECONDS, MAX_KEPT_BYTES, MAX_NONCES, History, Kept, NonceFilter, SequenceFilter
from sfu.data.packets import Audience


def kept(data: bytes, at: float = 0.0) -> Kept:
    return Kept(data, Audience(), None, at)


@given(st.lists(st.integers(1, 10)))
def test_each_numbered_packet_is_taken_once_and_in_order(numbers):
    sequences = SequenceFilter()
    taken = [number for number in numbers if sequences.take(number)]
    assert taken == sorted(set(taken))
    assert sequences.highest == max(numbers, default=0)


def test_packets_without_a_number_are_always_taken():
    sequences = SequenceFilter()
    assert sequences.take(5)
    assert [sequences.take(0), sequences.take(0), sequences.highest] == [True, True, 5]


def test_a_nonce_is_taken_once_until_it_is_forgotten():
    nonces = NonceFilter()
    assert [nonces.take(b"a"), nonces.take(b"a")] == [True, False]
    for number in range(MAX_NONCES):
        nonces.take(b"%d" % number)
    assert nonces.take(b"a")


def test_packets_without_a_nonce_are_always_taken():
    nonces = NonceFilter()
    assert [nonces.take(b""), nonces.take(b"")] == [True, True]


def test_the_history_returns_what_came_since_in_order():
    history = History()
    history.append(kept(b"before"))
    number = history.next_number
    for data in (b"1", b"2", b"3"):
        history.append(kept(data))
    assert [each.data for each in history.since(number)] == [b"1", b"2", b"3"]


def test_the_history_lets_go_of_what_is_old():
    history = History()
    history.append(kept(b"old", at=0))
    history.append(kept(b"young", at=10))
    history.expire(KEPT_SECONDS + 1)
    assert [each.data for each in history.since(0)] == [b"young"]
    assert history.first_number == 1


def test_messages_for_many_are_kept_within_the_same_memory():
    history = History()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for message in range(20):
        names = frozenset(f"{message}-{number}" for number in range(5_000))
        history.append(Kept(b"x", Audience(names, frozenset(f"PA_{name}" for name in names)), None, 0.0))
    kept_bytes = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert history.first_number > 0
    assert kept_bytes < 2 * MAX_KEPT_BYTES


@given(st.lists(st.integers(0, MAX_KEPT_BYTES // 3), max_size=20))
def test_the_history_is_bounded_and_keeps_the_newest(sizes):
    history = History()
    for size in sizes:
        history.append(kept(bytes(size)))
    held = [len(each.data) for each in history.since(0)]
    assert sum(held) <= MAX_KEPT_BYTES
    assert held == sizes[history.first_number :]
    assert history.first_number == 0 or sum(sizes[history.first_number - 1 :]) > MAX_KEPT_BYTES
