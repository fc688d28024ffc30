"""When DATA leaves, when it leaves again, and when it is given up."""

import pytest

from rtp.errors import LocalProtocolError, SendQueueFullError
from rtp.sctp import chunks as c
from rtp.sctp.drops import Drop
from rtp.sctp.outputs import (
    SctpOutput,
)
from rtp.sctp.packet import MTU, serialize_packet
from rtp.sctp.queue import MAX_QUEUE_BYTES, MAX_QUEUE_MESSAGES
from tests.rtp.sctp.link import association
from tests.rtp.sctp.peer import Peer, data, dropped, sent


def data_of(outputs: list[SctpOutput]) -> list[bytes]:
    return [chunk.data for chunk in sent(outputs) if isinstance(chunk, c.Data)]


def test_a_window_of_zero_is_probed_with_one_chunk() -> None:
    peer = Peer(a_rwnd=0)
    assert len(sent(peer.core.send(0, 51, b"one", 0.0))) == 1
    assert sent(peer.core.send(0, 51, b"two", 0.0)) == []
    for now in (1.0, 3.0, 7.0):
        assert peer.core.next_timeout() == now
        assert [chunk.data for chunk in sent(peer.core.handle_timeout(now)) if isinstance(chunk, c.Data)] == [b"one"]
    outputs = peer.receive(c.Sack(peer.tsn, 1 << 20), now=7.5)
    assert [chunk.data for chunk in sent(outputs) if isinstance(chunk, c.Data)] == [b"two"]


def test_what_got_stuck_is_sent_again_on_a_new_path_at_once() -> None:
    peer = Peer()
    peer.core.send(0, 51, b"one", 0.0)
    for now in (1.0, 3.0, 7.0):
        peer.core.handle_timeout(now)
    collapsed = peer.core.statistics().congestion_window
    assert data_of(peer.core.path_changed(8.0)) == [b"one"]
    assert peer.core.next_timeout() == 9.0
    assert peer.core.statistics().congestion_window > collapsed


def test_a_new_path_repeats_nothing_that_the_old_one_was_still_good_for() -> None:
    peer = Peer()
    peer.core.send(0, 51, b"one", 0.0)
    due = peer.core.next_timeout()
    assert peer.core.path_changed(0.1) == []
    assert peer.core.next_timeout() == due


def test_what_was_never_sent_cannot_be_acknowledged() -> None:
    peer = Peer()
    peer.core.send(0, 51, b"one", 0.0)
    for tsn in (peer.tsn + 1, peer.tsn + 1000, peer.tsn - 2):
        peer.receive(c.Sack(tsn & 0xFFFF_FFFF, 1 << 20))
    peer.receive(c.Sack(peer.tsn - 1, 1 << 20, [(0, 0), (1, 0xFFFF), (5, 2), (0xFFFF, 0xFFFF)]))
    assert peer.core.statistics().flight_bytes == 3
    assert dropped(peer.core) == {Drop.BAD_ACKNOWLEDGEMENT: 3}
    peer.receive(c.Sack(peer.tsn, 1 << 20))
    assert peer.core.statistics().flight_bytes == 0
    assert peer.core.next_timeout() is None


def test_the_third_miss_sends_again_and_halves_the_window() -> None:
    peer = Peer()
    for index in range(3):
        peer.core.send(0, 51, bytes([index]) * 1132, 0.0)
    first = peer.core.statistics().congestion_window
    outputs: list[SctpOutput] = []
    for count in (2, 3, 4):
        outputs = peer.receive(c.Sack((peer.tsn - 1) & 0xFFFF_FFFF, 1 << 20, [(2, count)]), now=0.1)
        peer.core.send(0, 51, b"more", 0.1)
    again = [chunk.data[:1] for chunk in sent(outputs) if isinstance(chunk, c.Data)]
    assert again == [b"\0"]
    assert peer.core.statistics().congestion_window == max(first // 2, 4 * MTU)


def test_the_timer_begins_anew_when_the_first_chunk_outstanding_is_sent_again() -> None:
    peer = Peer()
    for index in range(4):
        peer.core.send(0, 51, bytes([index]) * 1132, 0.0)
    for count in (2, 3, 4):
        outputs = peer.receive(c.Sack((peer.tsn - 1) & 0xFFFF_FFFF, 1 << 20, [(2, count)]), now=0.9)
    assert [chunk.data[:1] for chunk in sent(outputs) if isinstance(chunk, c.Data)] == [b"\0"]
    due = peer.core.next_timeout()
    assert due is not None
    assert due > 0.9 + 0.4


def test_a_peer_may_take_back_what_it_acknowledged_out_of_order() -> None:
    peer = Peer()
    for text in (b"one", b"two"):
        peer.core.send(0, 51, text, 0.0)
    peer.receive(c.Sack((peer.tsn - 1) & 0xFFFF_FFFF, 1 << 20, [(2, 2)]), now=0.1)
    outputs = peer.receive(c.Sack(peer.tsn, 1 << 20), now=0.2)
    assert [chunk.data for chunk in sent(outputs) if isinstance(chunk, c.Data)] == [b"two"]


def test_a_message_past_its_retransmits_is_given_up_by_forward_tsn() -> None:
    peer = Peer()
    peer.core.send(3, 51, b"fragile" * 400, 0.0, max_retransmits=0)
    peer.core.send(4, 51, b"fragile", 0.0, ordered=False, max_retransmits=0)
    outputs = peer.core.handle_timeout(1.0)
    assert sent(outputs) == [c.ForwardTsn((peer.tsn + 3) & 0xFFFF_FFFF, [(3, 0)])]
    assert peer.core.statistics().abandoned_messages == 2
    outputs = peer.receive(c.Sack((peer.tsn + 3) & 0xFFFF_FFFF, 1 << 20), now=1.1)
    assert sent(outputs) == []
    assert peer.core.next_timeout() is None


def test_a_lost_forward_tsn_is_sent_again() -> None:
    peer = Peer()
    peer.core.send(4, 51, b"fragile", 0.0, ordered=False, max_retransmits=0)
    first = sent(peer.core.handle_timeout(1.0))
    assert sent(peer.core.handle_timeout(3.0)) == first == [c.ForwardTsn(peer.tsn & 0xFFFF_FFFF)]


def test_a_message_past_its_lifetime_is_given_up() -> None:
    peer = Peer(a_rwnd=0)  # so that only one message can be under way
    peer.core.send(0, 51, b"first", 0.0)
    peer.core.send(0, 51, b"late", 0.0, lifetime_seconds=0.5)
    peer.core.send(0, 51, b"last", 0.0)
    (chunk,) = sent(peer.receive(c.Sack(peer.tsn, 1 << 20), now=0.6))
    assert isinstance(chunk, c.Data)
    assert (chunk.data, chunk.sequence) == (b"last", 1)
    assert peer.core.statistics().abandoned_messages == 1


def test_a_peer_without_forward_tsn_gets_everything() -> None:
    core = association(1)
    (answer,) = sent(core.receive(serialize_packet(0, [c.Init(5, 1500, 1, 1, 5).serialize()]), 0.0))
    assert isinstance(answer, c.Init)
    core.receive(serialize_packet(core.tag, [c.CookieEcho(answer.parameters[0].value).serialize()]), 0.0)
    first = sent(core.send(0, 51, b"fragile", 0.0, max_retransmits=0))
    assert sent(core.handle_timeout(1.0)) == first


def test_a_message_given_up_half_way_leaves_the_queue_too() -> None:
    peer = Peer()
    peer.core.send(0, 51, bytes(20_000), 0.0, max_retransmits=0)
    peer.core.send(0, 51, b"next", 0.0)
    chunks = sent(peer.core.handle_timeout(1.0))
    forward_tsn, message = chunks
    assert forward_tsn == c.ForwardTsn((peer.tsn + 3) & 0xFFFF_FFFF, [(0, 0)])
    assert isinstance(message, c.Data)
    assert (message.data, message.sequence, message.beginning, message.ending) == (b"next", 1, True, True)
    assert peer.core.statistics().queued_bytes == 0


def test_a_lifetime_that_ends_while_a_chunk_waits_to_be_sent_again_gives_it_up() -> None:
    peer = Peer()
    for _ in range(3):
        peer.core.send(0, 51, bytes(1132), 0.0, lifetime_seconds=2.0)
    assert len([chunk for chunk in sent(peer.core.handle_timeout(1.0)) if isinstance(chunk, c.Data)]) == 2
    chunks = sent(peer.receive(c.Sack(peer.tsn, 1 << 20), now=2.5))
    assert not any(isinstance(chunk, c.Data) for chunk in chunks)
    assert peer.core.statistics().abandoned_messages == 1


def test_a_message_that_finds_the_queue_full_is_refused_and_counted() -> None:
    core = association(1)
    for _ in range(MAX_QUEUE_MESSAGES):
        assert core.send(0, 51, b"x", 0.0) == []
    with pytest.raises(SendQueueFullError):
        core.send(0, 51, b"x", 0.0)
    assert core.buffered_bytes(0) == MAX_QUEUE_MESSAGES
    core = association(1)
    for _ in range(MAX_QUEUE_BYTES // 65536):
        core.send(0, 51, bytes(65536), 0.0)
    with pytest.raises(SendQueueFullError):
        core.send(0, 51, b"x", 0.0)
    assert core.statistics().queued_bytes == MAX_QUEUE_BYTES
    assert dropped(core) == {Drop.SEND_BUFFER_FULL: 1}


def test_a_message_overtakes_nothing_that_waits() -> None:
    peer = Peer(a_rwnd=4)
    assert data_of(peer.core.send(0, 51, b"one", 0.0)) == [b"one"]
    assert data_of(peer.core.send(0, 51, b"two", 0.0)) == []
    assert data_of(peer.receive(c.Sack((peer.tsn - 1) & 0xFFFF_FFFF, 2))) == []
    assert data_of(peer.core.send(0, 51, b"3", 0.0)) == []
    assert data_of(peer.receive(c.Sack(peer.tsn, 4))) == [b"two", b"3"]
    peer.receive(c.Sack(peer.tsn, 1 << 20))
    for text in (b"4", b"5", b"6", b"7"):
        peer.core.send(0, 51, text * 1132, 0.0)
    again = data_of(peer.core.handle_timeout(1.0))  # all of it is lost, and more than the window lets out now
    assert [text[:1] for text in again] == [b"t", b"3", b"4", b"5"]
    assert data_of(peer.core.send(0, 51, b"last", 1.0)) == []


def test_a_message_takes_the_acknowledgement_along_that_the_peer_is_owed() -> None:
    peer = Peer()
    peer.receive(data(0))
    assert [type(chunk) for chunk in sent(peer.core.send(0, 51, b"one", 0.0))] == [c.Sack, c.Data]
    assert [type(chunk) for chunk in sent(peer.core.send(0, 51, b"two", 0.0))] == [c.Data]


def test_a_message_that_leaves_at_once_is_missed_like_any_other() -> None:
    peer = Peer()
    peer.core.send(0, 51, b"lossy", 0.0, ordered=False, max_retransmits=0)
    assert peer.core.next_timeout() == 1.0
    assert sent(peer.core.handle_timeout(1.0)) == [c.ForwardTsn(peer.tsn)]
    assert sent(peer.core.send(0, 51, b"next", 1.0)) == [c.Data((peer.tsn + 1) & 0xFFFF_FFFF, 0, 0, 51, b"next")]


def test_an_empty_message_or_an_impossible_stream_is_the_callers_fault() -> None:
    core = association(1)
    with pytest.raises(LocalProtocolError):
        core.send(0, 51, b"", 0.0)
    with pytest.raises(LocalProtocolError):
        core.send(65535, 51, b"x", 0.0)
