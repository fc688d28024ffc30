from hypothesis import given
from hypothesis import strategies as st

from rtp.bandwidth.sent_packets import MAX_PACKETS, SPARE, SentPackets


def sent(count: int) -> SentPackets:
    """Packet `n` leaves after `n` milliseconds, and is of `100 + n % 1000` bytes."""
    packets = SentPackets()
    for number in range(count):
        assert packets.add(100 + number % 1000, number / 1000) == number
    return packets


def test_what_has_come_is_known_by_when_it_left_when_it_came_and_its_size() -> None:
    arrivals, received, lost = sent(4).match(1, (5, 0, 7), 1_000)
    assert list(arrivals) == [(0.001, 1_005, 101), (0.002, 1_005, 102), (0.003, 1_012, 103)]
    assert (received, lost) == (3, 0)


def test_what_has_not_come_takes_no_time() -> None:
    packets = sent(4)
    arrivals, received, lost = packets.match(0, (5, None, None, -2), 0)
    assert list(arrivals) == [(0.0, 5, 100), (0.003, 3, 103)]
    assert (received, lost) == (2, 2)
    assert (packets.received, packets.lost, packets.repeated) == (2, 2, 0)


def test_what_was_known_is_no_news() -> None:
    packets = sent(3)
    packets.match(0, (5, None), 0)
    arrivals, received, lost = packets.match(0, (4, None, 2), 0)
    assert list(arrivals) == [(0.002, 6, 102)]
    assert (received, lost) == (1, 0)
    assert (packets.received, packets.lost, packets.repeated) == (2, 1, 1)


def test_what_no_feedback_told_of_counts_for_received_once_and_is_not_lost_later() -> None:
    packets = sent(4)
    assert packets.skip(0, 2) == 201
    arrivals, received, lost = packets.match(0, (5, None, 6), 0)
    assert list(arrivals) == [(0.0, 5, 0), (0.002, 11, 102)]
    assert (received, lost) == (2, 0)


def test_the_newest_packets_are_remembered_however_many_were_sent() -> None:
    packets = sent(3 * MAX_PACKETS + SPARE + 7)
    assert packets.oldest == 2 * MAX_PACKETS + SPARE + 7
    assert packets.bytes == sum(100 + number % 1000 for number in range(packets.next))
    arrivals, received, _ = packets.match(packets.oldest, (1,) * MAX_PACKETS, 0)
    expected = [(n / 1000, n - packets.oldest + 1, 100 + n % 1000) for n in range(packets.oldest, packets.next)]
    assert list(arrivals) == expected
    assert received == MAX_PACKETS
    packets.add(100, 9.0)
    assert packets.match(packets.next - 1, (0,), 0)[1] == 1  # what lay there before was received: this was not


@given(st.lists(st.tuples(st.integers(0, 15), st.lists(st.none() | st.integers(-3, 300), max_size=16))))
def test_each_packet_arrives_once_and_is_lost_while_it_has_not(told) -> None:
    packets, came, missing, repeated = sent(32), set(), set(), 0
    for first, deltas in told:
        arrivals, received, lost = packets.match(first, tuple(deltas), 0)
        numbers = range(first, first + len(deltas))
        fresh = {n for n, delta in zip(numbers, deltas, strict=True) if delta is not None and n not in came}
        gone = {n for n, delta in zip(numbers, deltas, strict=True) if delta is None} - came - missing
        repeated += len(deltas) - deltas.count(None) - len(fresh)
        came, missing = came | fresh, (missing | gone) - fresh
        assert [size - 100 for _, _, size in arrivals] == sorted(fresh)
        assert (received, lost) == (len(fresh), len(gone))
        assert (packets.received, packets.lost, packets.repeated) == (len(came), len(missing), repeated)
