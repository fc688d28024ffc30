"""What everybody is told of everybody: never an older state after a newer, nobody's end twice, no message too long."""

from collections import Counter

import pytest
import trio
from livekit.protocol.models import AudioTrackFeature, DisconnectReason, ParticipantInfo, TrackInfo, TrackSource
from livekit.protocol.rtc import (
    SignalRequest,
    UpdateLocalAudioTrack,
    UpdateLocalVideoTrack,
    UpdateParticipantMetadata,
)

from sfu.room.projections import MAX_UPDATE_BYTES
from sfu.room.updates import UPDATE_INTERVAL_SECONDS
from tests.simulation.back_end import open_back_end
from tests.simulation.house import ROOM, House, open_call, open_house, sent
from triforium.visitor import Visitor

DISCONNECTED = ParticipantInfo.State.DISCONNECTED

layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])


def told(visitor: Visitor) -> list[ParticipantInfo]:
    """Return all that a visitor was told of people, in order, from what the join response said on."""
    return [*visitor.join.other_participants, *(info for each in sent(visitor, "update") for info in each.participants)]


async def test_what_publishers_say_of_their_tracks_later_is_told_to_everybody(autojump_clock) -> None:
    async with open_call(single=True) as (_house, alice, bob):
        sound, picture = await alice.publish_audio(), await alice.publish_video()
        await bob.wait_until(lambda: bob.subscribed == {sound.sid, picture.sid})
        features = [AudioTrackFeature.TF_STEREO, AudioTrackFeature.TF_ENHANCED_NOISE_CANCELLATION]
        alice.send(SignalRequest(update_audio_track=UpdateLocalAudioTrack(track_sid=sound.sid, features=features * 2)))
        alice.send(SignalRequest(update_video_track=UpdateLocalVideoTrack(track_sid=picture.sid, width=48, height=64)))

        def tracks_of_alice() -> dict[str, TrackInfo]:
            return {track.sid: track for track in bob.participants["alice"].tracks}

        await bob.wait_until(lambda: tracks_of_alice()[picture.sid].width == 48)
        assert tracks_of_alice()[picture.sid].height == 64
        assert list(tracks_of_alice()[sound.sid].audio_features) == features
        assert tracks_of_alice()[sound.sid].stereo


@layouts
async def test_the_versions_of_somebodys_news_never_go_back(autojump_clock, single) -> None:
    async with (
        open_house() as house,
        house.visitor("bob", single=single) as bob,
        house.visitor("alice", single=single, resumes=True, grant={"can_update_own_metadata": True}) as alice,
    ):
        await bob.wait_connected()
        for turn in range(3):
            publication = await alice.publish_audio(source=TrackSource.SCREEN_SHARE_AUDIO)
            publication.mute(True)
            alice.send(SignalRequest(update_metadata=UpdateParticipantMetadata(name=f"alice {turn}", request_id=turn)))
            await alice.cut_signal()
            await alice.wait_until(lambda turn=turn: alice.resumptions == turn + 1)
            publication.unpublish()
            await trio.sleep(0.5)
        for visitor, sid in ((bob, alice.me.sid), (alice, alice.me.sid), (alice, bob.me.sid)):
            versions = [info.version for info in told(visitor) if info.sid == sid]
            assert len(set(versions)) > 1
            assert versions == sorted(versions)


@layouts
async def test_who_is_gone_is_told_of_once(autojump_clock, single) -> None:
    async with open_house() as house, house.visitor("alice", single=single) as alice:
        async with house.visitor("bob", single=single), house.visitor("carol", single=single) as carol:
            await carol.publish_audio()
            await alice.wait_until(lambda: set(alice.participants) == {"bob", "carol"})
        await trio.sleep(2 * UPDATE_INTERVAL_SECONDS)
        ends = Counter(info.identity for info in told(alice) if info.state == DISCONNECTED)
        assert ends == {"bob": 1, "carol": 1}


@layouts
async def test_a_replaced_session_is_never_told_of_after_its_successor(autojump_clock, single) -> None:
    async with (
        open_house() as house,
        house.visitor("alice", single=single) as alice,
        house.visitor("bob", single=single) as first,
    ):
        await first.publish_audio()
        await alice.wait_until(lambda: alice.participants.get("bob") == first.me)
        async with house.visitor("bob", single=single) as second:
            await second.wait_connected()
            await alice.wait_until(lambda: alice.participants["bob"].sid == second.me.sid)
            await trio.sleep(2 * UPDATE_INTERVAL_SECONDS)
            sids = [info.sid for info in told(alice) if info.identity == "bob"]
            assert sids == sorted(sids, key=[first.me.sid, second.me.sid].index)
            assert all(info.disconnect_reason != DisconnectReason.DUPLICATE_IDENTITY for info in told(alice))


async def test_who_is_hidden_is_told_of_to_nobody_else_whatever_it_does(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True, resumes=True) as alice:
        grant = {"hidden": True, "can_update_own_metadata": True}
        async with house.visitor("ghost", single=True, grant=grant) as ghost:
            await ghost.publish_audio()
            ghost.send(SignalRequest(update_metadata=UpdateParticipantMetadata(name="boo", request_id=1)))
            await ghost.wait_until(lambda: ghost.me.name == "boo")
            await alice.cut_signal()
            await alice.wait_until(lambda: alice.resumptions == 1)
            async with house.visitor("carol", single=True) as carol:
                await carol.wait_connected()
                assert "ghost" not in {info.identity for info in told(carol)}
        await trio.sleep(2 * UPDATE_INTERVAL_SECONDS)
        assert "ghost" not in {info.identity for info in told(alice)}
        assert not any(each.kind == "track_subscribed" for each in ghost.messages if not each.is_sent)


async def test_who_comes_finds_everybody_as_they_are_just_then(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_back_end(house) as api,
        house.visitor("alice", single=True) as alice,
        house.visitor("ghost", single=True, grant={"hidden": True}) as ghost,
    ):
        async with house.visitor("bob", single=False) as bob:
            for visitor in (alice, ghost, bob):
                await visitor.wait_connected()
            await alice.publish_audio()
            await expect_to_find(house, {"alice": alice, "bob": bob})
            await api.call("UpdateParticipant", room=ROOM, identity="ghost", permission={"can_subscribe": True})
            await api.call("UpdateParticipant", room=ROOM, identity="bob", permission={"hidden": True})
            await expect_to_find(house, {"alice": alice, "ghost": ghost})
            async with house.visitor("alice", single=True) as again:
                await again.wait_connected()
                await expect_to_find(house, {"alice": again, "ghost": ghost})
        await trio.sleep(1)
        await expect_to_find(house, {"ghost": ghost})


async def expect_to_find(house: House, people: dict[str, Visitor]) -> None:
    """See that somebody who comes now is told of these people and no others, and all that each knows of itself."""
    await trio.sleep(2 * UPDATE_INTERVAL_SECONDS)
    async with house.visitor("newcomer", single=True) as newcomer:
        found = {info.identity: info for info in newcomer.join.other_participants}
        assert found == {identity: visitor.me for identity, visitor in people.items()}


async def come(house: House, nursery: trio.Nursery, identity: str, metadata: str) -> None:
    async def stay(*, task_status: trio.TaskStatus[None]) -> None:
        async with house.visitor(identity, single=True, claims={"metadata": metadata}) as visitor:
            await visitor.wait_connected()
            task_status.started()
            await trio.sleep_forever()

    await nursery.start(stay)


async def test_news_of_many_go_in_several_messages_when_one_would_be_long(autojump_clock) -> None:
    people = {f"person-{number}": "x" * (MAX_UPDATE_BYTES // 3) for number in range(7)}
    async with (
        open_house() as house,
        house.visitor("alice", single=True, resumes=True) as alice,
        trio.open_nursery() as nursery,
    ):
        await alice.wait_connected()
        for identity, metadata in people.items():
            await come(house, nursery, identity, metadata)
        await alice.wait_until(lambda: people.keys() <= alice.participants.keys())
        await alice.cut_signal()
        await alice.wait_until(lambda: alice.resumptions == 1)
        await trio.sleep(1)
        sizes = [each.ByteSize() for each in sent(alice, "update")]
        assert max(sizes) <= MAX_UPDATE_BYTES * 1.01
        assert sum(size > MAX_UPDATE_BYTES / 2 for size in sizes) >= 6, "on coming, and on her resuming"
        nursery.cancel_scope.cancel("seen")
