"""Associations and their channels over a link that loses, repeats and reorders, for many seeds."""

from random import Random

import pytest

from rtp.datachannel import ChannelMessage, ChannelOpened, DataChannels
from rtp.dcep import ChannelParameters
from rtp.sctp.outputs import AssociationClosed, AssociationState, AssociationUp, MessageReceived
from rtp.sctp.packet import MTU
from tests.rtp.sctp.link import Link, association, connected

RELIABLE = ChannelParameters("_reliable")
LOSSY = ChannelParameters("_lossy", ordered=False, max_retransmits=0)


def make_link(seed: int, loss: float) -> tuple[Link, DataChannels, DataChannels]:
    client = DataChannels(association(1), is_dtls_client=True)
    server = DataChannels(association(2), is_dtls_client=False)
    return Link(client, server, seed=seed, loss=loss, repeat=loss / 2, delay=(0.01, 0.06)), client, server


def messages(count: int, seed: int) -> list[bytes]:
    random = Random(seed)
    sizes = [random.choice((1, 40, 1132, 1133, 5000, random.randint(1, 16_000))) for _ in range(count)]
    return [number.to_bytes(2, "big") + random.randbytes(size) for number, size in enumerate(sizes)]


def test_both_sides_open_channels_and_200_messages_arrive_once_and_in_order_at_a_fifth_lost(
    simulation_seed: int,
) -> None:
    seed = simulation_seed
    link, client, server = make_link(seed, 0.2)
    for end, channels in enumerate((client, server)):
        if seed % 3 in {end, 2}:  # the client begins, or the server, or both
            link.perform(end, channels.connect(0.0))
        for parameters in (RELIABLE, LOSSY):
            link.perform(end, channels.open(parameters, 0.0)[1])
    link.run(60.0)
    for end, channels in enumerate((client, server)):
        opened = [output for output in link.seen[end] if isinstance(output, ChannelOpened)]
        assert sorted(output.channel_id for output in opened) == [0, 1, 2, 3]
        assert {output.parameters for output in opened} == {RELIABLE, LOSSY}
        assert sum(isinstance(output, AssociationUp) for output in link.seen[end]) == 1
        assert all(channel.is_open for channel in channels.channels.values())

    sent = {end: messages(200, seed + end) for end in (0, 1)}
    for first, second in zip(sent[0], sent[1], strict=True):
        link.perform(0, client.send(0, first, link.now))
        link.perform(1, server.send(0, second, link.now))
    link.run(600.0)
    for end in (0, 1):
        received = [o.data for o in link.seen[end] if isinstance(o, ChannelMessage) and o.channel_id == 0]
        assert received == sent[1 - end]
        assert not any(isinstance(output, AssociationClosed) for output in link.seen[end])
        assert max(map(len, link.packets[end])) <= MTU
    for channels in (client, server):
        statistics = channels.statistics().association
        assert statistics.queued_bytes == statistics.flight_bytes == statistics.outstanding_chunks == 0
        assert channels.next_timeout() is None


def test_a_lossy_channel_delivers_some_and_never_twice_and_does_not_hold_up_the_reliable_one(
    simulation_seed: int,
) -> None:
    seed = simulation_seed
    link, client, server = make_link(seed, 0.2)
    link.perform(0, client.connect(0.0))
    for parameters in (RELIABLE, LOSSY):
        link.perform(0, client.open(parameters, 0.0)[1])
    link.run(60.0)
    for data in messages(200, seed):
        link.perform(0, client.send(2, data, link.now))
        link.perform(0, client.send(0, data[:100], link.now))
        link.run(link.now + 0.05)
    link.run(600.0)
    lossy = [o.data[:2] for o in link.seen[1] if isinstance(o, ChannelMessage) and o.label == "_lossy"]
    reliable = [o.data[:2] for o in link.seen[1] if isinstance(o, ChannelMessage) and o.label == "_reliable"]
    assert len(set(lossy)) == len(lossy)
    assert 30 < len(lossy) < 200
    assert reliable == [number.to_bytes(2, "big") for number in range(200)]
    statistics = client.statistics().association
    assert statistics.abandoned_messages >= 200 - len(lossy)  # some are given up that were only late
    assert statistics.outstanding_chunks == 0
    assert server.statistics().association.receive_window == 1 << 20  # no fragment of what was given up is kept


def test_both_sides_may_begin_at_once(simulation_seed: int) -> None:
    left, right = association(1), association(2)
    link = Link(left, right, seed=simulation_seed, loss=0.3, repeat=0.3, delay=(0.01, 0.06))
    link.perform(0, left.connect(0.0))
    link.perform(1, right.connect(0.0))
    link.perform(0, left.send(0, 51, b"from the left", 0.0))
    link.perform(1, right.send(1, 51, b"from the right", 0.0))
    link.run(100.0)
    assert link.seen[0] == [AssociationUp(), MessageReceived(1, 51, b"from the right", ordered=True)]
    assert link.seen[1] == [AssociationUp(), MessageReceived(0, 51, b"from the left", ordered=True)]


def test_a_clean_link_carries_a_megabyte_without_sending_anything_twice() -> None:
    link, left, _ = connected()
    sent = [bytes([number]) * 16_000 for number in range(64)]
    for data in sent:
        link.perform(0, left.send(7, 53, data, link.now))
    started = link.now
    link.run(60.0)
    assert [output.data for output in link.seen[1]] == sent
    assert left.statistics().retransmissions == 0
    assert left.statistics().congestion_window > 4 * MTU
    assert len(link.packets[1]) <= 0.6 * len(link.packets[0])  # a SACK for every second packet
    assert left.statistics().smoothed_round_trip_seconds == pytest.approx(0.04, abs=0.02)
    assert link.now > started


def test_one_lost_packet_is_sent_again_before_any_timer() -> None:
    link, left, _ = connected()
    lost = iter([True])
    link.drops = lambda end, packet: end == 0 and len(packet) == MTU and next(lost, False)
    link.perform(0, left.send(0, 53, bytes(1132 * 12), link.now))
    link.run(link.now + 0.35)  # T3 would take 0.4 s at least
    assert [len(output.data) for output in link.seen[1]] == [1132 * 12]
    assert left.statistics().retransmissions == 1


def test_a_peer_that_has_gone_is_given_up() -> None:
    link, left, _ = connected()
    link.drops = lambda _end, _packet: True
    link.perform(0, left.send(0, 53, b"anybody there?", link.now))
    link.run(200.0)
    assert link.seen[0] == [AssociationClosed("the peer acknowledges nothing")]
    assert left.state is AssociationState.ENDED
    assert left.next_timeout() is None


def test_an_init_that_nobody_answers_is_given_up() -> None:
    left, right = association(1), association(2)
    link = Link(left, right)
    link.drops = lambda _end, _packet: True
    link.perform(0, left.connect(0.0))
    link.run(200.0)
    assert link.seen[0] == [AssociationClosed("the peer did not answer")]
    assert len(link.packets[0]) == 9
