"""One association, packet by packet: RFC 9260's rules, and clients' recorded first packets."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtp.errors import LocalProtocolError, SendQueueFullError
from rtp.sctp import chunks as c
from rtp.sctp import parameters as p
from rtp.sctp.association import SctpAssociation
from rtp.sctp.drops import Drop
from rtp.sctp.inbound import SACK_DELAY_SECONDS
from rtp.sctp.outputs import (
    AssociationClosed,
    AssociationState,
    AssociationUp,
    MessageReceived,
    SctpOutput,
    SendPacket,
    StreamReset,
)
from rtp.sctp.packet import MTU, Packet, parse_packet, serialize_packet
from rtp.sctp.queue import MAX_QUEUE_BYTES, MAX_QUEUE_MESSAGES
from tests.rtp.sctp.link import Link, association, connected
from tests.rtp.sctp.vectors import client_packets, recorded, retagged

PEER_TAG = 0x77
PEER_TSN = 1000


def packets(outputs: list[SctpOutput]) -> list[Packet]:
    return [parse_packet(output.data) for output in outputs if isinstance(output, SendPacket)]


def sent(outputs: list[SctpOutput]) -> list[c.Chunk]:
    return [chunk for packet in packets(outputs) for chunk in packet.chunks]


def events(outputs: list[SctpOutput]) -> list[SctpOutput]:
    return [output for output in outputs if not isinstance(output, SendPacket)]


class Peer:
    """An established association of ours, with its peer played by hand."""

    def __init__(self, *parameters: p.Parameter, a_rwnd: int = 1 << 20, **arguments: object) -> None:
        self.core = association(1, **arguments)
        announced = [
            p.Parameter(p.ParameterType.FORWARD_TSN_SUPPORTED, b""),
            p.Parameter(p.ParameterType.SUPPORTED_EXTENSIONS, bytes((130, 192))),
            *parameters,
        ]
        init = c.Init(PEER_TAG, a_rwnd, 0xFFFF, 0xFFFF, PEER_TSN, announced)
        (packet,) = packets(self.core.receive(serialize_packet(0, [init.serialize()]), 0.0))
        (self.init_ack,) = packet.chunks
        assert isinstance(self.init_ack, c.Init)
        self.cookie = self.init_ack.parameters[0].value
        self.outputs = self.receive(c.CookieEcho(self.cookie))
        self.tsn = self.init_ack.initial_tsn

    def receive(self, *chunks: c.Chunk, now: float = 0.0, tag: int | None = None) -> list[SctpOutput]:
        packet = serialize_packet(self.core.tag if tag is None else tag, [chunk.serialize() for chunk in chunks])
        return self.core.receive(packet, now)


def data(offset: int, text: bytes = b"x", sequence: int = 0, **fields: object) -> c.Data:
    return c.Data((PEER_TSN + offset) & 0xFFFF_FFFF, 0, sequence, 51, text, **fields)


def dropped(core: SctpAssociation) -> dict[Drop, int]:
    return dict(core.statistics().drops)


# --- Recorded clients ---


@pytest.mark.parametrize("session", ["dc", "rust1", "aiortc"])
def test_the_recorded_start_of_a_client_comes_up_and_its_channels_are_heard(session: str) -> None:
    """The client's packets are as recorded, but for our tag in the header, and our cookie in its COOKIE ECHO."""
    core = association(1)
    init, echo, *rest = client_packets(session)
    (answer,) = packets(core.receive(init.packet, 0.0))
    (init_ack,) = answer.chunks
    (their_init,) = parse_packet(init.packet).chunks
    assert isinstance(init_ack, c.Init)
    assert isinstance(their_init, c.Init)
    assert answer.tag == their_init.tag
    assert init_ack.is_ack
    assert (init_ack.a_rwnd, init_ack.outbound_streams, init_ack.inbound_streams) == (1 << 20, 0xFFFF, 0xFFFF)
    assert [parameter.type for parameter in init_ack.parameters] == [7, 0x8001, 0xC000, 0x8008]
    assert init_ack.parameters[3].value == bytes((130, 192))
    assert echo.what == "COOKIE-ECHO"

    cookie = c.CookieEcho(init_ack.parameters[0].value).serialize()
    outputs = core.receive(serialize_packet(core.tag, [cookie]), 0.01)
    assert outputs == [SendPacket(serialize_packet(their_init.tag, [c.CookieAck().serialize()])), AssociationUp()]

    openings = [line for line in rest if line.what == "DATA"][: 3 if session != "aiortc" else 1]
    for line in openings:
        (opening,) = parse_packet(line.packet).chunks
        assert isinstance(opening, c.Data)
        outputs = core.receive(retagged(line.packet, core.tag), 0.02)
        assert events(outputs) == [MessageReceived(opening.stream, 50, opening.data, ordered=True)]
    outputs += core.handle_timeout(0.02 + SACK_DELAY_SECONDS)
    assert sent(outputs)[-1] == c.Sack(opening.tsn, 1 << 20)


def test_the_whole_recorded_chromium_session_is_followed_to_its_abort() -> None:
    """Replayed with our tag and cookie; the bulk that was left out of the recording is skipped by FORWARD-TSN."""
    core = association(1)
    lines = client_packets("dc")
    (answer,) = packets(core.receive(lines[0].packet, 0.0))
    (init_ack,) = answer.chunks
    assert isinstance(init_ack, c.Init)
    core.receive(serialize_packet(core.tag, [c.CookieEcho(init_ack.parameters[0].value).serialize()]), 0.0)
    outputs: list[SctpOutput] = []
    for line in lines[2:]:
        if b"DROPME" in line.packet:
            continue  # as in the recording, whose server refused it to see the FORWARD-TSN
        if b"OPEN-SERVER" in line.packet:
            gap = c.ForwardTsn(0x69D055CC, [(2, 5)])
            outputs += core.receive(serialize_packet(core.tag, [gap.serialize()]), 0.0)
        outputs += core.receive(retagged(line.packet, core.tag), 0.0)
    texts = [event.data for event in events(outputs) if isinstance(event, MessageReceived) and event.protocol == 51]
    assert texts == [b"hello", b"lossy one", b"after", b"OPEN-SERVER", b"to the odd side"]
    assert StreamReset((4,)) in outputs
    assert events(outputs)[-1] == AssociationClosed("the peer aborted: cause 12 'Close called'")
    assert c.Heartbeat(bytes.fromhex("0001000c00000000005a816f"), is_ack=True) in sent(outputs)


# --- Setting up ---


def test_our_init_says_what_clients_expect() -> None:
    (packet,) = packets(association(1).connect(0.0))
    (init,) = packet.chunks
    assert packet.tag == 0
    assert init == c.Init(
        0x1001, 1 << 20, 0xFFFF, 0xFFFF, 0xFFFF_FFF1,
        [p.Parameter(0x8001, bytes((0, 0, 0, 1))), p.Parameter(0xC000, b""), p.Parameter(0x8008, bytes((130, 192)))],
    )  # fmt: skip


def checksums(outputs: list[SctpOutput] | list[bytes]) -> set[bytes]:
    """Return the checksum fields of packets."""
    return {(output.data if isinstance(output, SendPacket) else output)[8:12] for output in outputs}


def test_checksums_are_left_out_between_two_that_agree_but_not_before_they_have() -> None:
    link = Link(association(1), association(2))
    link.perform(0, link.ends[0].connect(0.0))
    link.run(1.0)
    kinds = [type(parse_packet(packet).chunks[0]) for packet in link.packets[0]]
    assert kinds == [c.Init, c.CookieEcho]
    assert bytes(4) not in checksums(link.packets[0])
    for packets_sent in link.packets:
        packets_sent.clear()
    for end, core in enumerate(link.ends):
        link.perform(end, core.send(end, 53, bytes(5000), link.now))
    link.run(2.0)
    assert checksums(link.packets[0]) == checksums(link.packets[1]) == {bytes(4)}
    assert [len(seen) for seen in link.seen] == [2, 2]


@pytest.mark.parametrize("announced", [[], [p.Parameter(0x8001, bytes((0, 0, 0, 2)))], [p.Parameter(0x8001, b"")]])
def test_a_peer_that_wants_checksums_gets_them(announced: list[p.Parameter]) -> None:
    peer = Peer(*announced)
    assert bytes(4) not in checksums(peer.core.send(0, 53, b"x", 0.0))
    agreed = Peer(p.Parameter(0x8001, bytes((0, 0, 0, 1))))
    assert checksums(agreed.core.send(0, 53, b"x", 0.0)) == {bytes(4)}


def test_a_checksum_of_zero_is_taken_from_anybody_but_on_an_init() -> None:
    peer = Peer()
    whole = serialize_packet(peer.core.tag, [data(0).serialize()], has_checksum=False)
    assert events(peer.core.receive(whole, 0.0)) == [MessageReceived(0, 51, b"x", ordered=True)]
    init = c.Init(PEER_TAG, 1500, 1, 1, PEER_TSN)
    assert peer.core.receive(serialize_packet(0, [init.serialize()], has_checksum=False), 0.0) == []
    assert dropped(peer.core) == {Drop.MALFORMED: 1}


def test_inits_are_answered_without_a_trace() -> None:
    core = association(1)
    for tag in range(1, 50):
        init = c.Init(tag, 1500, 1, 1, tag)
        (answer,) = packets(core.receive(serialize_packet(0, [init.serialize()]), 0.0))
        assert answer.tag == tag
    assert core.state is AssociationState.CLOSED
    assert core.next_timeout() is None


def test_a_cookie_that_was_tampered_with_is_refused() -> None:
    peer = Peer()
    core = association(1)
    for position in (0, 20, len(peer.cookie) - 1):
        cookie = bytearray(peer.cookie)
        cookie[position] ^= 1
        assert core.receive(serialize_packet(core.tag, [c.CookieEcho(bytes(cookie)).serialize()]), 0.0) == []
    assert dropped(core) == {Drop.BAD_COOKIE: 3}
    other = SctpAssociation(tag=core.tag + 1, initial_tsn=1, cookie_secret=bytes(32))
    assert other.receive(serialize_packet(other.tag, [c.CookieEcho(peer.cookie).serialize()]), 0.0) == []


def test_a_cookie_older_than_a_minute_is_complained_of() -> None:
    peer = Peer()
    core = association(1)
    outputs = core.receive(serialize_packet(core.tag, [c.CookieEcho(peer.cookie).serialize()]), 61.0)
    (error,) = sent(outputs)
    assert isinstance(error, c.Error)
    assert p.parse_parameters(error.causes) == [p.Parameter(p.CauseCode.STALE_COOKIE, (1_000_000).to_bytes(4, "big"))]
    assert core.state is AssociationState.CLOSED


def test_a_repeated_init_or_cookie_echo_is_answered_as_before() -> None:
    peer = Peer()
    assert sent(peer.receive(c.CookieEcho(peer.cookie))) == [c.CookieAck()]
    init = c.Init(PEER_TAG, 1500, 1, 1, PEER_TSN)
    (answer,) = sent(peer.core.receive(serialize_packet(0, [init.serialize()]), 1.0))
    assert isinstance(answer, c.Init)
    restarted = replace(init, tag=PEER_TAG + 1)
    assert peer.core.receive(serialize_packet(0, [restarted.serialize()]), 1.0) == []
    assert dropped(peer.core) == {Drop.RESTART: 1}


def test_a_peer_whose_init_ack_and_init_differ_in_tag_is_taken_at_its_later_word() -> None:
    """RFC 9260 §5.2.4 case B: it answered our INIT before it had an association, then began one of its own."""
    core = association(1)
    core.connect(0.0)
    init_ack = c.Init(0x55, 1500, 1, 1, 5, [p.Parameter(7, b"cookie")], is_ack=True)
    assert sent(core.receive(serialize_packet(core.tag, [init_ack.serialize()]), 0.0)) == [c.CookieEcho(b"cookie")]
    assert core.state is AssociationState.COOKIE_ECHOED
    init = c.Init(0x66, 1500, 1, 1, 6)
    (answer,) = sent(core.receive(serialize_packet(0, [init.serialize()]), 0.0))
    assert isinstance(answer, c.Init)
    echo = c.CookieEcho(answer.parameters[0].value)
    outputs = core.receive(serialize_packet(core.tag, [echo.serialize()]), 0.0)
    assert packets(outputs) == [Packet(0x66, [c.CookieAck()])]
    assert events(outputs) == [AssociationUp()]
    assert core.next_timeout() is None


def cookie_echoed() -> SctpAssociation:
    core = association(1)
    core.connect(0.0)
    init_ack = c.Init(PEER_TAG, 1500, 1, 1, PEER_TSN, [p.Parameter(7, b"cookie")], is_ack=True)
    core.receive(serialize_packet(core.tag, [init_ack.serialize()]), 0.0)
    assert core.state is AssociationState.COOKIE_ECHOED
    return core


def test_a_cookie_ack_brings_the_association_up() -> None:
    core = cookie_echoed()
    assert core.receive(serialize_packet(core.tag, [c.CookieAck().serialize()]), 0.1) == [AssociationUp()]
    assert core.receive(serialize_packet(core.tag, [c.CookieAck().serialize()]), 0.1) == []


def test_data_stands_in_for_a_cookie_ack_that_was_lost() -> None:
    core = cookie_echoed()
    outputs = core.receive(serialize_packet(core.tag, [data(0).serialize()]), 0.1)
    assert events(outputs) == [AssociationUp(), MessageReceived(0, 51, b"x", ordered=True)]
    assert core.next_timeout() == pytest.approx(0.1 + SACK_DELAY_SECONDS)


def test_a_second_init_ack_changes_nothing() -> None:
    core = cookie_echoed()
    init_ack = c.Init(9, 1500, 1, 1, 9, [p.Parameter(7, b"another")], is_ack=True)
    assert core.receive(serialize_packet(core.tag, [init_ack.serialize()]), 0.0) == []
    assert dropped(core) == {Drop.UNEXPECTED: 1}


def test_a_cookie_of_another_life_of_the_peer_is_refused() -> None:
    peer = Peer()
    init = c.Init(PEER_TAG + 1, 1500, 1, 1, PEER_TSN)
    (answer,) = sent(association(1).receive(serialize_packet(0, [init.serialize()]), 0.0))
    assert isinstance(answer, c.Init)
    assert peer.receive(c.CookieEcho(answer.parameters[0].value)) == []
    assert dropped(peer.core) == {Drop.RESTART: 1}


def test_an_init_ack_without_a_cookie_is_dropped_and_the_init_repeated() -> None:
    core = association(1)
    first = core.connect(0.0)
    init_ack = c.Init(0x55, 1500, 1, 1, 5, is_ack=True)
    assert core.receive(serialize_packet(core.tag, [init_ack.serialize()]), 0.5) == []
    assert dropped(core) == {Drop.MALFORMED: 1}
    assert core.next_timeout() == 1.0
    assert core.handle_timeout(0.9) == []
    assert core.handle_timeout(1.0) == first
    assert core.next_timeout() == 3.0


def test_unknown_parameters_are_reported_by_their_high_bits() -> None:
    unknown = [p.Parameter(kind, b"abcd") for kind in (0x8ABC, 0xCABC, 0x4ABC, 0xCABD)]
    peer = Peer(*unknown)
    assert isinstance(peer.init_ack, c.Init)
    reported = [parameter.value for parameter in peer.init_ack.parameters if parameter.type == 8]
    assert reported == [unknown[1].serialize(), unknown[2].serialize()]  # 01 stops, so the last is not seen


def test_reports_never_make_an_init_ack_longer_than_a_packet() -> None:
    core = association(1)
    init = c.Init(5, 1500, 1, 1, 5, [p.Parameter(0xCABC, bytes(40))] * 30)
    (packet,) = core.receive(serialize_packet(0, [init.serialize()]), 0.0)
    assert isinstance(packet, SendPacket)
    assert len(packet.data) <= MTU


def test_init_must_come_alone_and_with_tag_zero() -> None:
    peer = Peer()
    init = c.Init(PEER_TAG, 1500, 1, 1, PEER_TSN)
    assert peer.receive(init) == []
    assert peer.receive(init, c.CookieAck(), tag=0) == []
    assert peer.receive(c.CookieAck(), init, tag=0) == []
    assert dropped(peer.core) == {Drop.WRONG_TAG: 3}


def test_another_associations_packet_is_dropped() -> None:
    peer = Peer()
    assert peer.receive(data(0), tag=0x9999) == []
    assert peer.receive(c.Abort(), tag=PEER_TAG) == []
    assert dropped(peer.core) == {Drop.WRONG_TAG: 2}
    assert events(peer.receive(c.Abort(is_reflected=True), tag=PEER_TAG)) == [
        AssociationClosed("the peer aborted: no cause given")
    ]


def test_nothing_but_set_up_is_heard_before_it() -> None:
    core = association(1)
    for chunk in (data(0), c.Sack(0, 0), c.ForwardTsn(0), c.Reconfig([]), c.Shutdown(0), c.Heartbeat(b""), c.Abort()):
        assert core.receive(serialize_packet(core.tag, [chunk.serialize()]), 0.0) == []
    assert core.state is AssociationState.CLOSED


# --- Receiving ---


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


# --- Sending ---


def test_a_window_of_zero_is_probed_with_one_chunk() -> None:
    peer = Peer(a_rwnd=0)
    assert len(sent(peer.core.send(0, 51, b"one", 0.0))) == 1
    assert sent(peer.core.send(0, 51, b"two", 0.0)) == []
    for now in (1.0, 3.0, 7.0):
        assert peer.core.next_timeout() == now
        assert [chunk.data for chunk in sent(peer.core.handle_timeout(now)) if isinstance(chunk, c.Data)] == [b"one"]
    outputs = peer.receive(c.Sack(peer.tsn, 1 << 20), now=7.5)
    assert [chunk.data for chunk in sent(outputs) if isinstance(chunk, c.Data)] == [b"two"]


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


def test_an_empty_message_or_an_impossible_stream_is_the_callers_fault() -> None:
    core = association(1)
    with pytest.raises(LocalProtocolError):
        core.send(0, 51, b"", 0.0)
    with pytest.raises(LocalProtocolError):
        core.send(65535, 51, b"x", 0.0)


# --- Streams, errors, the end ---


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


# --- Whatever comes ---


@settings(max_examples=150)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.sampled_from([line.packet[12:] for line in recorded()]),
            st.builds(
                lambda offset, sequence, flags: data(offset, b"y", sequence, **flags).serialize(),
                st.integers(0, 20),
                st.integers(0, 5),
                st.fixed_dictionaries({name: st.booleans() for name in ("unordered", "beginning", "ending")}),
            ),
            st.builds(lambda tsn: c.ForwardTsn(PEER_TSN + tsn, [(0, tsn)]).serialize(), st.integers(0, 30)),
            st.builds(
                lambda tsn, gaps: c.Sack((0xFFFF_FFF1 + tsn) & 0xFFFF_FFFF, 5000, gaps).serialize(),
                st.integers(-2, 12),
                st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=3),
            ),
        ),
        max_size=25,
    )
)
def test_nothing_that_arrives_raises_and_memory_stays_bounded(bodies: list[bytes]) -> None:
    peer = Peer()
    for index, body in enumerate(bodies):
        now = index / 10
        peer.core.send(index % 3, 51, bytes(2000), now, ordered=bool(index % 2), max_retransmits=index % 3 or None)
        peer.core.receive(serialize_packet(peer.core.tag, [body]), now)
        peer.core.handle_timeout(now)
        statistics = peer.core.statistics()
        assert 0 <= statistics.receive_window <= 1 << 20
        assert 0 <= statistics.flight_bytes <= statistics.outstanding_chunks * 1132
        assert statistics.queued_bytes >= 0


def test_two_of_ours_agree() -> None:
    link, left, right = connected()
    link.perform(0, left.send(1, 53, b"to and", link.now))
    link.perform(1, right.send(1, 53, b"fro", link.now))
    link.run(10.0)
    assert link.seen == (
        [MessageReceived(1, 53, b"fro", ordered=True)],
        [MessageReceived(1, 53, b"to and", ordered=True)],
    )
