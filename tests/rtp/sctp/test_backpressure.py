"""Slow readers and full queues, between two ends: what is buffered, held, drained, refused and dropped."""

import pytest

from rtp.datachannel import ChannelDrained, ChannelMessage, DataChannelOutput, DataChannels
from rtp.dcep import ChannelParameters
from rtp.errors import LocalProtocolError, SendQueueFullError
from rtp.sctp.chunks import Sack
from rtp.sctp.inbound import RECEIVE_WINDOW_BYTES
from rtp.sctp.packet import parse_packet
from rtp.sctp.queue import MAX_QUEUE_BYTES
from tests.rtp.sctp.link import Link, association

RELIABLE = ChannelParameters("_reliable")
LOSSY = ChannelParameters("_lossy", ordered=False, max_retransmits=0)


class Hoarder(DataChannels):
    """An end that passes on nothing of what it receives."""

    def receive(self, packet: bytes, now: float) -> list[DataChannelOutput]:
        outputs = super().receive(packet, now)
        self.hold(sum(len(output.data) for output in outputs if isinstance(output, ChannelMessage)))
        return outputs


def opened(
    *parameters: ChannelParameters, reader: type[DataChannels] = DataChannels
) -> tuple[Link, DataChannels, DataChannels]:
    """Return two ends that are up, with the channels that the first has opened: 0, 2 and so on."""
    client = DataChannels(association(1), is_dtls_client=True)
    server = reader(association(2), is_dtls_client=False)
    link = Link(client, server)
    for each in parameters:
        link.perform(0, client.open(each, 0.0)[1])
    link.perform(0, client.connect(0.0))
    link.run(1.0)
    forget(link)
    return link, client, server


def forget(link: Link) -> None:
    for each in (*link.seen, *link.packets):
        each.clear()


def received(link: Link) -> list[bytes]:
    return [output.data for output in link.seen[1] if isinstance(output, ChannelMessage)]


def windows(link: Link) -> list[int]:
    """Return what the second end has advertised."""
    chunks = [chunk for packet in link.packets[1] for chunk in parse_packet(packet).chunks]
    return [chunk.a_rwnd for chunk in chunks if isinstance(chunk, Sack)]


# --- What is buffered ---


def test_what_is_sent_is_buffered_until_the_peer_acknowledges_it() -> None:
    link, client, _ = opened(RELIABLE, LOSSY)
    assert client.buffered_bytes(0) == client.buffered_bytes(2) == 0
    for _ in range(3):
        link.perform(0, client.send(0, bytes(16_000), link.now))
    link.perform(0, client.send(2, b"12345", link.now))
    assert (client.buffered_bytes(0), client.buffered_bytes(2)) == (48_000, 5)
    link.run(link.now + 0.05)
    assert 0 < client.buffered_bytes(0) < 48_000
    link.run(link.now + 1.0)
    assert client.buffered_bytes(0) == client.buffered_bytes(2) == client.buffered_bytes(77) == 0


def test_what_is_given_up_is_buffered_no_more() -> None:
    link, client, _ = opened(LOSSY)
    link.drops = lambda end, packet: end == 0 and len(packet) > 200
    link.perform(0, client.send(0, bytes(20_000), link.now))
    assert client.buffered_bytes(0) == 20_000
    link.run(link.now + 5.0)
    assert client.buffered_bytes(0) == 0
    assert client.statistics().association.queued_bytes == 0


def test_what_runs_out_of_time_in_the_queue_is_buffered_no_more() -> None:
    link, client, _ = opened(RELIABLE, ChannelParameters("timed", max_lifetime=50))
    for _ in range(20):
        link.perform(0, client.send(0, bytes(60_000), link.now))
    link.perform(0, client.send(2, bytes(1000), link.now - 1.0))
    assert client.buffered_bytes(2) == 1000
    link.run(link.now + 5.0)
    assert client.buffered_bytes(2) == 0
    assert client.statistics().association.abandoned_messages == 1


def test_a_channel_is_drained_each_time_it_falls_to_its_threshold() -> None:
    link, client, _ = opened(RELIABLE)
    client.set_drain_threshold(0, 20_000)
    link.perform(0, client.send(0, bytes(20_000), link.now))
    link.run(link.now + 1.0)
    assert link.seen[0] == []  # it never was above
    for _ in range(2):
        for _ in range(4):
            link.perform(0, client.send(0, bytes(16_000), link.now))
        for _ in range(200):
            if not link.seen[0]:
                link.run(link.now + 0.001)
        assert 0 < client.buffered_bytes(0) <= 20_000
        link.run(link.now + 1.0)
        assert link.seen[0] == [ChannelDrained(0)]
        forget(link)


def test_a_threshold_set_below_what_is_buffered_is_met_as_it_drains() -> None:
    link, client, _ = opened(RELIABLE)
    link.perform(0, client.send(0, bytes(16_000), link.now))
    client.set_drain_threshold(0, 0)
    link.run(link.now + 1.0)
    assert link.seen[0] == [ChannelDrained(0)]


def test_only_an_open_channel_has_a_threshold_and_it_goes_with_the_channel() -> None:
    link, client, _ = opened(RELIABLE)
    with pytest.raises(LocalProtocolError):
        client.set_drain_threshold(2, 0)
    client.set_drain_threshold(0, 0)
    link.perform(0, client.close_channel(0, link.now))
    with pytest.raises(LocalProtocolError):
        client.set_drain_threshold(0, 0)
    link.run(link.now + 1.0)
    forget(link)
    client._next_id = 0
    link.perform(0, client.open(RELIABLE, link.now)[1])
    link.perform(0, client.send(0, b"as if it were new", link.now))
    link.run(link.now + 1.0)
    assert not any(isinstance(output, ChannelDrained) for output in link.seen[0])


# --- A full queue ---


def fill(channels: DataChannels, data: bytes, now: float) -> int:
    """Send on channel 0 until no more is taken, and return how many times."""
    for count in range(10_000):
        try:
            channels.send(0, data, now)
        except SendQueueFullError:
            return count
    raise AssertionError("nothing was refused")


def test_a_message_for_a_full_queue_is_refused_and_harms_nothing() -> None:
    link, client, server = opened(RELIABLE)
    link.drops = lambda _end, _packet: True
    sent = fill(client, bytes(60_000), link.now)
    assert sent >= MAX_QUEUE_BYTES // 60_000
    assert client.channels[0].messages_sent == sent
    assert client.buffered_bytes(0) == sent * 60_000
    with pytest.raises(SendQueueFullError):
        client.open(ChannelParameters("x" * 60_000), link.now)
    assert list(client.channels) == [0]
    link.drops = lambda _end, _packet: False
    link.run(link.now + 60.0)
    assert len(received(link)) == sent
    assert server.channels[0].messages_received == sent


def test_a_channel_whose_opening_cannot_be_answered_is_not_opened() -> None:
    link, client, server = opened(RELIABLE)
    link.drops = lambda end, _packet: end == 1
    fill(server, b"x", link.now)
    link.perform(0, client.open(LOSSY, link.now)[1])
    link.run(link.now + 0.5)
    assert list(server.channels) == [0]


def test_what_a_lossy_channel_has_not_sent_can_be_dropped_and_what_it_has_begun_cannot() -> None:
    link, client, _ = opened(LOSSY, RELIABLE)
    for number in range(10):
        link.perform(0, client.send(0, bytes([number]) * 8000, link.now))
    assert client.drop_unsent(0, 20_000) == 7
    for number in range(10):
        link.perform(0, client.send(2, bytes([number]) * 8000, link.now))
    assert client.drop_unsent(2, 0) == 0  # it is reliable
    assert client.drop_unsent(77, 0) == 0
    link.run(link.now + 5.0)
    lossy = [output.data for output in link.seen[1] if isinstance(output, ChannelMessage) and output.channel_id == 0]
    assert lossy == [bytes([number]) * 8000 for number in (0, 8, 9)]
    assert client.buffered_bytes(0) == client.buffered_bytes(2) == 0


def test_a_small_message_does_not_wait_for_all_that_another_channel_has_queued() -> None:
    link, client, _ = opened(RELIABLE, LOSSY)
    for _ in range(60):
        link.perform(0, client.send(0, bytes(60_000), link.now))
    link.perform(0, client.send(2, b"quick", link.now))
    link.run(link.now + 20.0)
    assert received(link).index(b"quick") <= 2


# --- What the application holds ---


def test_what_is_held_closes_the_window_and_what_is_released_opens_it() -> None:
    link, client, server = opened(RELIABLE)
    server.hold(300_000)
    link.perform(0, client.send(0, b"x", link.now))
    link.run(link.now + 0.5)
    assert windows(link) == [RECEIVE_WINDOW_BYTES - 300_000]
    assert server.release(200_000, link.now) == []  # too little to speak of
    (sack,) = server.release(100_000, link.now)
    (chunk,) = parse_packet(sack.data).chunks
    assert isinstance(chunk, Sack)
    assert chunk.a_rwnd == RECEIVE_WINDOW_BYTES


def test_a_sender_is_stopped_by_a_reader_who_holds_everything_and_goes_on_when_it_lets_go() -> None:
    link, client, server = opened(RELIABLE, reader=Hoarder)
    sent = [number.to_bytes(2, "big") * 8000 for number in range(110)]
    for each in sent:
        link.perform(0, client.send(0, each, link.now))
    link.run(60.0)
    held = sum(map(len, received(link)))
    assert RECEIVE_WINDOW_BYTES - 16_000 < held < RECEIVE_WINDOW_BYTES + 140_000
    assert windows(link)[-1] == 0
    assert client.statistics().association.state.name == "ESTABLISHED"
    link.perform(1, server.release(held, link.now))
    link.run(link.now + 2.0)  # a probe would come later: it is the update that does it
    assert received(link) == sent


def test_a_window_of_zero_is_advertised_in_answer_to_every_probe_for_as_long_as_it_takes() -> None:
    link, client, server = opened(RELIABLE, reader=Hoarder)
    server.hold(RECEIVE_WINDOW_BYTES)
    sent = [bytes([number]) * 16_000 for number in range(20)]
    for each in sent:
        link.perform(0, client.send(0, each, link.now))
    link.run(600.0)
    assert len(received(link)) == 7  # what the overdraft takes
    assert len(link.packets[0]) < 200
    assert set(windows(link)) == {0}
    server.release(RECEIVE_WINDOW_BYTES - 1, link.now)  # whose update is lost
    link.run(700.0)
    assert received(link) == sent


def test_driblets_are_not_worth_an_update_and_the_last_of_what_is_held_is() -> None:
    link, client, server = opened(RELIABLE)
    server.hold(RECEIVE_WINDOW_BYTES)
    link.perform(0, client.send(0, b"x", link.now))
    link.run(link.now + 0.5)
    updates = [bool(server.release(1024, link.now)) for _ in range(1024)]
    assert [index for index, is_update in enumerate(updates) if is_update] == [255, 511, 767, 1023]


def test_more_than_is_held_cannot_be_released() -> None:
    _, _, server = opened(RELIABLE)
    server.hold(10)
    with pytest.raises(AssertionError):
        server.release(11, 1.0)


def test_holding_means_nothing_once_the_association_is_over() -> None:
    link, client, server = opened(RELIABLE)
    server.hold(10)
    link.perform(0, client.close(link.now))
    link.run(link.now + 0.5)
    server.hold(10)
    assert server.release(20, link.now) == []
