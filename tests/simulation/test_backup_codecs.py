"""A track in several codecs: whoever cannot decode the first gets another, for which the publisher is asked."""

from dataclasses import replace

import pytest
import trio
from livekit.protocol.models import TrackInfo, TrackType
from livekit.protocol.rtc import AddTrackRequest, RequestResponse, SimulcastCodec, UpdateSubscription

from rtp.sdp.codecs import MediaKind
from rtp.sdp.description import Direction
from sfu.media.capabilities import RECEIVE
from sfu.media.downtrack import DownTrack
from sfu.media.dynacast import LOWERING_SECONDS
from tests.rtp.sdp.peers import track
from tests.simulation.house import House, open_house, wait_until
from tests.simulation.test_codecs import (
    CODEC_UNSUPPORTED,
    EIGHT_BITS,
    H264,
    TEN_BITS,
    VP8,
    VP8_ONLY,
    Caller,
    both_layouts,
    open_caller,
)


async def wait_asked(publisher: Caller, sid: str, wanted: dict[str, bool]) -> None:
    """Wait until the publisher has been told that just these codecs are wanted, by name, the first of them first."""
    asked: dict[str, bool] = {}
    while asked != wanted:
        update = (await publisher.receive("subscribed_quality_update")).subscribed_quality_update
        assert update.track_sid == sid
        assert list(update.subscribed_qualities) == list(update.subscribed_codecs[0].qualities)
        asked = {codec.codec: any(each.enabled for each in codec.qualities) for codec in update.subscribed_codecs}
        assert list(asked) == list(wanted)[: len(asked)]


async def announce_backup(publisher: Caller, sid: str, cid: str, codec: str = "vp8") -> None:
    codecs = [SimulcastCodec(codec=codec, cid=cid)]
    await publisher.send(add_track=AddTrackRequest(cid=cid, sid=sid, type=TrackType.VIDEO, simulcast_codecs=codecs))


async def describe_backup(publisher: Caller, cid: str, ssrc: int = 8) -> None:
    local = replace(track(cid, ssrc), track_id=cid)
    publisher.publisher.add_transceiver(MediaKind.VIDEO, Direction.SENDONLY, local_track=local)
    publisher.publisher.receive_answer(await publisher.describe(publisher.publisher.create_offer()))


async def publish_backup(publisher: Caller, sid: str, cid: str) -> TrackInfo:
    """Begin to send a track in VP8 too; return what is told of it then."""
    await announce_backup(publisher, sid, cid)
    published = (await publisher.receive("track_published")).track_published
    assert (published.cid, published.track.sid) == (cid, sid)
    await describe_backup(publisher, cid)
    while not (info := await publisher.told_of(sid)).codecs[1].mid:
        pass
    return info


async def subscribe(caller: Caller, house: House, identity: str, sid: str) -> DownTrack:
    """Take a track up; return what sends it."""
    while sid not in caller.described.values():
        await caller.negotiate()
    down_track = house.participant(identity).subscriber.subscriptions[sid].down_track
    await wait_until(lambda: down_track.bound)
    return down_track


@both_layouts
async def test_who_cannot_decode_the_first_codec_is_sent_the_backup_once_the_publisher_sends_it(
    autojump_clock, single
) -> None:
    async with open_house() as house, open_caller(house, "alice") as alice:
        info = await alice.publish("cam", "h264", "vp8")
        async with open_caller(house, "carol") as carol:
            hers = await subscribe(carol, house, "carol", info.sid)
            await wait_asked(alice, info.sid, {"h264": True})
            async with open_caller(house, "bob", VP8_ONLY, single=single) as bob:
                his = await subscribe(bob, house, "bob", info.sid)
                await wait_asked(alice, info.sid, {"h264": True, "vp8": True})
                assert his.row.payload_type == VP8.payload_type

                info = await publish_backup(alice, info.sid, "cam-vp8")
                assert info.mime_type == "video/H264"
                assert [codec.mime_type for codec in info.codecs] == ["video/H264", "video/VP8"]
                assert [codec.cid for codec in info.codecs] == ["cam", "cam-vp8"]
                assert len({codec.mid for codec in info.codecs}) == 2
                assert info.mid == info.codecs[0].mid
                (publication,) = house.participant("alice").publisher.publications.values()
                receivers = publication.media.receivers
                assert list(receivers) == ["video/H264", "video/VP8"]
                assert his.source is receivers["video/VP8"]
                assert hers.source is receivers["video/H264"]

                await carol.send(subscription=UpdateSubscription(track_sids=[info.sid], subscribe=False))
                await wait_asked(alice, info.sid, {"h264": False, "vp8": True})
            await wait_asked(alice, info.sid, {"h264": False, "vp8": False})


@both_layouts
async def test_who_gets_the_first_codec_is_moved_when_another_is_preferred(autojump_clock, single) -> None:
    async with (
        open_house() as house,
        open_caller(house, "alice") as alice,
        open_caller(house, "bob", VP8_ONLY) as bob,
        open_caller(house, "carol", single=single) as carol,
    ):
        info = await alice.publish("cam", "h264", "vp8")
        his = await subscribe(bob, house, "bob", info.sid)
        hers = await subscribe(carol, house, "carol", info.sid)
        await publish_backup(alice, info.sid, "cam-vp8")
        (publication,) = house.participant("alice").publisher.publications.values()
        assert hers.source is publication.media.receivers["video/H264"]
        assert hers.row.payload_type == H264.payload_type
        publication.media.prefer("video/VP8")
        house.room().reconcile_all()
        await wait_until(lambda: hers.source is his.source)
        assert hers.row.payload_type == VP8.payload_type
        await wait_asked(alice, info.sid, {"h264": False, "vp8": True})

        _, second = alice.publisher.transceivers
        second.direction, second.local_track = Direction.INACTIVE, None
        await alice.describe(alice.publisher.create_offer())
        await wait_until(lambda: hers.source is publication.media.receiver)
        assert "CLOSED" not in his.statistics().paused


async def test_who_cannot_decode_the_profile_that_a_backup_comes_in_is_told_so(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_caller(house, "alice", replace(RECEIVE, video=(H264, TEN_BITS))) as alice,
        open_caller(house, "bob", replace(RECEIVE, video=(EIGHT_BITS,))) as bob,
        open_caller(house, "carol", replace(RECEIVE, video=(EIGHT_BITS, TEN_BITS))) as carol,
    ):
        info = await alice.publish("cam", "h264", "vp9")
        his = await subscribe(bob, house, "bob", info.sid)
        hers = await subscribe(carol, house, "carol", info.sid)
        assert his.row.payload_type == hers.row.payload_type == EIGHT_BITS.payload_type
        await announce_backup(alice, info.sid, "cam-vp9", codec="vp9")
        await describe_backup(alice, "cam-vp9")
        assert await bob.refused() == (info.sid, CODEC_UNSUPPORTED)
        (publication,) = house.participant("alice").publisher.publications.values()
        assert hers.source is publication.media.receivers["video/VP9"]
        assert hers.row.payload_type == TEN_BITS.payload_type


async def test_a_backup_that_nobody_needs_is_not_spoken_of(autojump_clock) -> None:
    async with open_house() as house, open_caller(house, "alice") as alice:
        info = await alice.publish("cam", "h264", "vp8")
        async with open_caller(house, "bob") as bob:
            await subscribe(bob, house, "bob", info.sid)
            await wait_asked(alice, info.sid, {"h264": True})
        await wait_asked(alice, info.sid, {"h264": False})


async def test_a_backup_that_stops_is_awaited_again_and_the_end_of_the_first_codec_ends_the_track(
    autojump_clock,
) -> None:
    async with (
        open_house() as house,
        open_caller(house, "alice") as alice,
        open_caller(house, "bob", VP8_ONLY) as bob,
    ):
        info = await alice.publish("cam", "h264", "vp8")
        down_track = await subscribe(bob, house, "bob", info.sid)
        info = await publish_backup(alice, info.sid, "cam-vp8")
        first, second = alice.publisher.transceivers
        second.direction, second.local_track = Direction.INACTIVE, None
        await alice.describe(alice.publisher.create_offer())
        (publication,) = house.participant("alice").publisher.publications.values()
        assert list(publication.media.receivers) == ["video/H264"]
        assert list(publication.media.codecs) == ["video/H264", "video/VP8"]
        assert down_track.source is publication.media.source_of("video/VP8")
        assert "CLOSED" not in down_track.statistics().paused

        first.direction, first.local_track = Direction.INACTIVE, None
        await alice.describe(alice.publisher.create_offer())
        assert not house.participant("alice").publisher.publications
        assert "CLOSED" in down_track.statistics().paused


async def test_a_track_that_ends_takes_its_backup_with_it(autojump_clock) -> None:
    async with open_house() as house, open_caller(house, "alice") as alice:
        info = await alice.publish("cam", "h264", "vp8")
        await publish_backup(alice, info.sid, "cam-vp8")
        first, _ = alice.publisher.transceivers
        first.direction, first.local_track = Direction.INACTIVE, None
        await alice.describe(alice.publisher.create_offer())
        assert not house.participant("alice").publisher.publications


@pytest.mark.parametrize("sid", ["TR_VCunknown", "PA_nobody"])
async def test_a_codec_for_a_track_that_is_not_there_is_refused(autojump_clock, sid) -> None:
    async with open_house() as house, open_caller(house, "alice") as alice:
        await announce_backup(alice, sid, "cam-vp8")
        refusal = (await alice.receive("request_response")).request_response
        assert (refusal.reason, refusal.add_track.sid) == (RequestResponse.NOT_FOUND, sid)


async def test_sound_comes_in_one_codec(autojump_clock) -> None:
    async with open_house() as house, open_caller(house, "alice") as alice:
        info = await alice.publish("cam", "h264", "vp8")
        codecs = [SimulcastCodec(codec="opus", cid="mic")]
        await alice.send(add_track=AddTrackRequest(cid="mic", sid=info.sid, simulcast_codecs=codecs))
        refusal = (await alice.receive("request_response")).request_response
        assert refusal.reason == RequestResponse.UNSUPPORTED_TYPE


async def test_a_backup_that_turns_out_to_be_in_the_first_codec_is_not_taken(autojump_clock) -> None:
    h264_only = replace(RECEIVE, video=(H264,))
    async with open_house() as house, open_caller(house, "alice", h264_only) as alice:
        info = await alice.publish("cam", "h264", "vp8")
        await announce_backup(alice, info.sid, "cam-vp8")
        await describe_backup(alice, "cam-vp8")
        (publication,) = house.participant("alice").publisher.publications.values()
        assert publication.media.receivers == {"video/H264": publication.media.receiver}


async def test_an_announced_backup_is_not_taken_for_another_track(autojump_clock) -> None:
    async with open_house() as house, open_caller(house, "alice") as alice:
        info = await alice.publish("cam", "h264", "vp8")
        await announce_backup(alice, info.sid, "cam-vp8")
        await describe_backup(alice, "unannounced")
        (publication,) = house.participant("alice").publisher.publications.values()
        assert list(publication.media.receivers) == ["video/H264"]


async def test_a_codec_that_the_track_comes_in_is_confirmed_and_changes_nothing(autojump_clock) -> None:
    async with open_house() as house, open_caller(house, "alice") as alice:
        info = await alice.publish("cam", "h264", "vp8")
        await announce_backup(alice, info.sid, "again", codec="h264")
        published = (await alice.receive("track_published")).track_published
        assert published.track == info


async def test_an_announced_backup_is_forgotten_with_its_track(autojump_clock) -> None:
    async with open_house() as house, open_caller(house, "alice") as alice:
        info = await alice.publish("cam", "h264", "vp8")
        await announce_backup(alice, info.sid, "cam-vp8")
        await alice.receive("track_published")
        (first,) = alice.publisher.transceivers
        first.direction, first.local_track = Direction.INACTIVE, None
        await alice.describe(alice.publisher.create_offer())
        await describe_backup(alice, "cam-vp8")
        assert not house.participant("alice").publisher.publications


async def test_who_is_muted_is_asked_for_a_backup_when_it_is_unmuted(autojump_clock) -> None:
    async with open_house() as house, open_caller(house, "alice") as alice:
        info = await alice.publish("cam", "h264", "vp8")
        await alice.send(mute={"sid": info.sid, "muted": True})
        async with open_caller(house, "bob", VP8_ONLY) as bob:
            await subscribe(bob, house, "bob", info.sid)
            await trio.sleep(2 * LOWERING_SECONDS)
            await alice.send(mute={"sid": info.sid})
            await wait_asked(alice, info.sid, {"h264": False, "vp8": True})
