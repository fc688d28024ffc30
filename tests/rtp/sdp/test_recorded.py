"""Our answers to recorded offers say what the recorded server said, where it matters."""

from dataclasses import replace

import pytest

from rtp.sdp.description import Description, Section, Setup, read_description
from rtp.sdp.grammar import group, parse_sdp
from rtp.sdp.negotiation import Direction, Negotiation
from tests.rtp.sdp.peers import LIVEKIT, MODEST, client, recorded, recorded_names, server

OFFERS = recorded_names("client-offer")
LIVEKIT_OFFERS = [name for name in OFFERS if name.startswith(("join", "publish", "whip"))]
SERVER_OFFERS = [name for name in recorded_names("server-offer") if name.startswith(("join", "publish"))]


def read(text: str) -> Description:
    return read_description(text, Setup.ACTPASS)


def answer(negotiation: Negotiation, offer: str) -> Description:
    negotiation.receive_offer(recorded(offer))
    return read(negotiation.create_answer())


def shape(section: Section) -> tuple[object, ...]:
    return section.mid, section.kind, section.protocol, section.is_active, section.is_data


def numbers(text: str, index: int) -> set[str]:
    """Payload types, retransmission included."""
    return set(parse_sdp(text).sections[index].formats)


@pytest.mark.parametrize("name", OFFERS)
def test_every_recorded_offer_is_answered_in_full(name: str) -> None:
    offered = read(recorded(name))
    negotiation = server(LIVEKIT)
    answered = answer(negotiation, name)
    assert [shape(section) for section in answered.sections] == [shape(section) for section in offered.sections]
    for ours, theirs in zip(answered.sections, offered.sections, strict=True):
        if ours.media is not None:
            assert ours.direction is theirs.direction.mirrored
            assert ours.extensions.items() <= theirs.extensions.items()
    assert negotiation.setup is Setup.PASSIVE
    assert negotiation.remote is not None


@pytest.mark.parametrize("name", LIVEKIT_OFFERS)
def test_an_answer_says_what_the_recorded_one_says(name: str) -> None:
    theirs_text = recorded(name.replace("client-offer", "server-answer"))
    offer_text = recorded(name)
    theirs = read(theirs_text)
    negotiation = server(LIVEKIT, setup=Setup.ACTIVE)  # as the recorded server answers
    negotiation.receive_offer(offer_text)
    text = negotiation.create_answer()
    ours = read(text)
    assert ours.transport is not None
    assert theirs.transport is not None
    assert ours.transport.setup is theirs.transport.setup
    assert ours.bundle == theirs.bundle
    assert ours.mixed_extensions == theirs.mixed_extensions
    for index, (section, model) in enumerate(zip(ours.sections, theirs.sections, strict=True)):
        assert shape(section) == shape(model)
        assert section.reduced_size_rtcp == model.reduced_size_rtcp
        assert section.max_message_size == model.max_message_size
        if section.media is None:
            continue
        assert section.direction is model.direction
        # The recorded server sometimes lists payload types that it learnt from another section.
        assert numbers(text, index) == numbers(theirs_text, index) & numbers(offer_text, index)
        assert rid_lines(text, index) == rid_lines(theirs_text, index)


def rid_lines(text: str, index: int) -> set[tuple[str, str]]:
    return {pair for pair in parse_sdp(text).sections[index].attributes if pair[0] in {"rid", "simulcast"}}


@pytest.mark.parametrize("name", LIVEKIT_OFFERS)
def test_opus_and_vp8_alone_are_answered_with_the_offerers_numbers(name: str) -> None:
    model = read(recorded(name.replace("client-offer", "server-answer")))
    for section, theirs in zip(answer(server(MODEST), name).sections, model.sections, strict=True):
        wanted = {
            codec.mime: codec.payload_type for codec in theirs.codecs if codec.mime in {"audio/opus", "video/VP8"}
        }
        if wanted:
            assert {codec.mime: codec.payload_type for codec in section.codecs} == wanted
        else:
            assert not section.codecs
            assert section.is_data or not section.is_active


@pytest.mark.parametrize("name", SERVER_OFFERS)
def test_our_client_answers_a_recorded_server_as_a_browser_does(name: str) -> None:
    model = read(recorded(name.replace("server-offer", "client-answer")))
    browser = replace(LIVEKIT, video=tuple(codec for codec in LIVEKIT.video if codec.mime != "video/H265"))
    answered = answer(client(browser), name)
    assert answered.bundle == model.bundle
    for section, theirs in zip(answered.sections, model.sections, strict=True):
        assert shape(section) == shape(theirs)
        if section.media is not None:
            assert section.direction is theirs.direction is Direction.RECVONLY
            assert {codec.payload_type for codec in section.codecs} == {codec.payload_type for codec in theirs.codecs}


def test_tracks_of_a_recorded_offer_are_read() -> None:
    negotiation = server()
    negotiation.receive_offer(recorded("publish-mute-unpublish.js-v0.client-offer"))
    video, audio = negotiation.transceivers
    assert video.remote_track is not None
    assert audio.remote_track is not None
    assert video.remote_track.track_id == "da73d501-3a47-426f-86f5-1698bb73c7e0"
    assert [encoding.rid for encoding in video.remote_track.encodings] == ["q", "h", "f"]
    assert audio.remote_track.stream_id == "01e2647e-c065-48a0-80b3-7f31689e233a"
    assert [encoding.ssrc for encoding in audio.remote_track.encodings] == [2814734495]
    assert negotiation.data_mid == "0"
    assert negotiation.remote_max_message_size == 262144


def test_firefoxs_layers_are_told_apart_by_rid_though_it_names_their_ssrcs_too() -> None:
    negotiation = server(LIVEKIT)
    negotiation.receive_offer(recorded("firefox-single.client-offer"))
    video, audio = (each.remote_track for each in negotiation.transceivers if each.remote_track is not None)
    assert [(encoding.rid, encoding.ssrc, encoding.rtx_ssrc) for encoding in video.encodings] == [
        ("q", None, None),
        ("h", None, None),
    ]
    assert [encoding.ssrc for encoding in audio.encodings] == [2672899688]


def test_a_native_clients_track_without_a_stream_and_in_falling_rid_order_is_read() -> None:
    negotiation = server()
    negotiation.receive_offer(recorded("publish-mute-unpublish.py-v0.client-offer"))
    video = negotiation.transceivers[0].remote_track
    assert video is not None
    assert video.stream_id == ""
    assert [encoding.rid for encoding in video.encodings] == ["f", "h", "q"]


def test_a_recorded_servers_tracks_are_read_with_their_retransmission_streams() -> None:
    negotiation = client(LIVEKIT)
    negotiation.receive_offer(recorded("publish-mute-unpublish.js-v0.subscriber.server-offer"))
    video = negotiation.transceivers[0].remote_track
    assert video is not None
    assert video.stream_id == "PA_amKJsxVcBvPd|TR_VC8a9xiHGJWpT4"
    assert [(encoding.ssrc, encoding.rtx_ssrc) for encoding in video.encodings] == [(3587596753, 3838870463)]


def test_the_first_section_alone_has_our_candidates() -> None:
    negotiation = server()
    negotiation.receive_offer(recorded("join.js-v1.client-offer"))
    sections = [group(section.attributes) for section in parse_sdp(negotiation.create_answer()).sections]
    assert [("candidate" in own, "end-of-candidates" in own) for own in sections] == [(True, True)] + [
        (False, False)
    ] * 6
