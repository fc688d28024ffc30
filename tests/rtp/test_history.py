from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from rtp.history import PacketHistory


def history(*, max_packets: int = 3, max_bytes: int = 100) -> PacketHistory[str]:
    return PacketHistory(max_packets=max_packets, max_bytes=max_bytes)


def test_a_packet_is_kept_by_reference_with_its_facts() -> None:
    packets, packet = history(), bytes(20)
    packets.put(70_000, packet, "facts")
    found = packets.get(70_000)
    assert found is not None
    assert found[0] is packet
    assert found[1] == "facts"


def test_a_number_that_never_came_is_not_there() -> None:
    assert history().get(70_000 & 0xFFFF) is None


def test_the_first_to_have_come_is_the_first_to_be_forgotten() -> None:
    packets = history()
    for sequence in (1, 3, 2, 4):
        packets.put(sequence, b"x", "")
    assert [sequence for sequence in range(6) if packets.get(sequence)] == [2, 3, 4]


def test_long_packets_are_forgotten_sooner() -> None:
    packets = history(max_packets=100)
    for sequence in range(10):
        packets.put(sequence, bytes(30), "")
    assert len(packets) == 3
    assert packets.size_bytes == 90


def test_a_packet_longer_than_all_that_may_be_kept_is_not_kept() -> None:
    packets = history()
    packets.put(1, bytes(101), "")
    assert packets.get(1) is None
    assert packets.size_bytes == 0


def test_a_number_never_comes_to_stand_for_another_packet() -> None:
    packets = history()
    packets.put(1, b"first", "")
    packets.put(1, b"second", "")
    assert packets.get(1) == (b"first", "")
    assert packets.size_bytes == 5


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 60))))
def test_memory_is_bounded_and_what_is_kept_is_the_newest(arrivals: list[tuple[int, int]]) -> None:
    packets = history(max_packets=5)
    model: OrderedDict[int, bytes] = OrderedDict()
    for sequence, size in arrivals:
        packet = bytes(size)
        packets.put(sequence, packet, "")
        model.setdefault(sequence, packet)
        while len(model) > 5 or sum(map(len, model.values())) > 100:
            model.popitem(last=False)
        assert len(packets) == len(model) <= 5
        assert packets.size_bytes == sum(map(len, model.values())) <= 100
        assert all(packets.get(number) == (kept, "") for number, kept in model.items())
