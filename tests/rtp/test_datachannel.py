"""DCEP messages, and channels over an association."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.datachannel import MAX_CHANNELS, MAX_EARLY_MESSAGES, ChannelClosed, ChannelMessage, ChannelOpened, DataChannels
from rtp.dcep import ChannelParameters, parse_open
from rtp.errors import DecodeError, LocalProtocolError
from rtp.sctp.association import SctpAssociation
from rtp.sctp.chunks import Data
from rtp.sctp.drops import Drop
from rtp.sctp.outputs import AssociationClosed, AssociationUp
from rtp.sctp.packet import parse_packet
from tests.rtp.sctp.link import Link, association

RELIABLE = ChannelParameters("_reliable")
LOSSY = ChannelParameters("_lossy", ordered=False, max_retransmits=0)
DATA_TRACK = ChannelParameters("_data_track", ordered=False, max_retransmits=0)

u32 = st.integers(0, 0xFFFF_FFFF)


def pair() -> tuple[Link, DataChannels, DataChannels]:
    client = DataChannels(association(1), is_dtls_client=True)
    server = DataChannels(association(2), is_dtls_client=False)
    return Link(client, server), client, server


def peer_pair() -> tuple[Link, SctpAssociation, DataChannels]:
    """Return channels whose peer is a bare association that is up."""
    peer = association(1)
    server = DataChannels(association(2), is_dtls_client=False)
    link = Link(peer, server)
    link.perform(0, peer.connect(0.0))
    link.run(1.0)
    link.seen[1].clear()
    return link, peer, server


def recorded_openings(session: str) -> list[bytes]:
    path = Path(__file__).parents[1] / "vectors" / "wire" / "sctp.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    chunks = [
        chunk
        for line in lines
        if line["session"] == session and line["from"] != "spike server"
        for chunk in parse_packet(bytes.fromhex(line["hex"])).chunks
    ]
    return [chunk.data for chunk in chunks if isinstance(chunk, Data) and chunk.protocol == 50 and chunk.data[0] == 3]


def test_recorded_clients_openings_are_read() -> None:
    assert [parse_open(message) for message in recorded_openings("dc")] == [LOSSY, RELIABLE, DATA_TRACK]
    assert [parse_open(message) for message in recorded_openings("rust1")] == [RELIABLE, LOSSY, DATA_TRACK]
    assert [parse_open(message) for message in recorded_openings("aiortc")] == [RELIABLE]


def test_our_openings_are_chromiums_to_the_byte() -> None:
    openings = [parameters.serialize_open() for parameters in (LOSSY, RELIABLE, DATA_TRACK)]
    assert openings == recorded_openings("dc")


@given(
    st.text(max_size=30),
    st.booleans(),
    st.one_of(
        st.just({}), st.builds(lambda n: {"max_retransmits": n}, u32), st.builds(lambda n: {"max_lifetime": n}, u32)
    ),
    st.text(max_size=30),
)
def test_what_is_opened_is_read(label: str, ordered: bool, limits: dict[str, int], protocol: str) -> None:
    parameters = ChannelParameters(label, ordered=ordered, protocol=protocol, **limits)
    assert parse_open(parameters.serialize_open()) == parameters


@given(st.binary(max_size=60))
def test_noise_raises_nothing_but_decode_error(noise: bytes) -> None:
    for message in (noise, b"\x03" + noise, b"\x03\0\1\0\0\0\0\0\0\4\0\0" + noise):
        with suppress(DecodeError):
            parse_open(message)


@pytest.mark.parametrize(
    "message",
    ["02", "03000100000000000006", "030001000000000000060000" + "5f6c6f73", "030301000000000000000000",
     "030001000000000000020000" + "c328", "0300010000000000000000000000"],
)  # fmt: skip
def test_openings_that_are_none_are_refused(message: str) -> None:
    with pytest.raises(DecodeError):
        parse_open(bytes.fromhex(message))


def test_contradictory_parameters_are_the_callers_fault() -> None:
    channels = DataChannels(association(1), is_dtls_client=True)
    for parameters in (
        ChannelParameters("x", max_retransmits=1, max_lifetime=1),
        ChannelParameters("x", max_retransmits=-1),
        ChannelParameters("x" * 65536),
    ):
        with pytest.raises(LocalProtocolError):
            channels.open(parameters, 0.0)
    assert not channels.channels


def test_channels_open_on_both_sides_with_even_and_odd_ids() -> None:
    link, client, server = pair()
    for end, channels in enumerate((client, server)):
        for parameters in (RELIABLE, LOSSY):
            link.perform(end, channels.open(parameters, 0.0)[1])
    assert link.packets == ([], [])  # nothing can be sent yet
    link.perform(1, server.connect(0.0))
    link.run(5.0)
    for end, channels in enumerate((client, server)):
        assert link.seen[end][0] == AssociationUp()
        opened = {(o.channel_id, o.parameters) for o in link.seen[end][1:] if isinstance(o, ChannelOpened)}
        assert opened == {(0, RELIABLE), (2, LOSSY), (1, RELIABLE), (3, LOSSY)}
        assert channels.statistics().open_channels == 4
    lossy = client.by_label("_lossy")
    assert lossy is not None
    assert lossy.channel_id == 2
    assert client.by_label("_data_track") is None


def test_the_answer_to_an_opening_is_reliable_and_ordered() -> None:
    link, client, _ = pair()
    link.perform(0, client.open(LOSSY, 0.0)[1])
    link.perform(0, client.connect(0.0))
    link.run(5.0)
    dcep = [
        chunk
        for packets in link.packets
        for packet in packets
        for chunk in parse_packet(packet).chunks
        if isinstance(chunk, Data)
    ]
    assert [(chunk.protocol, chunk.data[0], chunk.unordered) for chunk in dcep] == [(50, 3, False), (50, 2, False)]


def test_text_binary_and_empty_messages_arrive_as_they_were_sent() -> None:
    link, client, server = pair()
    channel_id, outputs = client.open(RELIABLE, 0.0)
    link.perform(0, outputs + client.connect(0.0))
    link.run(5.0)
    link.seen[1].clear()
    sent = [(b"text", True), (b"\xff\x00", False), (b"", True), (b"", False)]
    for data, is_text in sent:
        link.perform(0, client.send(channel_id, data, link.now, is_text=is_text))
    link.run(10.0)
    assert link.seen[1] == [ChannelMessage(channel_id, "_reliable", data, is_text) for data, is_text in sent]
    assert server.channels[channel_id].messages_received == client.channels[channel_id].messages_sent == 4


def test_an_unordered_channel_sends_in_order_until_its_opening_is_answered() -> None:
    link, client, _ = pair()
    channel_id, outputs = client.open(LOSSY, 0.0)
    link.perform(0, outputs + client.send(channel_id, b"early", 0.0) + client.connect(0.0))
    link.run(5.0)
    link.perform(0, client.send(channel_id, b"late", link.now))
    chunks = [chunk for packet in link.packets[0] for chunk in parse_packet(packet).chunks]
    unordered = {chunk.data: chunk.unordered for chunk in chunks if isinstance(chunk, Data)}
    assert unordered[b"early"] is False
    assert unordered[b"late"] is True


def test_messages_before_their_opening_wait_for_it() -> None:
    link, peer, server = peer_pair()
    link.perform(0, peer.send(4, 51, b"before", link.now, ordered=False))
    link.run(2.0)
    assert link.seen[1] == []
    link.perform(0, peer.send(4, 50, RELIABLE.serialize_open(), link.now))
    link.run(3.0)
    assert link.seen[1] == [ChannelOpened(4, RELIABLE), ChannelMessage(4, "_reliable", b"before", is_text=True)]
    assert server.statistics().channels_opened == 1


def test_what_waited_on_a_stream_that_was_reset_is_not_for_the_next_channel_there() -> None:
    link, peer, server = peer_pair()
    link.perform(0, peer.send(4, 51, b"of the channel before", link.now))
    link.perform(0, peer.send(6, 51, b"of another", link.now))
    link.perform(0, peer.reset_stream(4, link.now))
    link.run(2.0)
    for stream in (4, 6):
        link.perform(0, peer.send(stream, 50, RELIABLE.serialize_open(), link.now))
    link.run(3.0)
    opened = [ChannelOpened(4, RELIABLE), ChannelOpened(6, RELIABLE)]
    assert link.seen[1] == [*opened, ChannelMessage(6, "_reliable", b"of another", is_text=True)]
    assert server.statistics().drops == {Drop.UNKNOWN_CHANNEL: 1}


def test_messages_that_wait_for_nothing_are_bounded_and_the_oldest_go() -> None:
    link, peer, server = peer_pair()
    for number in range(MAX_EARLY_MESSAGES + 3):
        link.perform(0, peer.send(4, 53, bytes([number]), link.now))
    link.run(2.0)
    for size in (40_000, 20_000):
        link.perform(0, peer.send(5, 53, bytes(size), link.now))
    link.run(5.0)
    assert server.statistics().drops == {Drop.UNKNOWN_CHANNEL: 5}
    link.perform(0, peer.send(4, 50, RELIABLE.serialize_open(), link.now))
    link.run(6.0)
    assert [o.data[0] for o in link.seen[1] if isinstance(o, ChannelMessage)] == list(range(5, MAX_EARLY_MESSAGES + 3))


def test_what_breaks_dcep_is_counted_and_harms_nothing() -> None:
    link, peer, server = peer_pair()
    opening = RELIABLE.serialize_open()
    for stream, protocol, data in [
        (0, 50, opening), (0, 50, opening), (2, 50, b"\x02"), (0, 50, b"\x02"),
        (2, 50, b"\x07"), (2, 50, opening[:-1]), (0, 99, b"?"), (0, 54, b"partial"),
    ]:  # fmt: skip
        link.perform(0, peer.send(stream, protocol, data, link.now))
    link.run(5.0)
    assert link.seen[1] == [ChannelOpened(0, RELIABLE)]
    assert server.statistics().drops == {
        Drop.CHANNEL_IN_USE: 2,
        Drop.UNKNOWN_CHANNEL: 1,
        Drop.MALFORMED: 2,
        Drop.UNKNOWN_PROTOCOL: 2,
    }


def test_channels_are_bounded_and_one_too_many_is_refused() -> None:
    link, peer, server = peer_pair()
    for stream in range(MAX_CHANNELS + 1):
        link.perform(0, peer.send(stream, 50, RELIABLE.serialize_open(), link.now))
    link.run(20.0)
    assert len(server.channels) == MAX_CHANNELS
    assert server.statistics().drops == {Drop.TOO_MANY_CHANNELS: 1}
    assert [o.streams for o in link.seen[0] if hasattr(o, "streams")] == [(MAX_CHANNELS,)]
    with pytest.raises(LocalProtocolError):
        server.open(LOSSY, link.now)


@pytest.mark.parametrize("closer", [0, 1])
def test_a_channel_closed_by_either_side_closes_on_both_and_its_id_works_again(closer: int) -> None:
    link, client, server = pair()
    channel_id, outputs = client.open(RELIABLE, 0.0)
    link.perform(0, outputs + client.connect(0.0))
    link.run(5.0)
    ends = (client, server)
    link.perform(closer, ends[closer].send(channel_id, b"last words", link.now))
    link.perform(closer, ends[closer].close_channel(channel_id, link.now))
    assert ends[closer].close_channel(channel_id, link.now) == []
    with pytest.raises(LocalProtocolError):
        ends[closer].send(channel_id, b"more", link.now)
    link.run(10.0)
    assert link.seen[1 - closer][-2:] == [
        ChannelMessage(channel_id, "_reliable", b"last words", is_text=False),
        ChannelClosed(channel_id, "_reliable"),
    ]
    assert link.seen[closer][-1] == ChannelClosed(channel_id, "_reliable")
    assert not client.channels
    assert not server.channels
    assert client.next_timeout() is None
    assert server.next_timeout() is None

    client._next_id = channel_id
    reopened, outputs = client.open(LOSSY, link.now)
    assert reopened == channel_id
    link.perform(0, outputs)
    link.run(15.0)
    assert [seen[-1] for seen in link.seen] == [ChannelOpened(channel_id, LOSSY)] * 2


def test_the_end_of_the_association_closes_all_channels() -> None:
    link, client, server = pair()
    for parameters in (RELIABLE, LOSSY):
        link.perform(0, client.open(parameters, 0.0)[1])
    link.perform(0, client.connect(0.0))
    link.run(5.0)
    for seen in link.seen:
        seen.clear()
    link.perform(0, client.close(link.now))
    link.run(6.0)
    closed = [ChannelClosed(0, "_reliable"), ChannelClosed(2, "_lossy")]
    assert link.seen[0] == [*closed, AssociationClosed("closed")]
    assert link.seen[1] == [*closed, AssociationClosed("the peer aborted: cause 12 'closed'")]
    assert server.statistics().channels_closed == 2
    assert client.next_timeout() is None


def test_ids_come_round_and_skip_those_in_use() -> None:
    channels = DataChannels(association(2), is_dtls_client=False)
    first = channels.open(RELIABLE, 0.0)[0]
    channels._next_id = 65533
    assert [channels.open(LOSSY, 0.0)[0] for _ in range(2)] == [65533, 3]
    assert first == 1
