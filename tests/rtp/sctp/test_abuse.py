"""Peers that mean harm: whatever they send, memory and work stay bounded, and what is wrong is counted."""

import tracemalloc
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from random import Random

import pytest

from rtp.datachannel import MAX_OPENING_BYTES, ChannelMessage, ChannelOpened, DataChannels
from rtp.dcep import ChannelParameters
from rtp.sctp import chunks as c
from rtp.sctp import parameters as p
from rtp.sctp.association import AssociationState
from rtp.sctp.drops import Drop
from rtp.sctp.inbound import RECEIVE_WINDOW_BYTES
from rtp.sctp.outbound import MAX_OUTSTANDING
from rtp.sctp.outputs import MessageReceived, SctpOutput, SendPacket
from rtp.sctp.packet import MAX_RECEIVED_BYTES, serialize_packet
from tests.rtp.sctp.link import Link, association
from tests.rtp.sctp.peer import PEER_TSN, Peer, data, dropped, events, sent

RELIABLE = ChannelParameters("_reliable")


@contextmanager
def memory_below(limit_bytes: int) -> Generator[None, None, None]:
    """Fail if what is done inside leaves more than `limit_bytes` behind."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        assert tracemalloc.get_traced_memory()[0] - before < limit_bytes
    finally:
        tracemalloc.stop()


def sizes(outputs: list[SctpOutput]) -> int:
    return sum(len(output.data) for output in outputs if isinstance(output, SendPacket))


# --- Setting up ---


def test_a_flood_of_inits_takes_no_memory_and_each_answer_is_one_packet() -> None:
    core = association(1)
    inits = [serialize_packet(0, [c.Init(tag, 1500, 1, 1, tag).serialize()]) for tag in range(1, 2001)]
    with memory_below(4_000):
        for init in inits:
            assert len(core.receive(init, 0.0)) == 1
    assert core.state is AssociationState.CLOSED


def test_a_flood_of_cookies_that_nobody_signed_is_counted_and_forgotten() -> None:
    core = association(1)
    random = Random(1)
    echoes = [serialize_packet(core.tag, [c.CookieEcho(random.randbytes(63)).serialize()]) for _ in range(1000)]
    with memory_below(4_000):
        for echo in echoes:
            assert core.receive(echo, 0.0) == []
    assert dropped(core) == {Drop.BAD_COOKIE: 1000}


def test_inits_and_cookies_do_not_disturb_an_association_that_is_up() -> None:
    peer = Peer()
    for number in range(200):
        init = c.Init(number + 1, 0, 1, 1, number)
        peer.core.receive(serialize_packet(0, [init.serialize()]), 0.0)
        peer.receive(c.CookieEcho(bytes(63)))
    assert dropped(peer.core) == {Drop.RESTART: 200, Drop.BAD_COOKIE: 200}
    assert events(peer.receive(data(0))) == [MessageReceived(0, 51, b"x", ordered=True)]


# --- Packets ---


@pytest.mark.parametrize("length", [0, 3, 5, 16, 200, 0xFFFF])
def test_a_chunk_length_that_lies_costs_the_whole_packet_and_nothing_else(length: int) -> None:
    peer = Peer()
    lying = bytearray(data(1, b"four", sequence=1).serialize())
    lying[2:4] = length.to_bytes(2, "big")
    packet = serialize_packet(peer.core.tag, [data(0).serialize(), bytes(lying)])
    assert peer.core.receive(packet, 0.0) == []
    assert dropped(peer.core) == {Drop.MALFORMED: 1}
    assert events(peer.receive(data(0))) == [MessageReceived(0, 51, b"x", ordered=True)]


def test_malformed_packets_are_counted_and_harm_nothing() -> None:
    peer = Peer()
    good = serialize_packet(peer.core.tag, [data(0).serialize()])
    bad = [good[:size] for size in range(len(good))]
    bad += [good[:-1] + b"\1", good + b"\0", bytes(12), bytes(MAX_RECEIVED_BYTES + 1)]
    for packet in bad:
        assert peer.core.receive(packet, 0.0) == []
    assert dropped(peer.core) == {Drop.MALFORMED: len(bad)}
    assert events(peer.core.receive(good, 0.0)) == [MessageReceived(0, 51, b"x", ordered=True)]


def test_a_packet_full_of_questions_is_answered_with_little_more_than_it_was() -> None:
    peer = Peer()
    for chunk, times in ((c.UnknownChunk(0xFE, 0, b""), 300), (c.Heartbeat(bytes(4)), 150), (c.Shutdown(0), 150)):
        outputs = peer.receive(*[chunk] * times)
        assert sizes(outputs) < 4 * MAX_RECEIVED_BYTES


def test_a_heartbeat_that_cannot_be_answered_in_one_packet_is_dropped() -> None:
    peer = Peer()
    assert peer.receive(c.Heartbeat(bytes(1400))) == []
    assert dropped(peer.core) == {Drop.UNEXPECTED: 1}


# --- Data ---


def on_every_stream(peer: Peer, sequence: int) -> list[bytes]:
    """Return a message for each of 65,535 streams, in packets of seventy."""
    chunks = [replace(data(n, sequence=sequence), stream=n).serialize() for n in range(65_535)]
    return [serialize_packet(peer.core.tag, chunks[n : n + 70], has_checksum=False) for n in range(0, len(chunks), 70)]


def test_a_message_on_every_stream_costs_a_number_each() -> None:
    peer = Peer()
    packets = on_every_stream(peer, sequence=0)
    with memory_below(8 << 20):
        count = sum(len(events(peer.core.receive(packet, 0.0))) for packet in packets)
    assert count == 65_535
    assert peer.core.statistics().receive_window == RECEIVE_WINDOW_BYTES


def test_a_message_ahead_of_its_turn_on_every_stream_fills_the_window_and_ends_it() -> None:
    peer = Peer()
    packets = on_every_stream(peer, sequence=1)
    with memory_below(6 << 20):
        for packet in packets:
            peer.core.receive(packet, 0.0)
    assert peer.core.state is AssociationState.ENDED


def test_a_message_without_end_is_let_go_while_it_comes() -> None:
    peer = Peer()
    with memory_below(1 << 20):
        for offset in range(3000):
            assert events(peer.receive(data(offset, bytes(1000), beginning=offset == 0, ending=False))) == []
    assert peer.core.statistics().receive_window > RECEIVE_WINDOW_BYTES - 1000
    outputs = peer.receive(data(3000, beginning=False), data(3001, b"next", sequence=1))
    assert events(outputs) == [MessageReceived(0, 51, b"next", ordered=True)]
    assert dropped(peer.core) == {Drop.MESSAGE_TOO_LARGE: 1}


def test_messages_that_begin_and_never_end_are_let_go() -> None:
    peer = Peer()
    with memory_below(100_000):
        for offset in range(2000):
            peer.receive(data(offset, bytes(1000), ending=False, unordered=True))
    assert dropped(peer.core) == {Drop.MALFORMED: 1999}


def test_fragments_with_a_hole_before_each_stay_within_the_window() -> None:
    peer = Peer()
    with memory_below(2 << 20):
        for offset in range(1, 2000, 2):
            peer.receive(data(offset, bytes(1400), ending=False, unordered=True))
    assert 0 < peer.core.statistics().receive_window < RECEIVE_WINDOW_BYTES
    assert dropped(peer.core)[Drop.WINDOW_FULL] == 1000 - 256


def test_the_same_chunk_a_thousand_times_is_told_in_bounded_sacks() -> None:
    peer = Peer()
    peer.receive(data(0))
    for _ in range(20):
        (sack,) = sent(peer.receive(*[data(0)] * 50))
        assert isinstance(sack, c.Sack)
        assert sack.duplicates == [PEER_TSN] * 16


def test_a_message_longer_than_announced_ends_neither_channel_nor_association() -> None:
    client = DataChannels(association(1), is_dtls_client=True)
    server = DataChannels(association(2, max_message_size=65_535), is_dtls_client=False)
    link = Link(client, server)
    link.perform(0, client.open(RELIABLE, 0.0)[1])
    link.perform(0, client.connect(0.0))
    link.run(1.0)
    for size in (65_535, 65_536, 1_000_000, 5):
        link.perform(0, client.send(0, bytes(size), link.now))
    link.run(10.0)
    assert isinstance(link.seen[1][1], ChannelOpened)
    assert [type(output) for output in link.seen[1][2:]] == [ChannelMessage] * 2
    assert [len(output.data) for output in link.seen[1][2:]] == [65_535, 5]
    assert server.statistics().association.drops == {Drop.MESSAGE_TOO_LARGE: 2}
    assert client.buffered_bytes(0) == 0


# --- Acknowledgements, windows, FORWARD-TSN ---


def test_a_sack_with_as_many_gaps_as_fit_looks_at_each_chunk_once_and_frees_nothing_twice() -> None:
    peer = Peer(a_rwnd=1 << 20)
    for _ in range(20):
        peer.core.send(0, 51, bytes(1100), 0.0)
    flight = peer.core.statistics().flight_bytes
    gaps = [(2, 3)] * 300
    peer.receive(c.Sack((peer.tsn - 1) & 0xFFFF_FFFF, 1 << 20, gaps))
    acknowledged = flight - peer.core.statistics().flight_bytes
    assert acknowledged <= 2 * 1100
    assert peer.core.statistics().outstanding_chunks <= MAX_OUTSTANDING


def test_of_many_sacks_in_a_packet_one_is_read() -> None:
    peer = Peer()
    for _ in range(3):
        peer.core.send(0, 51, b"x", 0.0)
    sacks = [c.Sack((peer.tsn + at) & 0xFFFF_FFFF, 1 << 20, [(2, 0xFFFF)]) for at in range(-1, 60)]
    peer.receive(*sacks)
    assert peer.core.statistics().outstanding_chunks == 3
    assert dropped(peer.core) == {Drop.BAD_ACKNOWLEDGEMENT: 60}
    peer.receive(c.Sack((peer.tsn + 2) & 0xFFFF_FFFF, 1 << 20))
    assert peer.core.statistics().outstanding_chunks == 0


def test_sacks_of_what_was_never_sent_change_nothing() -> None:
    peer = Peer()
    peer.core.send(0, 51, b"one", 0.0)
    before = peer.core.statistics()
    for tsn in (peer.tsn + 1, peer.tsn + (1 << 30), peer.tsn - 2, peer.tsn - (1 << 31)):
        assert peer.receive(c.Sack(tsn & 0xFFFF_FFFF, 0, [(1, 0xFFFF)])) == []
    after = peer.core.statistics()
    assert after.drops == {Drop.BAD_ACKNOWLEDGEMENT: 4}
    assert (after.flight_bytes, after.congestion_window) == (before.flight_bytes, before.congestion_window)


def test_a_window_that_never_opens_costs_one_probe_a_timeout_and_no_more_memory_than_the_queue() -> None:
    peer = Peer(a_rwnd=0)
    for _ in range(100):
        peer.core.send(0, 51, bytes(1100), 0.0)
    probes = 0
    for _ in range(200):
        now = peer.core.next_timeout()
        assert now is not None
        probes += len(peer.core.handle_timeout(now))
        peer.receive(c.Sack((peer.tsn - 1) & 0xFFFF_FFFF, 0), now=now)
    assert probes == 200
    assert now > 1900  # ten seconds apart
    assert peer.core.state is AssociationState.ESTABLISHED  # the peer does answer


def test_forward_tsn_beyond_what_a_sack_can_say_is_not_followed() -> None:
    peer = Peer()
    for distance in (0x10000, 1 << 30, (1 << 31) - 1):
        outputs = peer.receive(c.ForwardTsn((PEER_TSN - 1 + distance) & 0xFFFF_FFFF))
        assert sent(outputs) == [c.Sack(PEER_TSN - 1, RECEIVE_WINDOW_BYTES)]
    assert events(peer.receive(data(0))) == [MessageReceived(0, 51, b"x", ordered=True)]


def test_forward_tsn_over_all_streams_costs_a_number_each_and_frees_what_it_passes() -> None:
    peer = Peer()
    peer.receive(*(data(n, b"early", sequence=9, unordered=False) for n in (1, 3)))
    with memory_below(8 << 20):
        for step in range(220):
            streams = [((step * 300 + n) & 0xFFFF, 40_000 if step & 1 else 20_000) for n in range(300)]
            peer.receive(c.ForwardTsn((PEER_TSN + 4 + step) & 0xFFFF_FFFF, streams))
    assert peer.core.statistics().receive_window == RECEIVE_WINDOW_BYTES


# --- Streams and channels ---


def test_reset_requests_for_all_streams_over_and_over_are_each_answered_once() -> None:
    peer = Peer()
    streams = list(range(700))
    for number in range(100):
        request = p.OutgoingResetRequest((PEER_TSN + number) & 0xFFFF_FFFF, 0, PEER_TSN - 1, streams)
        outputs = peer.receive(c.Reconfig([request]))
        assert len(sent(outputs)) == 1
    assert peer.core.next_timeout() is None


def test_channels_opened_and_closed_without_ever_answering_us_are_bounded() -> None:
    peer = Peer(a_rwnd=0)
    channels = DataChannels(peer.core, is_dtls_client=False)
    opening = RELIABLE.serialize_open()
    with memory_below(8 << 20):
        for number in range(5000):
            opened = replace(data(number, opening), stream=number, protocol=50)
            reset = p.OutgoingResetRequest((PEER_TSN + number) & 0xFFFF_FFFF, 0, PEER_TSN + number, [number])
            packet = serialize_packet(peer.core.tag, [opened.serialize(), c.Reconfig([reset]).serialize()])
            channels.receive(packet, 0.0)
    assert not channels.channels
    assert channels.statistics().association.drops[Drop.SEND_BUFFER_FULL] > 0


def test_an_opening_with_a_label_as_long_as_a_book_is_refused() -> None:
    peer = association(1)
    server = DataChannels(association(2), is_dtls_client=False)
    link = Link(peer, server)
    link.perform(0, peer.connect(0.0))
    link.run(1.0)
    longest = ChannelParameters("x" * (MAX_OPENING_BYTES - 12))
    for stream, parameters in enumerate((longest, ChannelParameters("x" * 60_000), RELIABLE)):
        link.perform(0, peer.send(stream, 50, parameters.serialize_open(), link.now))
    link.run(5.0)
    assert list(server.channels) == [0, 2]
    assert server.statistics().drops == {Drop.MESSAGE_TOO_LARGE: 1}
    assert [output.streams for output in link.seen[0] if hasattr(output, "streams")] == [(1,)]
