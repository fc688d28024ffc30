"""Which codec a track of sound is published in, and in which each subscriber gets it.

Clients by hand, which say what browsers were recorded to say, and send no media.
"""

from dataclasses import replace
from functools import partial

import pytest
from livekit.protocol.models import AudioTrackFeature, Encryption, TrackInfo, TrackType
from livekit.protocol.rtc import AddTrackRequest, SimulcastCodec

from rtp.sdp.codecs import MediaKind
from rtp.sdp.description import Direction, Section, Setup, read_description
from sfu.media.capabilities import RECEIVE, SEND
from tests.rtp.sdp.peers import recorded, track
from tests.simulation.house import House, open_house, wait_until
from tests.simulation.test_codecs import Caller, both_layouts
from tests.simulation.test_codecs import open_caller as open_any_caller

OPUS, RED, PCMU, PCMA = SEND.audio
open_caller = partial(open_any_caller, spares=MediaKind.AUDIO)
NO_RED = replace(RECEIVE, audio=(OPUS, PCMU, PCMA))


def sound(sdp: str, mid: str | None = None) -> Section:
    """Return the section of audio that sends a track, or has this mid."""
    sections = [each for each in read_description(sdp, Setup.ACTPASS).sections if each.media is MediaKind.AUDIO]
    return next(each for each in sections if each.mid == mid or (mid is None and each.track is not None))


async def announce(caller: Caller, cid: str, **request: object) -> TrackInfo:
    await caller.send(add_track=AddTrackRequest(cid=cid, type=TrackType.AUDIO, **request))
    return (await caller.receive("track_published")).track_published.track


async def publish(caller: Caller, **request: object) -> TrackInfo:
    info = await announce(caller, "mic", **request)
    local = replace(track("mic", 7), track_id="mic")
    caller.publisher.add_transceiver(MediaKind.AUDIO, Direction.SENDONLY, local_track=local)
    caller.publisher.receive_answer(await caller.describe(caller.publisher.create_offer()))
    return await caller.told_of(info.sid)


def answered(caller: Caller) -> list[str]:
    """What the server has agreed to take, best first."""
    (section,) = [each for each in caller.publisher.transceivers if each.kind is MediaKind.AUDIO]
    return [codec.mime for codec in section.codecs]


async def gets(house: House, identity: str, info: TrackInfo) -> str:
    """Return the MIME type of the codec that somebody gets a track in."""
    subscriptions = house.participant(identity).subscriber.subscriptions
    await wait_until(lambda: info.sid in subscriptions and subscriptions[info.sid].down_track.bound)
    subscription = subscriptions[info.sid]
    payload_type = subscription.down_track.row.payload_type
    return next(codec.mime for codec in subscription.transceiver.codecs if codec.payload_type == payload_type)


@pytest.mark.parametrize("layout", ["js-v0", "js-v1"])
async def test_a_recorded_microphone_comes_with_redundancy_and_is_told_of_as_such(autojump_clock, layout) -> None:
    offer = recorded(f"publish-mute-unpublish.{layout}.client-offer")
    section = sound(offer)
    async with open_house() as house, open_caller(house, "alice") as alice:
        info = await announce(alice, section.track.track_id)
        answer = sound(await alice.describe(offer), section.mid)
        assert [(codec.mime, codec.payload_type) for codec in answer.codecs] == [("audio/red", 63), ("audio/opus", 111)]
        assert "usedtx=1" in answer.codecs[1].fmtp
        info = await alice.told_of(info.sid)
        assert (info.mime_type, [codec.mime_type for codec in info.codecs]) == ("audio/red", ["audio/red"])


@pytest.mark.parametrize("layout", ["js-v0", "js-v1"])
async def test_a_recorded_stereo_track_is_answered_as_it_was_then_and_told_of_to_subscribers(
    autojump_clock, layout
) -> None:
    offer = recorded(f"publish-stereo-and-parallel.{layout}.client-offer")
    section = sound(offer)
    async with (
        open_house() as house,
        open_caller(house, "alice") as alice,
        open_caller(house, "bob", single=layout == "js-v1") as bob,
    ):
        info = await announce(alice, section.track.track_id, stereo=True, disable_dtx=True, disable_red=True)
        assert (info.stereo, info.disable_dtx, info.disable_red) == (True, True, True)
        assert set(info.audio_features) == {AudioTrackFeature.TF_STEREO, AudioTrackFeature.TF_NO_DTX}
        (codec,) = sound(await alice.describe(offer), section.mid).codecs
        model = sound(recorded(f"publish-stereo-and-parallel.{layout}.server-answer"), section.mid).codecs[0]
        assert set(codec.fmtp.split(";")) == set(model.fmtp.split(";"))
        await bob.receive("subscription_permission_update")
        mids = await bob.negotiate()
        assert list(mids.values()) == [info.sid]
        (heard,) = [each for each in bob.subscriber.transceivers if each.mid in mids]
        opus = next(codec for codec in heard.codecs if codec.mime == "audio/opus")
        assert "sprop-stereo=1" in opus.fmtp.split(";")
        assert await gets(house, "bob", info) == "audio/opus"


@both_layouts
@pytest.mark.parametrize("knows", [RECEIVE, NO_RED], ids=["red", "no red"])
async def test_each_gets_the_format_that_it_knows_whichever_is_published(autojump_clock, single, knows) -> None:
    for published in (RECEIVE, NO_RED):
        async with (
            open_house() as house,
            open_caller(house, "bob", knows, single=single) as bob,
            open_caller(house, "alice", published) as alice,
        ):
            info = await publish(alice)
            assert info.mime_type == ("audio/red" if published is RECEIVE else "audio/opus")
            await bob.receive("subscription_permission_update")
            await bob.negotiate()
            assert await gets(house, "bob", info) == ("audio/red" if knows is RECEIVE else "audio/opus")


@pytest.mark.parametrize(
    "request_", [{"disable_red": True}, {"encryption": Encryption.GCM}], ids=["refused", "encrypted"]
)
async def test_redundancy_that_the_publisher_cannot_have_is_neither_asked_for_nor_made(
    autojump_clock, request_
) -> None:
    async with open_house() as house, open_caller(house, "bob") as bob, open_caller(house, "alice") as alice:
        info = await publish(alice, **request_)
        assert answered(alice) == ["audio/opus"]
        assert (info.mime_type, info.encryption) == ("audio/opus", request_.get("encryption", Encryption.NONE))
        await bob.receive("subscription_permission_update")
        await bob.negotiate()
        assert await gets(house, "bob", info) == "audio/opus"


@pytest.mark.parametrize("name", ["pcmu", "PCMA"])
async def test_g711_is_published_and_heard_if_it_is_asked_for(autojump_clock, name) -> None:
    async with open_house() as house, open_caller(house, "bob") as bob, open_caller(house, "alice") as alice:
        info = await publish(alice, simulcast_codecs=[SimulcastCodec(codec=name, cid="mic")])
        mime = f"audio/{name.upper()}"
        assert (answered(alice), info.mime_type) == ([mime], mime)
        await bob.receive("subscription_permission_update")
        await bob.negotiate()
        assert await gets(house, "bob", info) == mime


async def test_a_track_goes_on_in_its_codec_when_it_is_described_again(autojump_clock) -> None:
    async with open_house() as house, open_caller(house, "alice") as alice:
        info = await publish(alice)
        alice.publisher.receive_answer(await alice.describe(alice.publisher.create_offer()))
        assert answered(alice) == ["audio/red", "audio/opus"]
        assert house.participant("alice").publisher.publications[info.sid].media.codec.mime == "audio/red"


async def test_firefox_gets_the_frames_without_redundancy(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_caller(house, "bob", query="&browser=Firefox") as bob,
        open_caller(house, "alice") as alice,
    ):
        info = await publish(alice)
        await bob.receive("subscription_permission_update")
        await bob.negotiate()
        assert await gets(house, "bob", info) == "audio/opus"
