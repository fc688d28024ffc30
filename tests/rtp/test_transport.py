from random import Random

import pytest

from rtp.datachannel import ChannelMessage, ChannelOpened
from rtp.dtls import DtlsRole, DtlsState, DtlsTransport
from rtp.ice.lite import CONSENT_SECONDS
from rtp.ice.outputs import Forgotten, Nominated, Send, Validated
from rtp.packet import build_packet
from rtp.rtcp.compound import serialize_compound
from rtp.rtcp.reports import ReceiverReport
from rtp.transport import Broken, Connected, DropCause, Lost, PeerTransport
from rtp.units import Path, Ssrc
from tests.rtp.ice.checks import CLIENT, CLIENT_AGAIN, HERE, MOBILE, SERVER_AGAIN, WIFI, check
from tests.rtp.transport_pair import AWAY, HOME, Pair, channels, dtls, identity, server
from triforium.testing.links import Link

BAD = Link(delay_seconds=0.03, jitter_seconds=0.02, loss=0.15, duplicate=0.1, reorder=0.1)
RTCP = serialize_compound([ReceiverReport(Ssrc(7))])
HELLO = dtls(DtlsRole.CLIENT).start(0.0)[0].data


def rtp(number: int = 1, ssrc: int = 5) -> bytes:
    return build_packet(payload_type=96, sequence=number, timestamp=number * 3000, ssrc=ssrc, payload=b"media")


def state(transport: PeerTransport) -> tuple[object, ...]:
    """All that a datagram could have changed, our own count of it apart."""
    return (
        transport.ice.statistics(),
        transport.dtls.statistics(),
        transport.dtls.next_timeout(),
        transport.srtp.statistics() if transport.srtp else None,
        transport.channels.statistics() if transport.channels else None,
        transport.next_timeout(),
    )


@pytest.mark.parametrize("seed", range(12))
def test_two_transports_connect_over_a_bad_link_and_carry_media_and_data(seed: int) -> None:
    pair = Pair(seed, BAD)
    pair.open_channels("_lossy", "_reliable")
    pair.connect(until=8.0)
    pair.link = Link(delay_seconds=0.01)
    for end in (0, 1):
        pair.send(end, pair.ends[end].srtp.protect(rtp(ssrc=5 + end)))
        pair.send(end, pair.ends[end].srtp.protect_rtcp(RTCP))
    pair.run(12.0)
    assert pair.media == ([rtp(ssrc=6), RTCP], [rtp(ssrc=5), RTCP])
    for end in (0, 1):
        assert pair.told(end, Connected) == [Connected()]
        assert {opened.parameters.label for opened in pair.told(end, ChannelOpened)} == {"_lossy", "_reliable"}
    channel = pair.server.channels.by_label("_reliable").channel_id
    pair.perform(1, pair.server.send_message(channel, b"to the client", pair.now))
    pair.perform(0, pair.client.send_message(channel, "grüß".encode(), pair.now, is_text=True))
    pair.run(13.0)
    assert pair.told(0, ChannelMessage) == [ChannelMessage(channel, "_reliable", b"to the client", is_text=False)]
    assert pair.told(1, ChannelMessage) == [ChannelMessage(channel, "_reliable", "grüß".encode(), is_text=True)]
    assert not pair.told(0, Lost) + pair.told(1, Lost) + pair.told(0, Broken) + pair.told(1, Broken)


def test_the_server_answers_dtls_before_anything_is_nominated() -> None:
    pair = Pair()
    pair.begin()
    pair.run(0.19)
    assert [type(output) for _, output in pair.news[1]] == [Validated, Nominated, Connected]


def test_channels_attached_to_a_connected_transport_come_up() -> None:
    pair = Pair()
    pair.connect(until=1.0)
    pair.open_channels("_reliable")
    pair.run(2.0)
    assert [len(pair.told(end, ChannelOpened)) for end in (0, 1)] == [1, 1]


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("path", [MOBILE, Path(("192.0.2.99", 7882), HOME)])
def test_what_comes_on_an_unvalidated_path_changes_nothing(path: Path, connected: bool) -> None:
    pair = Pair()
    if connected:
        pair.connect(until=1.0)
        protected, protected_rtcp = pair.client.srtp.protect(rtp()), pair.client.srtp.protect_rtcp(RTCP)
    else:
        protected, protected_rtcp = rtp() + bytes(16), RTCP + bytes(20)
    before = state(pair.server)
    assert pair.server.receive(HELLO, path, pair.now) == []
    assert pair.server.receive_rtp(protected, path, pair.now) is None
    assert pair.server.receive_rtcp(protected_rtcp, path, pair.now) is None
    assert state(pair.server) == before
    assert pair.server.statistics().drops == {DropCause.UNVALIDATED_PATH: 3}
    if connected:  # the very packets were good, and their numbers have not been used up
        assert pair.server.receive_rtp(protected, Path(HERE, HOME), pair.now) == rtp()
        assert pair.server.receive_rtcp(protected_rtcp, Path(HERE, HOME), pair.now) == RTCP


def test_drops_are_counted_by_cause() -> None:
    transport = server()
    transport.receive(check(), WIFI, 0.0)
    for datagram in (b"", b"\x04", b"\x40\x00", b"\x80"):
        assert transport.receive(datagram, WIFI, 0.0) == []
    assert transport.receive_rtp(rtp(), WIFI, 0.0) is None
    assert transport.statistics().drops == {DropCause.UNKNOWN_PROTOCOL: 4, DropCause.NO_KEYS: 1}
    assert transport.statistics().datagrams == 6


def test_forged_media_is_refused_and_is_no_sign_of_life() -> None:
    pair = Pair()
    pair.connect(until=1.0)
    path, timeout = Path(HERE, HOME), pair.server.ice.next_timeout()
    assert pair.server.receive_rtp(rtp() + bytes(16), path, 3.0) is None
    assert pair.server.receive_rtcp(RTCP + bytes(20), path, 3.0) is None
    assert pair.server.statistics().drops == {DropCause.SRTP_REFUSED: 1, DropCause.SRTCP_REFUSED: 1}
    assert pair.server.ice.next_timeout() == timeout
    assert pair.server.receive_rtp(pair.client.srtp.protect(rtp()), path, 3.0) == rtp()
    assert pair.server.ice.next_timeout() == 3.0 + CONSENT_SECONDS


def test_data_without_a_data_section_is_counted() -> None:
    pair = Pair()
    attached = channels(Random(1), is_dtls_client=True)
    pair.perform(0, pair.client.attach_channels(attached, 0.0, initiate=True))
    pair.connect(until=1.0)
    assert pair.server.statistics().drops[DropCause.NO_DATA_SECTION] > 0


def test_a_certificate_that_was_not_promised_breaks_the_transport() -> None:
    pair = Pair(trusts="somebody else")
    pair.begin()
    pair.run(1.0)
    assert [type(output) for output in pair.told(1, Broken)] == [Broken]
    assert pair.server.srtp is None


def test_silence_is_told_once_and_nothing_is_sent_after_it() -> None:
    pair = Pair()
    pair.open_channels("_reliable")
    pair.connect(until=1.0)
    pair.dead.add(HOME)
    pair.run(40.0)
    (lost,) = [(now, output) for now, output in pair.news[1] if isinstance(output, Lost)]
    assert lost[0] == pytest.approx(1.0 + CONSENT_SECONDS, abs=1.0)
    assert pair.told(1, Forgotten) == [Forgotten(Path(HERE, HOME))]
    assert pair.server.ice.selected is None
    assert not [output for output in pair.server.handle_timeout(50.0) if isinstance(output, Send)]
    assert pair.server.receive_rtp(pair.client.srtp.protect(rtp()), Path(HERE, HOME), 50.0) is None
    assert pair.server.close() == []


def test_media_and_data_follow_a_client_to_another_address() -> None:
    pair = Pair()
    pair.open_channels("_reliable")
    pair.connect(until=1.0)
    pair.dead.add(HOME)
    pair.perform(0, pair.client.ice.migrate(AWAY, pair.now))
    pair.run(2.0)
    assert pair.server.ice.selected == Path(HERE, AWAY)
    assert pair.told(1, Nominated)[-1] == Nominated(Path(HERE, AWAY))
    pair.send(1, pair.server.srtp.protect(rtp()))
    channel = pair.server.channels.by_label("_reliable").channel_id
    pair.perform(1, pair.server.send_message(channel, b"still here", pair.now))
    pair.run(3.0)
    assert pair.media[0] == [rtp()]
    assert [message.data for message in pair.told(0, ChannelMessage)] == [b"still here"]
    assert pair.told(1, Connected) == [Connected()]  # one handshake serves all paths


def test_data_that_got_stuck_leaves_as_soon_as_a_client_is_back_on_another_address() -> None:
    pair = Pair()
    pair.open_channels("_reliable")
    pair.connect(until=1.0)
    pair.dead.add(HOME)
    channel = pair.server.channels.by_label("_reliable").channel_id
    pair.perform(1, pair.server.send_message(channel, b"stuck", pair.now))
    pair.run(5.5)
    pair.perform(0, pair.client.ice.migrate(AWAY, pair.now))
    pair.run(6.0)
    assert [message.data for message in pair.told(0, ChannelMessage)] == [b"stuck"]


def test_an_ice_restart_keeps_keys_and_media() -> None:
    pair = Pair()
    pair.connect(until=1.0)
    keys = pair.client.srtp, pair.server.srtp
    pair.server.ice.restart(SERVER_AGAIN, pair.now)
    pair.client.ice.restart(CLIENT_AGAIN, pair.now)
    pair.send(0, pair.client.srtp.protect(rtp(1)))
    pair.server.ice.set_remote(CLIENT_AGAIN)
    pair.client.ice.set_remote(SERVER_AGAIN)
    pair.perform(0, pair.client.ice.add_remote_candidate(Path(AWAY, HERE), pair.now))
    pair.run(2.0)
    pair.send(0, pair.client.srtp.protect(rtp(2)))
    pair.run(10.0)
    assert pair.server.ice.selected == Path(HERE, AWAY)
    assert pair.media[1] == [rtp(1), rtp(2)]
    assert keys == (pair.client.srtp, pair.server.srtp)


def test_goodbye_goes_to_where_the_peer_is_and_is_said_once() -> None:
    pair = Pair()
    pair.connect(until=1.0)
    goodbye = pair.server.close()
    assert [output.path for output in goodbye] == [Path(HERE, HOME)]
    assert pair.server.close() == []
    pair.perform(1, goodbye)
    pair.run(2.0)
    assert pair.client.dtls.state is DtlsState.CLOSED
    assert pair.told(0, Lost) == []  # signalling tells, or silence


def test_the_first_fingerprint_may_come_after_the_handshake() -> None:
    pair = Pair()
    early = PeerTransport(pair.server.ice, DtlsTransport(identity("server")[0], DtlsRole.SERVER))
    pair.server, pair.ends = early, (pair.client, early)
    pair.begin()
    pair.run(1.0)
    assert not early.connected
    early.dtls.set_remote_fingerprints([identity("client")[0].fingerprint])
    assert early.next_timeout() <= pair.now
    assert early.handle_timeout(pair.now) == [Connected()]
    assert early.connected


def test_credentials_are_those_of_the_peer() -> None:
    assert server().receive(check(by=CLIENT_AGAIN), WIFI, 0.0) == []
    assert server().receive(check(by=CLIENT), WIFI, 0.0) != []
