"""Streams that start anew, errors, unknown chunks, and the end."""

from dataclasses import replace

import pytest

from rtp.sctp import chunks as c
from rtp.sctp import parameters as p
from rtp.sctp.drops import Drop
from rtp.sctp.outputs import (
    AssociationClosed,
    MessageReceived,
    StreamReset,
)
from rtp.sctp.packet import Packet, serialize_packet
from tests.rtp.sctp.link import association
from tests.rtp.sctp.peer import PEER_TAG, PEER_TSN, Peer, data, dropped, events, packets, sent


def test_a_reset_waits_for_data_and_is_answered_once_done() -> None:
    peer = Peer()
    peer.receive(data(0, sequence=0))
    request = c.Reconfig([p.OutgoingResetRequest(PEER_TSN, 0, PEER_TSN + 1, [0])])
    outputs = peer.receive(request)
    assert sent(outputs)[0] == c.Reconfig([p.ReconfigResponse(PEER_TSN, p.ResetResult.IN_PROGRESS)])
    assert events(outputs) == []
    peer.receive(data(1, sequence=1))
    outputs = peer.receive(request)
    performed = c.Reconfig([p.ReconfigResponse(PEER_TSN, p.ResetResult.PERFORMED)])
    assert sent(outputs) == [performed]
    assert events(outputs) == [StreamReset((0,))]
    outputs = peer.receive(request)  # our answer was lost
    assert sent(outputs) == [performed]
    assert events(outputs) == []
    assert events(peer.receive(data(2, b"anew", sequence=0))) == [MessageReceived(0, 51, b"anew", ordered=True)]
    wrong = c.Reconfig([p.OutgoingResetRequest(PEER_TSN + 9, 0, PEER_TSN, [0])])
    assert c.Reconfig([p.ReconfigResponse(PEER_TSN + 9, p.ResetResult.BAD_SEQUENCE_NUMBER)]) in sent(
        peer.receive(wrong)
    )


def test_our_reset_is_repeated_until_answered_and_later_messages_wait_for_it() -> None:
    peer = Peer()
    peer.core.send(6, 51, b"before", 0.0)
    (reset,) = sent(peer.core.reset_stream(6, 0.0))
    request = p.OutgoingResetRequest(peer.tsn, PEER_TSN - 1, peer.tsn, [6])
    assert reset == c.Reconfig([request])
    assert sent(peer.core.send(6, 51, b"after", 0.0)) == []
    peer.receive(c.Sack(peer.tsn, 1 << 20), now=0.1)
    assert sent(peer.core.handle_timeout(1.0)) == [reset]
    in_progress = c.Reconfig([p.ReconfigResponse(peer.tsn, p.ResetResult.IN_PROGRESS)])
    assert sent(peer.receive(in_progress, now=1.0)) == []
    done = c.Reconfig([p.ReconfigResponse(peer.tsn, p.ResetResult.PERFORMED)])
    (after,) = sent(peer.receive(done, now=1.1))
    assert isinstance(after, c.Data)
    assert (after.data, after.stream, after.sequence) == (b"after", 6, 0)


@pytest.mark.parametrize("result", [p.ResetResult.DENIED, p.ResetResult.WRONG_SSN, p.ResetResult.BAD_SEQUENCE_NUMBER])
def test_a_stream_whose_reset_the_peer_refuses_goes_on_with_its_numbers(result: p.ResetResult) -> None:
    peer = Peer()
    peer.core.send(6, 51, b"before", 0.0)
    peer.core.reset_stream(6, 0.0)
    peer.core.send(6, 51, b"after", 0.0)
    peer.receive(c.Sack(peer.tsn, 1 << 20))
    (after,) = sent(peer.receive(c.Reconfig([p.ReconfigResponse(peer.tsn, result)])))
    assert isinstance(after, c.Data)
    assert (after.data, after.stream, after.sequence) == (b"after", 6, 1)


def test_a_reset_lets_go_of_what_waited_on_the_stream_and_of_no_other() -> None:
    peer = Peer()
    elsewhere = replace(data(1, b"elsewhere", sequence=3), stream=1)
    peer.receive(data(0, b"here", sequence=3), elsewhere)
    before = peer.core.statistics().receive_window
    peer.receive(c.Reconfig([p.OutgoingResetRequest(PEER_TSN, 0, PEER_TSN + 1, [0])]))
    between = peer.core.statistics().receive_window
    assert before < between < 1 << 20
    outputs = peer.receive(c.Reconfig([p.OutgoingResetRequest(PEER_TSN + 1, 0, PEER_TSN + 1)]))
    assert StreamReset(()) in outputs
    assert peer.core.statistics().receive_window == 1 << 20


def test_a_peer_that_takes_no_resets_is_asked_for_none_and_messages_go_on() -> None:
    core = association(1)
    (answer,) = sent(core.receive(serialize_packet(0, [c.Init(5, 1500, 1, 1, 5).serialize()]), 0.0))
    assert isinstance(answer, c.Init)
    core.receive(serialize_packet(core.tag, [c.CookieEcho(answer.parameters[0].value).serialize()]), 0.0)
    assert core.reset_stream(0, 0.0) == []
    assert len(sent(core.send(0, 51, b"x", 0.0))) == 1


def test_resets_count_as_messages_of_the_queue() -> None:
    core = association(1)
    for stream in range(4097):
        core.reset_stream(stream, 0.0)
    assert dropped(core) == {Drop.SEND_BUFFER_FULL: 1}


def test_messages_of_other_streams_overtake_those_that_wait_for_a_reset() -> None:
    peer = Peer(a_rwnd=0)
    peer.core.send(6, 51, b"probe", 0.0)
    peer.core.reset_stream(6, 0.0)
    peer.core.send(6, 51, b"after", 0.0)
    peer.core.reset_stream(7, 0.0)
    peer.core.send(8, 51, b"other", 0.0)
    chunks = sent(peer.receive(c.Sack(peer.tsn, 1 << 20)))
    assert [chunk.data for chunk in chunks if isinstance(chunk, c.Data)] == [b"other"]
    request = p.OutgoingResetRequest(peer.tsn, PEER_TSN - 1, peer.tsn, [6])
    chunks += sent(peer.receive(c.Reconfig([p.ReconfigResponse(request.request, p.ResetResult.PERFORMED)])))
    assert [chunk.data for chunk in chunks if isinstance(chunk, c.Data)] == [b"other", b"after"]


def test_other_requests_of_rfc_6525_are_denied() -> None:
    outputs = Peer().receive(c.Reconfig([p.Parameter(17, (9).to_bytes(4, "big") + bytes(4))]))
    assert sent(outputs) == [c.Reconfig([p.ReconfigResponse(9, p.ResetResult.DENIED)])]


@pytest.mark.parametrize(
    ("kind", "is_read_on", "is_reported"),
    [(0x3E, False, False), (0x7E, False, True), (0xBE, True, False), (0xFE, True, True)],
)
def test_unknown_chunks_are_dealt_with_by_their_high_bits(kind: int, is_read_on: bool, is_reported: bool) -> None:
    unknown = c.UnknownChunk(kind, 0, b"what")
    outputs = Peer().receive(unknown, data(0, b"behind"))
    assert bool(events(outputs)) == is_read_on
    report = c.Error(p.Parameter(6, unknown.serialize()).serialize())
    assert (report in sent(outputs)) == is_reported


def test_errors_are_ignored_and_heartbeats_answered() -> None:
    peer = Peer()
    assert peer.receive(c.Error(b"\0\1\0\4")) == []
    assert sent(peer.receive(c.Heartbeat(b"anything"))) == [c.Heartbeat(b"anything", is_ack=True)]


def test_shutdown_is_acknowledged_and_ends_it() -> None:
    peer = Peer()
    outputs = peer.receive(c.Shutdown(peer.tsn))
    assert sent(outputs) == [c.ShutdownAck()]
    assert events(outputs) == [AssociationClosed("the peer shut down")]
    assert sent(peer.receive(c.Shutdown(peer.tsn))) == [c.ShutdownAck()]  # the first was lost
    assert peer.receive(c.ShutdownComplete()) == []
    assert peer.core.send(0, 51, b"too late", 0.0) == []
    assert dropped(peer.core)[Drop.ENDED] == 1


def test_closing_aborts_and_a_second_time_does_nothing() -> None:
    peer = Peer()
    outputs = peer.core.close()
    assert packets(outputs) == [Packet(PEER_TAG, [c.Abort(p.Parameter(12, b"closed").serialize())])]
    assert events(outputs) == [AssociationClosed("closed")]
    assert peer.core.close() == []
    assert peer.core.next_timeout() is None
    assert association(2).close() == [AssociationClosed("closed")]
