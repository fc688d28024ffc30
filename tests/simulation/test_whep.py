"""WHEP on a network in memory: sections that were offered once carry whatever a room has to show."""

from itertools import pairwise
from random import Random

import pytest
import trio

from rtp.sdp.codecs import MediaKind
from sfu.media.downtrack import Pause
from tests.rtp.sdp.peers import recorded
from tests.simulation.house import HTTP, House, open_house, wait_until
from tests.simulation.test_whip import BRIEF, open_camera_door, post
from tests.support.encodings import H264
from tests.support.packetizing import EncodedSource
from tests.support.packetizing_nal import H264_FORMAT
from triforium.testing import Link
from triforium.visitor import JoinRefusedError, PlainPeer, ReceivedPacket, ReceivedTrack, open_whep

AUDIO, VIDEO = MediaKind.AUDIO, MediaKind.VIDEO
OFFER = recorded("whip.chromium.client-offer").replace("a=sendonly", "a=recvonly")


def watch(house: House, identity: str = "tv", **options: object):
    """Let somebody watch for as long as the block lasts."""
    return open_whep(house.world(), HTTP, house.token(identity), **options)


def by_kind(peer: PlainPeer, kind: MediaKind) -> list[ReceivedTrack]:
    return [track for track in peer.received if track.kind is kind]


async def wait_flows(track: ReceivedTrack, packets: int = 20) -> None:
    start = track.packets
    await wait_until(lambda: track.packets >= start + packets)


def is_seamless(track: ReceivedTrack) -> bool:
    """Whether what came is one stream, whoever it was of."""
    statistics = track.statistics()
    return (statistics.lost, statistics.restarts, statistics.suspects, statistics.unknown_payloads) == (0, 0, 0, 0)


async def test_a_room_is_watched_by_nobody_that_it_knows_of(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice:
        await alice.publish_audio()
        await alice.publish_video()
        async with watch(house) as tv:
            for track in tv.received:
                await wait_flows(track)
                assert is_seamless(track)
            assert [track.kind for track in tv.received] == [AUDIO, VIDEO]
            assert "tv" not in alice.participants
            watcher = house.participant("tv")
            assert (watcher.is_hidden, watcher.grant.may_publish, watcher.grant.may_publish_data) == (
                True,
                False,
                False,
            )
        assert house.identities() == {"alice"}


async def test_a_watcher_may_be_seen(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice, watch(house, query="hidden=false"):
        await alice.wait_until(lambda: "tv" in alice.participants)


async def test_a_section_carries_one_track_after_the_other(autojump_clock) -> None:
    async with (
        open_house() as house,
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=False) as bob,
        watch(house, kinds=(VIDEO, AUDIO)) as tv,
    ):
        picture, sound = tv.received
        await trio.sleep(5)  # nothing is published yet
        for _ in range(2):
            for person in (alice, bob):
                video, audio = await person.publish_video(), await person.publish_audio()
                await wait_flows(picture)
                await wait_flows(sound)
                video.unpublish()
                audio.unpublish()
                await trio.sleep(1)
        assert is_seamless(picture)
        assert is_seamless(sound)
        assert picture.statistics().picture_gaps == 0
        assert picture.statistics().key_frames >= 4


async def test_time_goes_on_from_track_to_track_whatever_is_lost(autojump_clock) -> None:
    """Receivers show frames by their timestamps: these are to follow the clock, whoever's they are."""
    dice, came = Random(7), list[ReceivedPacket]()
    link = Link(delay_seconds=0.02, jitter_seconds=0.01, loss=0.05, reorder=0.01)
    async with (
        open_house(link=link) as house,
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=False) as bob,
        watch(house, kinds=(VIDEO,), watch=lambda _, packet: came.append(packet)) as tv,
    ):
        for _ in range(8):
            video = await dice.choice((alice, bob)).publish_video()
            await wait_flows(tv.received[0], dice.randint(10, 60))
            video.unpublish()
            await trio.sleep(dice.uniform(0.5, 40))
        await trio.sleep(3)
        statistics = tv.received[0].statistics()
        assert (statistics.restarts, statistics.suspects, statistics.unknown_payloads) == (0, 0, 0)
    came.sort(key=lambda packet: packet.sequence)
    for packet, following in pairwise(came):
        elapsed = following.arrived_at - packet.arrived_at
        step = ((following.timestamp - packet.timestamp + (1 << 31)) & 0xFFFF_FFFF) - (1 << 31)
        assert step > 0
        assert abs(step / 90_000 - elapsed) < 1.5, "what was lost comes a round trip or two later"


async def test_tracks_wait_for_a_section_that_is_free(autojump_clock) -> None:
    async with (
        open_house() as house,
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=True) as bob,
        watch(house) as tv,
    ):
        first = await alice.publish_video()
        await wait_flows(by_kind(tv, VIDEO)[0])
        second = await bob.publish_video()
        await trio.sleep(1)
        subscriptions = house.participant("tv").subscriber.subscriptions
        assert list(subscriptions) == [first.sid]
        first.unpublish()
        await wait_until(lambda: list(subscriptions) == [second.sid])
        await wait_flows(by_kind(tv, VIDEO)[0])


async def test_who_leaves_makes_room_for_others(autojump_clock) -> None:
    async with open_house() as house, house.visitor("bob", single=True) as bob, watch(house) as tv:
        picture = by_kind(tv, VIDEO)[0]
        async with house.visitor("alice", single=True) as alice:
            await alice.publish_video()
            await wait_flows(picture)
            await bob.publish_video()
        await wait_flows(picture)
        assert is_seamless(picture)


async def test_one_participant_is_watched_or_one_track(autojump_clock) -> None:
    async with (
        open_house() as house,
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=True) as bob,
        watch(house, "fan", query="participant=bob", kinds=(VIDEO, VIDEO)) as fan,
    ):
        wanted = await alice.publish_video()
        async with watch(house, query=f"track={wanted.sid}", kinds=(VIDEO, VIDEO)) as tv:
            other = await bob.publish_video()
            await wait_flows(tv.received[0])
            await wait_flows(fan.received[0])
            assert list(house.participant("tv").subscriber.subscriptions) == [wanted.sid]
            assert list(house.participant("fan").subscriber.subscriptions) == [other.sid]
            assert tv.received[1].packets == fan.received[1].packets == 0


async def test_sound_is_put_beside_the_picture_of_the_same_person(autojump_clock) -> None:
    async with (
        open_house() as house,
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=True) as bob,
        watch(house, kinds=(AUDIO, AUDIO, VIDEO, VIDEO)) as tv,
    ):
        first, last = await alice.publish_audio(), await bob.publish_video()
        await bob.publish_audio()
        await alice.publish_video()
        for track in tv.received:
            await wait_flows(track)
        subscriptions = house.participant("tv").subscriber.subscriptions
        streams = {sid: each.local_track.stream_id for sid, each in subscriptions.items()}
        publishers = {sid: each.track.publisher for sid, each in subscriptions.items()}
        assert streams[first.sid] != streams[last.sid]
        assert len(set(zip(streams.values(), publishers.values(), strict=True))) == 2


@pytest.mark.parametrize(("quality", "layer"), [("low", 0), ("medium", 1), ("high", 2), ("", 2)])
async def test_the_query_says_how_good_a_picture_is_wanted(autojump_clock, quality, layer) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice:
        video = await alice.publish_simulcast()
        async with watch(house, query=f"quality={quality}", kinds=(VIDEO,)) as tv:
            await wait_flows(tv.received[0])
            down_track = house.participant("tv").subscriber.subscriptions[video.sid].down_track
            await wait_until(lambda: down_track.statistics().layer == layer)


async def test_a_mute_pauses_what_a_section_carries(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice, watch(house) as tv:
        audio = await alice.publish_audio()
        sound = by_kind(tv, AUDIO)[0]
        await wait_flows(sound)
        audio.mute(muted=True)
        await trio.sleep(1)
        packets = sound.packets
        await trio.sleep(2)
        assert sound.packets == packets
        audio.unpublish()
        await alice.publish_audio()
        await wait_flows(sound)


async def test_lost_packets_are_sent_again_within_a_track_and_not_across(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice, watch(house, kinds=(VIDEO,)) as tv:
        video = await alice.publish_video()
        picture = tv.received[0]
        await wait_flows(picture)
        down_track = house.participant("tv").subscriber.subscriptions[video.sid].down_track
        last = down_track.row.last_sequence
        down_track.nack([last & 0xFFFF], trio.current_time())
        assert down_track.statistics().resends.resent == 1
        video.unpublish()
        await wait_until(lambda: Pause.IDLE.name in down_track.statistics().paused)
        await alice.publish_video()
        await wait_flows(picture)
        down_track.nack([last & 0xFFFF], trio.current_time())
        assert down_track.statistics().resends.resent == 0


async def test_a_session_of_whep_is_patched_and_deleted_like_one_of_whip(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice, watch(house) as tv:
        await alice.publish_video()
        picture = by_kind(tv, VIDEO)[0]
        await wait_flows(picture)
        assert tv.location.startswith("/whep/v1/PA_")
        assert (await tv.trickle()).status == 204
        host = house.new_host()
        assert (await tv.restart(host)).status == 200
        connection = house.participant("tv").subscriber.peer.connection
        await wait_until(lambda: connection.selected is not None and connection.selected.remote[0] == host)
        await wait_flows(picture)
        assert [(await tv.delete()).status for _ in range(2)] == [200, 404]


async def test_somebody_who_never_comes_to_watch_is_forgotten(autojump_clock) -> None:
    async with open_house(room=BRIEF) as house, open_camera_door(house) as http:
        answer = await post(http, house.token("tv"), OFFER, path="/whep/v1")
        assert answer.status == 201, answer.text
        assert answer.text.count("a=sendonly") == 2
        assert answer.text.count("a=msid:") == 2
        assert {"VP8/90000", "H264/90000"} <= set(answer.text.replace("\r\n", " ").split())
        await trio.sleep(16)
        assert house.identities() == set()


@pytest.mark.parametrize(
    ("offer", "query", "status", "reason"),
    [
        ("", "", 400, "begin with v=0"),
        (OFFER.replace("a=recvonly", "a=sendonly"), "", 400, "asks for nothing"),
        (OFFER.replace("opus/48000", "xy/48000").replace("PCM", "XY"), "", 406, "no codec"),
        (OFFER + "m=text 9 RTP/AVP 98\r\na=mid:9\r\n", "", 406, "neither audio nor video"),
        (OFFER, "?quality=best", 400, "low, medium or high"),
    ],
    ids=lambda value: str(value)[-30:],
)
async def test_what_cannot_be_shown_is_refused(autojump_clock, offer, query, status, reason) -> None:
    async with open_house(room=BRIEF) as house, open_camera_door(house) as http:
        answer = await post(http, house.token("tv"), offer, path=f"/whep/v1{query}")
        assert (answer.status, reason in answer.text) == (status, True), answer.text
        assert house.identities() == set()


async def test_who_offers_to_send_as_well_is_only_sent_to(autojump_clock) -> None:
    async with open_house(room=BRIEF) as house, house.visitor("alice", single=True) as alice:
        video = await alice.publish_video()
        async with open_camera_door(house) as http:
            offer = OFFER.replace("a=recvonly", "a=sendrecv")
            answer = await post(http, house.token("tv"), offer, path="/whep/v1")
        assert (answer.status, answer.text.count("a=sendonly")) == (201, 2)
        watcher = house.participant("tv")
        assert (list(watcher.subscriber.subscriptions), watcher.publisher.publications) == ([video.sid], {})


async def test_who_may_not_subscribe_does_not_watch(autojump_clock) -> None:
    async with open_house() as house:
        with pytest.raises(JoinRefusedError, match="403"):
            async with open_whep(house.world(), HTTP, house.token("tv", can_subscribe=False)):
                pass


def h264() -> EncodedSource:
    return EncodedSource(H264, 0, H264_FORMAT.pack)


async def test_a_section_carries_tracks_of_either_codec(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice, watch(house, kinds=(VIDEO,)) as tv:
        payload_types = set[int]()
        for media in (None, h264(), None):
            video = await alice.publish_video(media=media)
            await wait_flows(tv.received[0])
            payload_types.add(house.participant("tv").subscriber.subscriptions[video.sid].down_track.row.payload_type)
            video.unpublish()
            await trio.sleep(1)
        assert len(payload_types) == 2
        statistics = tv.received[0].statistics()
        assert (statistics.lost, statistics.restarts, statistics.suspects) == (0, 0, 0)


async def test_a_track_in_a_codec_that_no_section_has_is_passed_over(autojump_clock) -> None:
    offer = OFFER.replace("H264/90000", "XY/90000")
    async with open_house(room=BRIEF) as house, house.visitor("alice", single=True) as alice:
        async with open_camera_door(house) as http:
            assert (await post(http, house.token("tv"), offer, path="/whep/v1")).status == 201
        await alice.publish_video(media=h264())
        second = await alice.publish_video()
        await trio.sleep(1)
        assert list(house.participant("tv").subscriber.subscriptions) == [second.sid]
