"""What an established association makes of the DATA that comes: SACKs, order, fragments, windows."""

import pytest

from rtp.sctp import chunks as c
from rtp.sctp import parameters as p
from rtp.sctp.drops import Drop
from rtp.sctp.inbound import SACK_DELAY_SECONDS
from rtp.sctp.outputs import (
    AssociationClosed,
    AssociationState,
    MessageReceived,
    SctpOutput,
)
from tests.rtp.sctp.peer import PEER_TSN, Peer, data, dropped, events, sent


def test_a_sack_comes_with_the_second_packet_or_after_a_while() -> None:
    peer = Peer()
    assert sent(peer.receive(data(0))) == []
    assert peer.core.next_timeout() == SACK_DELAY_SECONDS
    assert sent(peer.receive(data(1, sequence=1))) == [c.Sack(PEER_TSN + 1, 1 << 20)]
    assert peer.core.next_timeout() is None
    assert sent(peer.receive(data(2, sequence=2), now=1.0)) == []
    assert sent(peer.core.handle_timeout(1.0 + SACK_DELAY_SECONDS)) == [c.Sack(PEER_TSN + 2, 1 << 20)]


def test_a_chunk_that_asks_for_it_is_acknowledged_at_once() -> None:
    assert sent(Peer().receive(data(0, immediate=True))) == [c.Sack(PEER_TSN, 1 << 20)]


def test_gaps_and_duplicates_are_told_at_once() -> None:
    peer = Peer()
    arrivals = [data(offset, unordered=True) for offset in range(8)]
    (sack,) = sent(peer.receive(arrivals[2]))
    assert sack == c.Sack(PEER_TSN - 1, 1 << 20, [(3, 3)])
    (sack,) = sent(peer.receive(arrivals[5], arrivals[4], arrivals[2]))
    assert sack == c.Sack(PEER_TSN - 1, 1 << 20, [(3, 3), (5, 6)], [PEER_TSN + 2])
    (sack,) = sent(peer.receive(arrivals[3]))
    assert sack == c.Sack(PEER_TSN - 1, 1 << 20, [(3, 6)])
    (sack,) = sent(peer.receive(arrivals[0]))
    assert sack == c.Sack(PEER_TSN, 1 << 20, [(2, 5)])
    (sack,) = sent(peer.receive(arrivals[1]))
    assert sack == c.Sack(PEER_TSN + 5, 1 << 20)


def test_unordered_messages_do_not_wait_and_ordered_ones_do() -> None:
    peer = Peer()
    outputs = peer.receive(data(2, b"second", 1), data(1, b"now", unordered=True))
    assert events(outputs) == [MessageReceived(0, 51, b"now", ordered=False)]
    assert peer.core.statistics().receive_window < 1 << 20
    outputs = peer.receive(data(0, b"first", 0))
    assert [event.data for event in events(outputs) if isinstance(event, MessageReceived)] == [b"first", b"second"]
    assert peer.core.statistics().receive_window == 1 << 20


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (0, 2, 1), (1, 0, 2), (2, 0, 1)])
def test_fragments_make_a_message_in_any_order(order: tuple[int, ...]) -> None:
    fragments = [
        data(0, b"a", ending=False),
        data(1, b"b", beginning=False, ending=False),
        data(2, b"c", beginning=False),
    ]
    peer = Peer()
    outputs = [output for index in order for output in peer.receive(fragments[index])]
    assert events(outputs) == [MessageReceived(0, 51, b"abc", ordered=True)]
    assert peer.core.statistics().receive_window == 1 << 20


def test_a_message_longer_than_announced_is_dropped_and_its_channel_lives_on() -> None:
    peer = Peer(max_message_size=2500)
    count = 40
    for index in range(count):
        outputs = peer.receive(data(index, bytes(1000), beginning=index == 0, ending=index == count - 1))
        assert events(outputs) == []
        assert peer.core.statistics().receive_window > (1 << 20) - 4000
    outputs = peer.receive(data(count, b"next", sequence=1))
    assert events(outputs) == [MessageReceived(0, 51, b"next", ordered=True)]
    assert dropped(peer.core) == {Drop.MESSAGE_TOO_LARGE: 1}
    assert peer.core.statistics().receive_window == 1 << 20


def test_the_window_bounds_what_early_messages_take_and_the_missing_one_gets_through() -> None:
    peer = Peer()
    offsets = iter(range(1, 10_000))
    while peer.core.statistics().receive_window > 2000:
        offset = next(offsets)
        peer.receive(data(offset, bytes(1400), sequence=offset))
    last = offset
    while not dropped(peer.core):
        offset = next(offsets)
        peer.receive(data(offset, bytes(1400), sequence=offset))
    assert offset < last + 4
    outputs = peer.receive(data(0, b"missing"))
    assert len(events(outputs)) == offset
    assert peer.core.statistics().receive_window == 1 << 20


def test_the_longest_message_gets_through_when_what_came_after_it_has_filled_the_window() -> None:
    peer = Peer()
    fragments = [bytes(1132)] * 57 + [bytes(1011)]  # 65,535 bytes, as we would send them
    offset = len(fragments)
    while not dropped(peer.core):
        peer.receive(data(offset, bytes(1100), sequence=1 + offset - len(fragments)))
        offset += 1
    for at, part in enumerate(fragments):
        outputs = peer.receive(data(at, part, beginning=at == 0, ending=at == len(fragments) - 1))
    assert [len(event.data) for event in events(outputs)] == [65_535] + [1100] * (offset - 1 - len(fragments))
    assert peer.core.statistics().receive_window == 1 << 20


def test_a_peer_that_fills_the_window_with_what_can_never_be_delivered_is_sent_away() -> None:
    peer = Peer()
    outputs: list[SctpOutput] = []
    for offset in range(2000):
        outputs = peer.receive(data(offset, bytes(1400), sequence=offset + 1))  # sequence 0 never comes
        if outputs and isinstance(outputs[-1], AssociationClosed):
            break
    assert isinstance(sent(outputs)[-1], c.Abort)
    assert peer.core.state is AssociationState.ENDED
    assert offset < 800


def test_many_gaps_are_bounded_and_fit_into_one_sack() -> None:
    peer = Peer()
    for offset in range(1, 2001, 2):
        outputs = peer.receive(data(offset, unordered=True))
    (sack,) = sent(outputs)
    assert isinstance(sack, c.Sack)
    assert len(sack.gaps) == 256
    assert dropped(peer.core) == {Drop.WINDOW_FULL: 744}


def test_data_far_ahead_is_dropped() -> None:
    peer = Peer()
    assert events(peer.receive(data(0x10000), data(1 << 30), data(1 << 31))) == []
    assert dropped(peer.core)[Drop.WINDOW_FULL] == 2  # the third is half the circle away: it counts as old


def test_data_with_nothing_in_it_is_answered_with_an_abort() -> None:
    peer = Peer()
    outputs = peer.receive(data(0, b""))
    (abort,) = sent(outputs)
    assert isinstance(abort, c.Abort)
    assert p.parse_parameters(abort.causes)[0].type == p.CauseCode.NO_USER_DATA
    assert isinstance(events(outputs)[-1], AssociationClosed)


def test_forward_tsn_frees_what_waited_and_lets_go_of_fragments() -> None:
    peer = Peer()
    peer.receive(data(0, b"half of", sequence=0, ending=False), data(3, b"later", sequence=2))
    assert peer.core.statistics().receive_window < 1 << 20
    outputs = peer.receive(c.ForwardTsn(PEER_TSN + 2, [(0, 1)]))
    assert events(outputs) == [MessageReceived(0, 51, b"later", ordered=True)]
    assert sent(outputs) == [c.Sack(PEER_TSN + 3, 1 << 20)]
    assert sent(peer.receive(c.ForwardTsn(PEER_TSN))) == [c.Sack(PEER_TSN + 3, 1 << 20)]  # old: nothing moves


def test_fragments_that_belong_to_nothing_are_let_go() -> None:
    peer = Peer()
    peer.receive(data(0, b"x", ending=False), data(1, b"y"), data(2, b"z", beginning=False))
    assert peer.core.statistics().receive_window == 1 << 20
    assert dropped(peer.core) == {Drop.MALFORMED: 2}
