"""Offer and answer between a server and a client, in both of LiveKit's layouts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtp.errors import DecodeError, LocalProtocolError
from rtp.extensions import AUDIO_LEVEL, MID
from rtp.ice.candidates import IceCredentials
from rtp.sdp.codecs import Codec, MediaKind
from rtp.sdp.description import UNLIMITED_MESSAGE_SIZE
from rtp.sdp.grammar import group, parse_sdp
from rtp.sdp.negotiation import (
    Capabilities,
    Direction,
    LocalEncoding,
    LocalTrack,
    Negotiation,
    NegotiationError,
    Setup,
    Transceiver,
)
from rtp.units import Mid, Rid, Ssrc
from tests.rtp.sdp.peers import (
    CLIENT_TRANSPORT,
    LIVEKIT,
    MODEST,
    OPUS,
    SERVER_TRANSPORT,
    VP8,
    client,
    negotiate,
    recorded,
    server,
    track,
)

AUDIO, VIDEO = MediaKind.AUDIO, MediaKind.VIDEO
SENDRECV, SENDONLY, RECVONLY, INACTIVE = Direction


def values(text: str, index: int, name: str) -> list[str]:
    """The values of one attribute of one section."""
    return group(parse_sdp(text).sections[index].attributes).get(name, [])


def described(text: str, index: int) -> Direction:
    own = group(parse_sdp(text).sections[index].attributes)
    (direction,) = (direction for direction in Direction if direction.value in own)
    return direction


# Publishing: the client offers


def simulcast(*rids: str | None) -> LocalTrack:
    encodings = tuple(
        LocalEncoding(Ssrc(10 + at), Ssrc(20 + at), None if rid is None else Rid(rid)) for at, rid in enumerate(rids)
    )
    return replace(track("camera", 10), rtx_ssrc=Ssrc(20), simulcast=encodings)


def test_simulcast_is_offered_by_rid_as_browsers_do() -> None:
    alice, sfu = client(), server()
    alice.add_transceiver(VIDEO, SENDONLY, local_track=simulcast("q", "h", "f"))
    offer = alice.create_offer()
    sfu.receive_offer(offer)
    answer = sfu.create_answer()
    alice.receive_answer(answer)
    assert values(offer, 0, "rid") == ["q send", "h send", "f send"]
    assert values(offer, 0, "simulcast") == ["send q;h;f"]
    assert values(offer, 0, "ssrc") == values(offer, 0, "ssrc-group") == []
    assert values(answer, 0, "simulcast") == ["recv q;h;f"]
    (received,) = sfu.transceivers
    assert received.remote_track is not None
    assert [encoding.rid for encoding in received.remote_track.encodings] == ["q", "h", "f"]
    assert alice.transceivers[0].current_direction is SENDONLY


def test_simulcast_is_offered_by_ssrc_where_encodings_have_no_rid() -> None:
    alice, sfu = client(LIVEKIT), server(LIVEKIT)
    alice.add_transceiver(VIDEO, SENDONLY, local_track=simulcast(None, None, None))
    offer = alice.create_offer()
    sfu.receive_offer(offer)
    assert values(offer, 0, "ssrc-group") == ["SIM 10 11 12", "FID 10 20", "FID 11 21", "FID 12 22"]
    assert values(offer, 0, "simulcast") == values(offer, 0, "rid") == []
    (received,) = sfu.transceivers
    assert received.remote_track is not None
    assert [(each.ssrc, each.rtx_ssrc) for each in received.remote_track.encodings] == [(10, 20), (11, 21), (12, 22)]


def test_a_published_track_is_known_by_its_ids_and_ssrc() -> None:
    alice, sfu = client(), server()
    microphone = track("mic", 1234)
    alice.add_transceiver(AUDIO, SENDONLY, local_track=microphone)
    negotiate(alice, sfu)
    (received,) = sfu.transceivers
    assert received.remote_track is not None
    assert (received.remote_track.stream_id, received.remote_track.track_id) == ("PA_alice|TR_mic", "TR_mic")
    assert [encoding.ssrc for encoding in received.remote_track.encodings] == [1234]
    assert received.current_direction is RECVONLY
    assert alice.transceivers[0].current_direction is SENDONLY
    assert alice.transceivers[0].remote_track is None
    assert alice.track_ids_by_mid() == {"0": "TR_mic"}
    assert sfu.track_ids_by_mid() == {}


def test_each_side_learns_the_others_transport() -> None:
    alice, sfu = client(), server()
    alice.add_data_section()
    negotiate(alice, sfu)
    assert alice.remote is not None
    assert sfu.remote is not None
    assert (alice.remote.lite, sfu.remote.lite) == (True, False)
    assert (alice.remote.setup, sfu.remote.setup) == (Setup.PASSIVE, Setup.ACTPASS)
    assert (alice.setup, sfu.setup) == (Setup.ACTIVE, Setup.PASSIVE)
    assert alice.remote.credentials == SERVER_TRANSPORT.credentials
    assert alice.remote.fingerprints == (SERVER_TRANSPORT.fingerprint,)
    assert alice.remote.candidates == SERVER_TRANSPORT.candidates
    assert sfu.remote.credentials == CLIENT_TRANSPORT.credentials
    assert (alice.data_mid, sfu.data_mid) == ("0", "0")
    assert alice.remote_max_message_size == 65_535


def test_a_muted_section_goes_inactive_and_comes_back() -> None:
    alice, sfu = client(), server()
    mine = alice.add_transceiver(VIDEO, SENDONLY, local_track=track("cam", 7))
    negotiate(alice, sfu)
    (theirs,) = sfu.transceivers
    mine.direction = INACTIVE
    negotiate(alice, sfu)
    assert (mine.current_direction, theirs.current_direction) == (INACTIVE, INACTIVE)
    assert theirs.remote_track is None
    assert theirs.codecs
    mine.direction = SENDONLY
    negotiate(alice, sfu)
    assert (mine.current_direction, theirs.current_direction) == (SENDONLY, RECVONLY)
    assert theirs.remote_track is not None
    assert sfu.transceivers == [theirs]


def test_a_peer_that_offers_to_receive_as_well_is_only_received_without_a_track() -> None:
    alice, sfu = client(), server()
    mine = alice.add_transceiver(AUDIO, SENDRECV, local_track=track("mic", 1))
    negotiate(alice, sfu)
    assert (mine.current_direction, sfu.transceivers[0].current_direction) == (SENDONLY, RECVONLY)


def test_a_track_bound_to_a_section_that_goes_both_ways_is_sent() -> None:
    alice, sfu = client(), server()
    mine = alice.add_transceiver(AUDIO, SENDRECV, local_track=track("mic", 1))
    sfu.receive_offer(alice.create_offer())
    sfu.transceivers[0].local_track = track("echo", 2)
    alice.receive_answer(sfu.create_answer())
    assert mine.current_direction is SENDRECV
    assert mine.remote_track is not None
    assert mine.remote_track.track_id == "TR_echo"


def test_wishes_for_opus_stand_in_the_answer() -> None:
    alice, sfu = client(), server()
    alice.add_transceiver(AUDIO, SENDONLY, local_track=track("mic", 1))
    sfu.receive_offer(alice.create_offer())
    sfu.transceivers[0].opus_fmtp = "stereo=1;maxaveragebitrate=510000"
    text = sfu.create_answer()
    assert values(text, 0, "fmtp") == ["111 minptime=10;useinbandfec=1;stereo=1;maxaveragebitrate=510000"]
    alice.receive_answer(text)
    assert alice.transceivers[0].codecs[0].fmtp.endswith("maxaveragebitrate=510000")


def test_the_preferred_codec_stands_first_in_the_answer() -> None:
    sfu = server(LIVEKIT)
    sfu.receive_offer(recorded("publish-mute-unpublish.js-v0.client-offer"))
    video, audio = sfu.transceivers
    video.preferred_mimes = ("video/AV1",)
    audio.preferred_mimes = ("audio/red",)
    text = sfu.create_answer()
    assert parse_sdp(text).sections[1].formats[:4] == ("45", "46", "96", "97")
    assert parse_sdp(text).sections[2].formats == ("63", "111", "0", "8")
    assert [codec.mime for codec in audio.codecs][:2] == ["audio/red", "audio/opus"]


def test_retransmission_and_nack_are_answered_only_by_who_has_them() -> None:
    modest, full = server(MODEST), server(LIVEKIT)
    texts = []
    for sfu in (modest, full):
        sfu.receive_offer(recorded("publish-vp8-no-simulcast.js-v0.client-offer"))
        texts.append(sfu.create_answer())
    assert "97" not in parse_sdp(texts[0]).sections[1].formats
    assert "96 nack" not in values(texts[0], 1, "rtcp-fb")
    assert "97" in parse_sdp(texts[1]).sections[1].formats
    assert "96 nack" in values(texts[1], 1, "rtcp-fb")


# Subscribing on the one connection: the client offers sections to receive in


def listener() -> tuple[Negotiation, Negotiation]:
    """A client with a free section of each kind, and its server, before the first offer."""
    bob, sfu = client(), server()
    bob.add_transceiver(AUDIO, RECVONLY)
    bob.add_transceiver(VIDEO, RECVONLY)
    return bob, sfu


def test_an_idle_section_is_answered_sendonly_without_a_track() -> None:
    bob, sfu = listener()
    sfu.receive_offer(bob.create_offer())
    text = sfu.create_answer()
    assert [described(text, index) for index in (0, 1)] == [SENDONLY, SENDONLY]
    assert values(text, 0, "msid") == values(text, 0, "ssrc") == []
    bob.receive_answer(text)
    assert sfu.track_ids_by_mid() == {}


def test_a_track_bound_to_a_free_section_is_sent_under_its_names() -> None:
    bob, sfu = listener()
    sfu.receive_offer(bob.create_offer())
    sfu.transceivers[1].local_track = track("cam", 99)
    text = sfu.create_answer()
    assert described(text, 1) is SENDONLY
    assert values(text, 1, "msid") == ["PA_alice|TR_cam TR_cam"]
    assert values(text, 1, "ssrc") == ["99 cname:PA_alice|TR_cam", "99 msid:PA_alice|TR_cam TR_cam"]
    bob.receive_answer(text)
    assert sfu.track_ids_by_mid() == {"1": "TR_cam"}
    received = bob.transceivers[1]
    assert received.current_direction is RECVONLY
    assert received.remote_track is not None
    assert [encoding.ssrc for encoding in received.remote_track.encodings] == [99]


def test_a_freed_section_is_answered_inactive_and_serves_the_next_track() -> None:
    bob, sfu = listener()
    sfu.receive_offer(bob.create_offer())
    used = sfu.transceivers[0]
    used.local_track = track("first", 1)
    bob.receive_answer(sfu.create_answer())
    used.local_track = None
    negotiate(bob, sfu)
    assert used.current_direction is INACTIVE
    assert bob.transceivers[0].current_direction is INACTIVE
    assert bob.transceivers[0].remote_track is None
    assert sfu.track_ids_by_mid() == {}
    used.local_track = track("second", 2)
    negotiate(bob, sfu)
    assert used.current_direction is SENDONLY
    assert bob.transceivers[0].remote_track is not None
    assert bob.transceivers[0].remote_track.track_id == "TR_second"
    assert len(sfu.transceivers) == 2


def test_an_application_may_say_itself_that_it_sends_no_more() -> None:
    bob, sfu = listener()
    sfu.receive_offer(bob.create_offer())
    sfu.transceivers[0].direction = INACTIVE
    bob.receive_answer(sfu.create_answer())
    assert [transceiver.current_direction for transceiver in bob.transceivers] == [INACTIVE, RECVONLY]


def test_sections_added_later_come_after_the_others() -> None:
    bob, sfu = listener()
    negotiate(bob, sfu)
    bob.add_transceiver(AUDIO, RECVONLY)
    negotiate(bob, sfu)
    assert [(transceiver.mid, transceiver.kind) for transceiver in sfu.transceivers] == [
        ("0", AUDIO),
        ("1", VIDEO),
        ("2", AUDIO),
    ]
    assert sfu.transceiver_by_mid(Mid("2")) is sfu.transceivers[2]
    assert sfu.transceiver_by_mid(Mid("3")) is None


# Subscribing on a connection of its own: the server offers


def test_the_servers_first_offer_may_hold_data_alone() -> None:
    sfu, bob = server(), client()
    sfu.add_data_section()
    sfu.add_data_section()
    text = sfu.create_offer()
    assert parse_sdp(text).attributes[:2] == (("group", "BUNDLE 0"), ("ice-lite", ""))
    assert values(text, 0, "setup") == ["actpass"]
    bob.receive_offer(text)
    sfu.receive_answer(bob.create_answer())
    assert (sfu.data_mid, bob.data_mid) == ("0", "0")
    assert (sfu.setup, bob.setup) == (Setup.PASSIVE, Setup.ACTIVE)


def test_an_offered_track_reaches_the_subscriber() -> None:
    sfu, bob = server(), client()
    sfu.add_data_section()
    sent = sfu.add_transceiver(VIDEO, SENDONLY, local_track=track("cam", 5))
    negotiate(sfu, bob)
    (received,) = bob.transceivers
    assert sent.current_direction is SENDONLY
    assert received.current_direction is RECVONLY
    assert received.remote_track is not None
    assert received.remote_track.track_id == "TR_cam"
    assert sfu.track_ids_by_mid() == {"1": "TR_cam"}
    assert [codec.payload_type for codec in sent.codecs] == [96]
    assert sent.extensions == received.extensions


def test_an_unsubscribed_section_is_recycled_by_the_next_track_of_its_kind() -> None:
    sfu, bob = server(), client()
    section = sfu.add_transceiver(VIDEO, SENDONLY, local_track=track("first", 5))
    negotiate(sfu, bob)
    section.local_track = None
    negotiate(sfu, bob)
    assert section.current_direction is INACTIVE
    assert bob.transceivers[0].remote_track is None
    section.local_track = track("second", 6)
    negotiate(sfu, bob)
    assert section.current_direction is SENDONLY
    assert section.mid == "0"
    assert bob.transceivers[0].remote_track is not None
    assert [encoding.ssrc for encoding in bob.transceivers[0].remote_track.encodings] == [6]


def test_a_subscriber_without_the_codec_rejects_the_section_and_keeps_the_connection() -> None:
    h264_only = Capabilities(video=(LIVEKIT.video[3],))
    sfu = Negotiation(SERVER_TRANSPORT, receive=h264_only, send=h264_only, session_id=1, with_data=True)
    bob = client()
    sfu.add_data_section()
    section = sfu.add_transceiver(VIDEO, SENDONLY, local_track=track("cam", 5))
    sfu.receive_answer(answer_of(bob, sfu.create_offer()))
    assert section.is_rejected
    assert section.current_direction is INACTIVE
    assert section.codecs == ()
    assert sfu.data_mid == "0"
    section.local_track = None
    text = sfu.create_offer()
    assert parse_sdp(text).sections[1].port == 0
    assert parse_sdp(text).attributes[0] == ("group", "BUNDLE 0")
    sfu.receive_answer(answer_of(bob, text))
    section.local_track = track("other", 6)
    assert parse_sdp(sfu.create_offer()).sections[1].port == 9


def answer_of(answerer: Negotiation, offer: str) -> str:
    answerer.receive_offer(offer)
    return answerer.create_answer()


def test_a_new_offer_replaces_an_unanswered_one() -> None:
    sfu, bob = server(), client()
    sfu.add_transceiver(AUDIO, SENDONLY, local_track=track("mic", 5))
    sfu.create_offer()
    assert sfu.is_offering
    sfu.add_transceiver(VIDEO, SENDONLY, local_track=track("cam", 6))
    negotiate(sfu, bob)
    assert not sfu.is_offering
    assert [transceiver.current_direction for transceiver in bob.transceivers] == [RECVONLY, RECVONLY]


def test_the_version_grows_with_each_description_and_the_session_id_stays() -> None:
    sfu = server()
    sfu.add_data_section()
    origins = [dict(parse_sdp(sfu.create_offer()).lines)["o"] for _ in range(2)]
    assert origins == ["- 1 1 IN IP4 127.0.0.1", "- 1 2 IN IP4 127.0.0.1"]


# Numbers


def test_later_offers_of_ours_keep_the_peers_numbers_and_give_none_of_them_twice() -> None:
    """aiortc offers Opus as 96, which is VP8 in our own table."""
    peer_codecs = Capabilities(
        audio=(replace(OPUS, payload_type=96),),
        audio_extensions=(AUDIO_LEVEL, MID),
        video=(replace(VP8, payload_type=97),),
    )
    peer = client(peer_codecs)
    sfu = server(LIVEKIT)
    peer.add_transceiver(AUDIO, SENDONLY, local_track=track("mic", 1))
    negotiate(peer, sfu)
    sfu.add_transceiver(VIDEO, SENDONLY, local_track=track("cam", 2))
    text = sfu.create_offer()
    formats = [int(word) for section in parse_sdp(text).sections for word in section.formats]
    assert len(set(formats)) == len(formats)
    assert "96 opus/48000/2" in values(text, 0, "rtpmap")
    assert values(text, 0, "fmtp")[:2] == ["96 minptime=10;useinbandfec=1", "63 96/96"]
    assert values(text, 0, "extmap")[:2] == [f"2 {MID}", f"1 {AUDIO_LEVEL}"]
    peer.receive_offer(text)
    sfu.receive_answer(peer.create_answer())
    assert [codec.payload_type for codec in sfu.transceivers[0].codecs] == [96]


def test_an_extension_id_never_means_two_uris_in_an_offer_of_ours() -> None:
    sfu = server(LIVEKIT)
    sfu.add_transceiver(AUDIO, SENDONLY)
    sfu.add_transceiver(VIDEO, SENDONLY)
    text = sfu.create_offer()
    meanings = {value for index in (0, 1) for value in values(text, index, "extmap")}
    assert len({value.split()[0] for value in meanings}) == len(meanings)
    assert text == replace_version(sfu.create_offer())


def replace_version(text: str) -> str:
    return text.replace("o=- 1 2 IN", "o=- 1 1 IN")


def test_what_we_send_and_what_we_receive_may_differ() -> None:
    receive = Capabilities(audio=(OPUS,), audio_extensions=(AUDIO_LEVEL, MID))
    send = Capabilities(audio=(OPUS,), video=(VP8,), video_extensions=(MID,))
    sfu = Negotiation(SERVER_TRANSPORT, receive=receive, send=send, session_id=1, with_data=False)
    sfu.receive_offer(recorded("publish-mute-unpublish.js-v0.client-offer"))
    text = sfu.create_answer()
    assert [section.port for section in parse_sdp(text).sections] == [0, 0, 9]
    assert values(text, 2, "extmap") == [f"12 {AUDIO_LEVEL}", f"9 {MID}"]
    listening = Negotiation(SERVER_TRANSPORT, receive=receive, send=send, session_id=1, with_data=False)
    listening.receive_offer(recorded("join.js-v1.client-offer"))
    text = listening.create_answer()
    assert [section.port for section in parse_sdp(text).sections] == [9] * 6 + [0]
    assert values(text, 0, "extmap") == []
    assert values(text, 3, "extmap") == [f"4 {MID}"]


# ICE restarts and DTLS roles


def test_an_ice_restart_is_noticed_and_answered_with_new_credentials() -> None:
    alice, sfu = client(), server()
    alice.add_data_section()
    negotiate(alice, sfu)
    assert not sfu.remote_restarted
    alice.restart_ice(IceCredentials("newufrag", "newpasswordnewpasswordnew"))
    sfu.receive_offer(alice.create_offer())
    assert sfu.remote_restarted
    assert sfu.remote is not None
    assert sfu.remote.credentials.ufrag == "newufrag"
    sfu.restart_ice(IceCredentials("freshufrag", "freshpasswordfreshpassword"))
    alice.receive_answer(sfu.create_answer())
    assert alice.remote is not None
    assert alice.remote.credentials.ufrag == "freshufrag"
    assert alice.remote_restarted
    negotiate(alice, sfu)
    assert not sfu.remote_restarted
    assert not alice.remote_restarted


def test_roles_stay_whoever_offers_later() -> None:
    alice, sfu = client(), server()
    alice.add_data_section()
    negotiate(alice, sfu)
    text = sfu.create_offer()
    assert values(text, 0, "setup") == ["actpass"]
    alice.receive_offer(text)
    answer = alice.create_answer()
    assert values(answer, 0, "setup") == ["active"]
    sfu.receive_answer(answer)
    assert (alice.setup, sfu.setup) == (Setup.ACTIVE, Setup.PASSIVE)


@pytest.mark.parametrize(("offered", "ours"), [("actpass", "passive"), ("active", "passive"), ("passive", "active")])
def test_an_offer_may_choose_the_roles(offered: str, ours: str) -> None:
    alice, sfu = client(), server()
    alice.add_data_section()
    text = answer_of(sfu, alice.create_offer().replace("setup:actpass", f"setup:{offered}"))
    assert values(text, 0, "setup") == [ours]
    assert sfu.setup is Setup(ours)


# What is refused


def offer() -> str:
    alice = client()
    alice.add_data_section()
    alice.add_transceiver(AUDIO, SENDONLY, local_track=track("mic", 1))
    alice.add_transceiver(VIDEO, SENDONLY, local_track=track("cam", 2))
    return alice.create_offer()


@pytest.mark.parametrize(
    ("good", "bad", "rule"),
    [
        ("a=group:BUNDLE 0 1 2\r\n", "", "BUNDLE"),
        ("a=group:BUNDLE 0 1 2", "a=group:BUNDLE 0 1", "BUNDLE"),
        ("a=group:BUNDLE 0 1 2", "a=group:BUNDLE 0 1 2\r\na=group:BUNDLE 0", "BUNDLE"),
        ("a=mid:2\r\n", "", "mid"),
        ("a=mid:2\r\n", "a=mid:1\r\n", "mid"),
        ("a=rtcp-mux\r\n", "", "rtcp-mux"),
        (f"a=fingerprint:{CLIENT_TRANSPORT.fingerprint.serialize()}\r\n", "", "fingerprint"),
        (CLIENT_TRANSPORT.fingerprint.serialize(), "sha-1 " + ":".join(["11"] * 20), "fingerprint"),
        (CLIENT_TRANSPORT.fingerprint.serialize(), "sha-256 AB:CD", "fingerprint"),
        ("a=ice-ufrag:clientufrag\r\n", "", "ICE"),
        ("a=ice-pwd:clientpasswordclientpassword", "a=ice-pwd:" + "x" * 300, "ICE"),
        ("a=setup:actpass", "a=setup:holdconn", "setup"),
        (f"a=extmap:1 {MID}\r\n", f"a=extmap:2 {MID}\r\n", "header extension 2"),
        ("a=sendonly\r\n", "".join(f"a=rid:{n} send\r\n" for n in range(17)), "encodings"),
    ],
)
def test_an_offer_that_breaks_a_rule_is_refused(good: str, bad: str, rule: str) -> None:
    text = offer()
    assert good in text
    sfu = server()
    with pytest.raises(NegotiationError, match=rule):
        sfu.receive_offer(text.replace(good, bad))
    assert sfu.transceivers == []
    assert sfu.remote is None
    sfu.receive_offer(text)  # as if nothing had been


def test_an_offer_without_anything_to_take_up_is_refused() -> None:
    with pytest.raises(NegotiationError, match="without any section"):
        server().receive_offer("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n")


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("m=video 9 UDP/TLS/RTP/SAVPF 96", "m=audio 9 UDP/TLS/RTP/SAVPF 96", "kind"),
        ("a=mid:2", "a=mid:1", "mid"),
        ("a=mid:1", "a=mid:7", "BUNDLE"),
        (CLIENT_TRANSPORT.fingerprint.serialize(), SERVER_TRANSPORT.fingerprint.serialize(), "certificate"),
        ("a=setup:actpass", "a=setup:passive", "roles"),
    ],
)
def test_a_later_offer_that_changes_what_stands_is_refused(old: str, new: str, rule: str) -> None:
    sfu = server()
    text = offer()
    answer_of(sfu, text)
    before = state(sfu)
    with pytest.raises(NegotiationError, match=rule):
        sfu.receive_offer(text.replace(old, new))
    assert state(sfu) == before


def state(negotiation: Negotiation) -> object:
    return (
        negotiation.remote,
        negotiation.setup,
        negotiation.data_mid,
        negotiation.remote_restarted,
        [
            (each.mid, each.current_direction, each.remote_track, each.codecs, dict(each.extensions), each.is_rejected)
            for each in negotiation.transceivers
        ],
    )


def test_sections_may_not_be_removed_or_change_places() -> None:
    sfu = server()
    answer_of(sfu, offer())
    data, audio, video = parse_sdp(offer()).sections
    whole = parse_sdp(offer())
    for sections in ((data, audio), (data, video, audio)):
        with pytest.raises(NegotiationError):
            sfu.receive_offer(replace(whole, sections=sections).serialize())


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("m=video", "m=audio", "kind"),
        ("a=mid:2", "a=mid:3", "BUNDLE|where"),
        ("a=setup:passive", "a=setup:actpass", "roles"),
        ("a=rtpmap:96 VP8/90000", "a=rtpmap:96 VP9/90000", "codec"),
        ("a=group:BUNDLE 0 1 2", "a=group:BUNDLE 0 1", "BUNDLE"),
        ("a=ice-ufrag:serverufrag\r\n", "", "ICE"),
    ],
)
def test_an_answer_that_does_not_match_the_offer_is_refused(old: str, new: str, rule: str) -> None:
    alice = client()
    alice.add_data_section()
    alice.add_transceiver(AUDIO, SENDONLY, local_track=track("mic", 1))
    alice.add_transceiver(VIDEO, SENDONLY, local_track=track("cam", 2))
    good = answer_of(server(), alice.create_offer())
    assert old in good
    before = state(alice)
    with pytest.raises(NegotiationError, match=rule):
        alice.receive_answer(good.replace(old, new))
    assert state(alice) == before
    alice.receive_answer(good)


def test_an_answer_with_too_few_sections_is_refused() -> None:
    alice = client()
    alice.add_data_section()
    alice.create_offer()
    with pytest.raises(NegotiationError, match="answer"):
        alice.receive_answer("v=0\r\n")


def test_an_answer_may_not_take_up_what_was_offered_as_rejected() -> None:
    sfu, bob = server(), client(Capabilities(audio=(OPUS,)))
    sfu.add_transceiver(AUDIO, SENDONLY, local_track=track("mic", 5))
    video = sfu.add_transceiver(VIDEO, SENDONLY, local_track=track("cam", 6))
    negotiate(sfu, bob)
    video.local_track = None
    video.direction = INACTIVE
    good = answer_of(bob, sfu.create_offer())
    bad = good.replace("BUNDLE 0", "BUNDLE 0 1").replace("a=mid:1", "a=mid:1\r\na=rtcp-mux")
    with pytest.raises(NegotiationError, match="not offered"):
        sfu.receive_answer(bad)
    sfu.receive_answer(good)


def test_an_answer_that_widens_the_offer_counts_as_far_as_it_was_offered() -> None:
    alice, sfu = client(), server()
    mine = alice.add_transceiver(AUDIO, SENDONLY, local_track=track("mic", 1))
    text = answer_of(sfu, alice.create_offer())
    alice.receive_answer(text.replace("a=recvonly", "a=sendrecv"))
    assert mine.current_direction is SENDONLY


def test_calls_in_the_wrong_order_are_errors_of_whoever_made_them() -> None:
    alice, sfu = client(), server()
    with pytest.raises(LocalProtocolError):
        alice.create_offer()
    with pytest.raises(LocalProtocolError):
        sfu.create_answer()
    alice.add_data_section()
    text = alice.create_offer()
    with pytest.raises(NegotiationError, match="without an offer"):
        sfu.receive_answer(text)
    with pytest.raises(NegotiationError, match="while ours"):
        alice.receive_offer(text)
    sfu.receive_offer(text)
    with pytest.raises(LocalProtocolError):
        sfu.create_offer()
    sfu.create_answer()
    with pytest.raises(LocalProtocolError):
        sfu.create_answer()


# What is not taken up


def test_what_we_cannot_take_up_is_rejected_with_its_mid_and_a_connection_line() -> None:
    text = offer().replace("UDP/TLS/RTP/SAVPF 96", "RTP/AVP 96").replace("VP8", "VP7")
    answer = parse_sdp(answer_of(server(), text))
    assert answer.attributes[0] == ("group", "BUNDLE 0 1")
    rejected = answer.sections[2]
    assert (rejected.kind, rejected.port, rejected.protocol, rejected.formats) == ("video", 0, "RTP/AVP", ("96",))
    assert rejected.lines == (("c", "IN IP4 0.0.0.0"),)
    assert ("mid", "2") in rejected.attributes


def test_sections_of_unknown_kinds_and_second_data_sections_are_rejected() -> None:
    text = offer().replace("BUNDLE 0 1 2", "BUNDLE 0 1 2 3 4") + (
        "m=text 9 UDP/TLS/RTP/SAVPF 98\r\na=mid:3\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:4\r\n"
    )
    sfu = server()
    answer = parse_sdp(answer_of(sfu, text))
    assert [section.port for section in answer.sections] == [9, 9, 9, 0, 0]
    assert len(sfu.transceivers) == 2
    assert sfu.data_mid == "0"
    # What was rejected once may come back as something else.
    sfu.receive_offer(
        text.replace("m=text 9", "m=audio 9").replace("a=mid:3", "a=mid:3\r\na=rtcp-mux\r\na=rtpmap:98 opus/48000/2")
    )
    assert [transceiver.mid for transceiver in sfu.transceivers] == ["1", "2", "3"]


def test_a_codec_free_section_has_a_transceiver_that_is_rejected() -> None:
    sfu = server(Capabilities(audio=(OPUS,)))
    answer_of(sfu, offer())
    audio, video = sfu.transceivers
    assert (audio.is_rejected, video.is_rejected) == (False, True)
    assert (video.mid, video.current_direction, video.remote_track) == ("2", INACTIVE, None)


def test_a_stopped_section_may_be_recycled_under_a_new_mid_and_kind() -> None:
    sfu = server()
    text = offer()
    answer_of(sfu, text)
    stopped = text.replace("BUNDLE 0 1 2", "BUNDLE 0 2").replace("m=audio 9", "m=audio 0")
    answer = parse_sdp(answer_of(sfu, stopped))
    assert answer.sections[1].port == 0
    audio, video = sfu.transceivers
    assert audio.is_rejected
    recycled = text.replace("BUNDLE 0 1 2", "BUNDLE 0 5 2").replace("a=mid:1", "a=mid:5")
    assert parse_sdp(answer_of(sfu, recycled)).sections[1].port == 9
    assert sfu.transceivers[0] is not audio
    assert sfu.transceivers[0].mid == "5"
    assert sfu.transceivers[1] is video


@pytest.mark.parametrize("extra", ["", "a=bundle-only\r\n"])
def test_port_0_within_the_bundle_is_no_rejection(extra: str) -> None:
    text = offer().replace("m=video 9", "m=video 0").replace("a=mid:2\r\n", "a=mid:2\r\n" + extra)
    sfu = server()
    assert parse_sdp(answer_of(sfu, text)).sections[2].port == 9
    assert sfu.transceivers[1].current_direction is RECVONLY


# Reading what peers write


def test_transport_attributes_may_stand_for_the_session_and_the_sections_own_win() -> None:
    lines = ("a=ice-ufrag:clientufrag\r\n", "a=ice-pwd:clientpasswordclientpassword\r\n", "a=setup:actpass\r\n")
    text = offer()
    for line in lines:
        text = text.replace(line, "")
    text = text.replace("a=msid-semantic", "".join(lines) + "a=msid-semantic")
    sfu = server()
    sfu.receive_offer(text)
    assert sfu.remote is not None
    assert sfu.remote.credentials == CLIENT_TRANSPORT.credentials
    sfu = server()
    sfu.receive_offer(text.replace("a=mid:0", "a=mid:0\r\na=ice-ufrag:own"))
    assert sfu.remote is not None
    assert sfu.remote.credentials.ufrag == "own"


def test_the_section_named_first_in_the_bundle_speaks_for_the_transport() -> None:
    text = (
        offer()
        .replace("BUNDLE 0 1 2", "BUNDLE 2 0 1")
        .replace("a=mid:2", "a=mid:2\r\na=candidate:1 1 udp 1 192.0.2.9 9 typ host")
    )
    sfu = server()
    answer = parse_sdp(answer_of(sfu, text))
    assert sfu.remote is not None
    assert [candidate.address for candidate in sfu.remote.candidates] == [("192.0.2.9", 9)]
    assert answer.attributes[0] == ("group", "BUNDLE 2 0 1")
    assert ["candidate" in group(section.attributes) for section in answer.sections] == [False, False, True]


def test_firefox_rids_win_over_its_ssrcs() -> None:
    lines = "a=rid:q send\r\na=rid:h send max-fs=3600\r\na=rid:x recv\r\na=simulcast:send ~h;q,o;gone recv x\r\n"
    text = offer().replace("a=ssrc:2 cname", lines + "a=ssrc:3 cname:x\r\na=ssrc-group:FID 2 3\r\na=ssrc:2 cname")
    sfu = server()
    answer = answer_of(sfu, text)
    received = sfu.transceivers[1].remote_track
    assert received is not None
    assert [(encoding.rid, encoding.ssrc) for encoding in received.encodings] == [("h", None), ("q", None)]
    assert values(answer, 2, "rid") == ["h recv", "q recv"]
    assert values(answer, 2, "simulcast") == ["recv h;q"]


def test_groups_of_ssrcs_bind_retransmissions() -> None:
    extra = "a=ssrc-group:FID 2 3\r\na=ssrc:3 cname:x\r\na=ssrc:nonsense cname:x\r\na=ssrc-group:FID\r\n"
    sfu = server()
    sfu.receive_offer(offer() + extra)
    received = sfu.transceivers[1].remote_track
    assert received is not None
    assert [(encoding.ssrc, encoding.rtx_ssrc) for encoding in received.encodings] == [(2, 3)]


SIM = (
    "a=ssrc-group:SIM 4 2 6 8\r\na=ssrc-group:SIM 1\r\na=ssrc-group:FID 2 3\r\na=ssrc-group:FID 6 7\r\n"
    "a=ssrc:3 cname:x\r\na=ssrc:4 cname:x\r\na=ssrc:7 cname:x\r\na=ssrc:9 cname:x\r\n"
)


def test_a_group_of_ssrcs_lists_the_layers_of_older_clients_from_the_lowest_up() -> None:
    sfu = server()
    answer = answer_of(sfu, offer() + SIM)
    received = sfu.transceivers[1].remote_track
    assert received is not None
    assert [(encoding.place, encoding.ssrc, encoding.rtx_ssrc) for encoding in received.encodings] == [
        (0, 4, None),
        (1, 2, 3),
        (2, 6, 7),
    ]
    assert values(answer, 2, "rid") == values(answer, 2, "simulcast") == []


def test_rids_win_over_a_group_of_ssrcs_too() -> None:
    sfu = server()
    sfu.receive_offer(offer() + SIM + "a=rid:q send\r\na=rid:h send\r\na=simulcast:send q;h\r\n")
    received = sfu.transceivers[1].remote_track
    assert received is not None
    assert [(encoding.rid, encoding.place) for encoding in received.encodings] == [("q", None), ("h", None)]


def test_a_track_without_msid_or_ssrc_has_one_unannounced_encoding() -> None:
    text = "\r\n".join(line for line in offer().split("\r\n") if not line.startswith(("a=msid:", "a=ssrc:")))
    sfu = server()
    sfu.receive_offer(text)
    received = sfu.transceivers[0].remote_track
    assert received is not None
    assert (received.stream_id, received.track_id) == ("", "")
    assert [(encoding.rid, encoding.ssrc) for encoding in received.encodings] == [(None, None)]


def test_a_legacy_msid_on_the_ssrc_names_the_track() -> None:
    text = "\r\n".join(line for line in offer().split("\r\n") if not line.startswith("a=msid:"))
    sfu = server()
    sfu.receive_offer(text)
    assert [received.remote_track.track_id for received in sfu.transceivers if received.remote_track] == [
        "TR_mic",
        "TR_cam",
    ]


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("", 65_536),
        ("a=max-message-size:1000\r\n", 1000),
        ("a=max-message-size:0\r\n", UNLIMITED_MESSAGE_SIZE),
        ("a=max-message-size:99999999999999999999999999\r\n", UNLIMITED_MESSAGE_SIZE),
        ("a=max-message-size:-1\r\n", 65_536),
    ],
)
def test_the_peers_message_size_has_a_default_and_may_be_unlimited(line: str, size: int) -> None:
    sfu = server()
    sfu.receive_offer(offer().replace("a=max-message-size:65535\r\n", line))
    assert sfu.remote_max_message_size == size


def test_mixed_extension_headers_are_echoed_at_either_level() -> None:
    text = offer()
    plain = text.replace("a=extmap-allow-mixed\r\n", "")
    assert "extmap-allow-mixed" in answer_of(server(), text)
    assert "extmap-allow-mixed" not in answer_of(server(), plain)
    assert "extmap-allow-mixed" in answer_of(server(), plain.replace("a=mid:1", "a=mid:1\r\na=extmap-allow-mixed"))


# Properties


class Conversation:
    """A client and a server that change their minds between rounds; either may offer."""

    def __init__(self) -> None:
        self.ends = (client(), server(LIVEKIT))
        for end in self.ends:
            end.add_data_section()
        self.next_ssrc = 1

    def change(self, end: int, kind: MediaKind, direction: Direction, place: int, *, has_track: bool) -> None:
        negotiation = self.ends[end]
        same_kind = [transceiver for transceiver in negotiation.transceivers if transceiver.kind is kind]
        if place < len(same_kind):
            transceiver: Transceiver = same_kind[place]
            transceiver.direction = direction
        else:
            transceiver = negotiation.add_transceiver(kind, direction)
        self.next_ssrc += 1
        transceiver.local_track = track(f"t{self.next_ssrc}", self.next_ssrc) if has_track else None

    def round(self, offerer: int) -> None:
        negotiate(self.ends[offerer], self.ends[1 - offerer])


_changes = st.tuples(
    st.integers(0, 1), st.sampled_from(MediaKind), st.sampled_from(Direction), st.integers(0, 3), st.booleans()
)
_rounds = st.lists(st.tuples(st.lists(_changes, max_size=4), st.integers(0, 1)), min_size=1, max_size=6)


@given(_rounds)
def test_both_ends_always_agree(rounds: list[tuple[list[tuple[int, MediaKind, Direction, int, bool]], int]]) -> None:
    conversation = Conversation()
    seen: list[Mid | None] = []
    for changes, offerer in rounds:
        for end, kind, direction, place, has_track in changes:
            conversation.change(end, kind, direction, place, has_track=has_track)
        conversation.round(offerer)
        assert conversation.ends[0].data_mid == conversation.ends[1].data_mid is not None
        numbers: dict[int, str] = {}
        placed = [[each for each in end.transceivers if each.mid is not None] for end in conversation.ends]
        mids = [transceiver.mid for transceiver in placed[0]]
        assert mids[: len(seen)] == seen
        seen = mids
        for mine, theirs in zip(*placed, strict=True):
            assert (mine.mid, mine.kind, mine.is_rejected) == (theirs.mid, theirs.kind, theirs.is_rejected)
            assert mine.current_direction is theirs.current_direction.mirrored
            assert [c.payload_type for c in mine.codecs] == [c.payload_type for c in theirs.codecs]
            assert mine.extensions == theirs.extensions
            for one, other in ((mine, theirs), (theirs, mine)):
                if one.current_direction.sends and one.local_track is not None:
                    assert other.remote_track is not None
                    assert other.remote_track.track_id == one.local_track.track_id
            for codec in mine.codecs:
                assert numbers.setdefault(codec.payload_type, codec.mime) == codec.mime


@given(st.data())
def test_a_mangled_offer_is_answered_or_refused_and_then_changes_nothing(data: st.DataObject) -> None:
    lines = recorded("publish-mute-unpublish.py-v0.client-offer").split("\n")
    sfu = server()
    answer_of(sfu, "\n".join(lines))
    before = state(sfu)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(lines) - 1))
        mangled = data.draw(
            st.one_of(
                st.just(""),
                st.sampled_from(lines),
                st.text(max_size=20),
                st.builds(lambda cut, line=lines[place]: line[:cut], st.integers(0, 30)),
            )
        )
        lines[place] = mangled
    try:
        sfu.receive_offer("\n".join(lines))
    except (DecodeError, NegotiationError):
        assert state(sfu) == before
    else:
        parse_sdp(sfu.create_answer())


def test_rejecting_keeps_codecs_of_later_tracks_apart() -> None:
    """A section that was refused for its codec is offered again with whatever the application then wants."""
    sfu = server(LIVEKIT)
    section = sfu.add_transceiver(VIDEO, SENDONLY, local_track=track("cam", 5))
    section.preferred_mimes = ("video/AV1",)
    bob = client(Capabilities(video=(Codec("video/AV1", 35, 90000),)))
    negotiate(sfu, bob)
    assert [codec.mime for codec in section.codecs] == ["video/AV1"]
    assert section.codecs[0].payload_type == 35


def test_a_data_section_that_the_peer_rejected_stays_rejected() -> None:
    sfu = server()
    bob = Negotiation(CLIENT_TRANSPORT, receive=MODEST, send=MODEST, session_id=2, with_data=False)
    sfu.add_data_section()
    sfu.add_transceiver(AUDIO, SENDONLY, local_track=track("mic", 1))
    negotiate(sfu, bob)
    assert sfu.data_mid is None
    rejected = parse_sdp(sfu.create_offer()).sections[0]
    assert (rejected.kind, rejected.port, rejected.protocol) == ("application", 0, "UDP/DTLS/SCTP")


def test_a_section_that_came_rejected_and_nameless_gets_a_mid_in_our_offer() -> None:
    sfu = server()
    text = offer().replace("BUNDLE 0 1 2", "BUNDLE 0 1").replace("m=video 9", "m=video 0").replace("a=mid:2\r\n", "")
    answer_of(sfu, text)
    whole = parse_sdp(sfu.create_offer())
    assert [dict(section.attributes)["mid"] for section in whole.sections] == ["0", "1", "2"]
    assert whole.attributes[0] == ("group", "BUNDLE 0 1 2")


def test_the_tagged_section_is_the_first_that_our_last_description_has_in_the_bundle() -> None:
    sfu = server()
    assert sfu.tagged_mid is None
    answer_of(sfu, offer().replace("BUNDLE 0 1 2", "BUNDLE 2 0 1"))
    assert sfu.tagged_mid == "2"


def test_a_section_tells_whether_the_peer_listens() -> None:
    bob, sfu = listener()
    negotiate(bob, sfu)
    assert [transceiver.remote_receives for transceiver in sfu.transceivers] == [True, True]
    bob.transceivers[0].direction = INACTIVE
    negotiate(bob, sfu)
    assert [transceiver.remote_receives for transceiver in sfu.transceivers] == [False, True]


@pytest.mark.parametrize("direction", [SENDONLY, SENDRECV, INACTIVE])
def test_who_receives_nothing_offers_what_it_sends(direction: Direction) -> None:
    sfu = Negotiation(SERVER_TRANSPORT, receive=Capabilities(), send=MODEST, session_id=1, with_data=True)
    sfu.add_transceiver(VIDEO, direction)
    negotiate(sfu, client())
    assert [codec.mime for codec in sfu.transceivers[0].codecs] == ["video/VP8"]


@pytest.mark.parametrize("theirs", [LIVEKIT, MODEST])
def test_a_stream_for_retransmissions_is_announced_where_it_can_be_agreed(theirs: Capabilities) -> None:
    """An offer announces it to everybody, an answer only to who offers a payload type for it (RFC 5576 §4.2)."""
    announced = ["FID 7 8"]
    sfu, browser = server(LIVEKIT), client(theirs)
    sfu.add_transceiver(MediaKind.VIDEO, Direction.SENDONLY, local_track=replace(track("video", 7), rtx_ssrc=Ssrc(8)))
    offer = sfu.create_offer()
    assert values(offer, 0, "ssrc-group") == announced
    assert [word.split()[0] for word in values(offer, 0, "ssrc")] == ["7", "7", "8", "8"]
    browser.receive_offer(offer)
    sfu.receive_answer(browser.create_answer())
    received = browser.transceivers[0].remote_track
    assert received is not None
    assert [(encoding.ssrc, encoding.rtx_ssrc) for encoding in received.encodings] == [(7, 8)]
    has_rtx = theirs is LIVEKIT
    assert (sfu.transceivers[0].codecs[0].rtx_payload_type is not None) is has_rtx

    sfu, browser = server(LIVEKIT), client(theirs)
    browser.add_transceiver(MediaKind.VIDEO, Direction.RECVONLY)
    sfu.receive_offer(browser.create_offer())
    sfu.transceivers[0].local_track = replace(track("video", 7), rtx_ssrc=Ssrc(8))
    answer = sfu.create_answer()
    assert values(answer, 0, "ssrc-group") == (announced if has_rtx else [])
