"""One association, packet by packet: clients' recorded first packets, and RFC 9260's rules for setting up."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
from tests.rtp.sctp.link import Link, association, connected
from tests.rtp.sctp.peer import PEER_TAG, PEER_TSN, Peer, data, dropped, events, packets, sent
from tests.rtp.sctp.vectors import client_packets, recorded, retagged

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
        peer.core.drop_unsent(index % 3, 3000)
        peer.core.receive(serialize_packet(peer.core.tag, [body]), now)
        peer.core.handle_timeout(now)
        assert (peer.core.next_timeout() or float("inf")) > now
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
