"""Showing what somebody publishes in another room too, by a stand-in."""

import pytest
import trio
from livekit.protocol.models import ParticipantInfo, TrackInfo
from livekit.protocol.rtc import (
    MuteTrackRequest,
    SignalRequest,
    SubscriptionPermission,
    UpdateParticipantMetadata,
)

from sfu.errors import CloseReason
from tests.simulation.back_end import CallError, api_token, open_back_end
from tests.simulation.house import ROOM, flows, open_house, sent, wait_until
from tests.simulation.test_moving import MOVE as FORWARD
from tests.simulation.test_moving import layouts, open_two_rooms
from tests.simulation.test_webhooks import Receiver, open_hooked
from triforium.visitor import Visitor


def tracks(visitor: Visitor, identity: str = "alice") -> list[TrackInfo]:
    return list(visitor.participants[identity].tracks) if identity in visitor.participants else []


@layouts
async def test_tracks_are_in_both_rooms_and_their_publisher_in_its_own(autojump_clock, single) -> None:
    async with open_two_rooms(single=single) as (house, api, alice, bob, carol):
        song = await alice.publish_audio()
        await api.call("ForwardParticipant", **FORWARD)
        assert (house.identities(), house.identities("dest")) == ({"alice", "bob"}, {"alice", "carol"})
        await wait_until(flows(carol, song.sid))
        await wait_until(flows(bob, song.sid))
        info = carol.participants["alice"]
        assert list(info.kind_details) == [ParticipantInfo.FORWARDED]
        assert (info.state, info.sid) == (ParticipantInfo.ACTIVE, alice.me.sid)
        assert not sent(alice, "room_moved")
        assert "carol" not in alice.participants


@layouts
async def test_a_stand_in_publishes_mutes_and_says_what_its_original_does(autojump_clock, single) -> None:
    async with open_two_rooms(single=single, grant={"can_update_own_metadata": True}) as (_, api, alice, _bob, carol):
        await api.call("ForwardParticipant", **FORWARD)
        film = await alice.publish_video()
        await wait_until(flows(carol, film.sid))
        alice.send(SignalRequest(mute=MuteTrackRequest(sid=film.sid, muted=True)))
        await carol.wait_until(lambda: [track.muted for track in tracks(carol)] == [True])
        alice.send(SignalRequest(mute=MuteTrackRequest(sid=film.sid, muted=False)))
        await wait_until(flows(carol, film.sid))
        alice.send(SignalRequest(update_metadata=UpdateParticipantMetadata(name="Alice A.")))
        await carol.wait_until(lambda: carol.participants["alice"].name == "Alice A.")
        film.unpublish()
        await carol.wait_until(lambda: not tracks(carol) and not carol.subscribed)


async def test_who_may_have_a_forwarded_track_is_for_its_publisher_to_say(autojump_clock) -> None:
    async with open_two_rooms(single=True) as (_, api, alice, _bob, carol):
        song = await alice.publish_audio()
        await api.call("ForwardParticipant", **FORWARD)
        await wait_until(flows(carol, song.sid))
        alice.send(SignalRequest(subscription_permission=SubscriptionPermission(all_participants=False)))
        await carol.wait_until(lambda: song.sid not in carol.subscribed)


async def test_a_publisher_is_told_that_its_forwarded_track_is_heard(autojump_clock) -> None:
    async with open_house() as house, open_back_end(house) as api, house.visitor("alice", single=True) as alice:
        await alice.wait_connected()
        song = await alice.publish_audio()
        await api.call("ForwardParticipant", **FORWARD)
        async with house.visitor("carol", single=True, room="dest"):
            await alice.wait_until(lambda: [each.track_sid for each in sent(alice, "track_subscribed")] == [song.sid])


@pytest.mark.parametrize("ends_by", ["leaving", "vanishing", "moving", "deletion of the room"])
async def test_a_stand_in_leaves_with_its_original(autojump_clock, ends_by) -> None:
    async with open_two_rooms(single=True) as (house, api, alice, _, carol):
        song = await alice.publish_audio()
        await api.call("ForwardParticipant", **FORWARD)
        await wait_until(flows(carol, song.sid))
        match ends_by:
            case "leaving":
                await alice.leave()
            case "vanishing":
                alice.vanish()
            case "moving":
                api.token = api_token(room_admin=True, room=ROOM, destination_room="third")
                await api.call("MoveParticipant", **(FORWARD | {"destination_room": "third"}))
            case _:
                await api.call("DeleteRoom", room=ROOM)
        await carol.wait_until(lambda: "alice" not in carol.participants)
        assert house.identities("dest") == {"carol"}


async def test_a_stand_in_that_is_removed_costs_its_original_nothing(autojump_clock) -> None:
    async with open_two_rooms(single=True) as (house, api, alice, bob, carol):
        song = await alice.publish_audio()
        await api.call("ForwardParticipant", **FORWARD)
        await wait_until(flows(carol, song.sid))
        house.room("dest").remove(house.participant("alice", room="dest"), CloseReason.PARTICIPANT_REMOVED)
        await carol.wait_until(lambda: "alice" not in carol.participants and not carol.subscribed)
        await wait_until(flows(bob, song.sid))
        await api.call("ForwardParticipant", **FORWARD)
        await wait_until(flows(carol, song.sid))


async def test_who_is_forwarded_can_follow_in_person(autojump_clock) -> None:
    async with open_two_rooms(single=True) as (house, api, alice, _, carol):
        song = await alice.publish_audio()
        await api.call("ForwardParticipant", **FORWARD)
        await wait_until(flows(carol, song.sid))
        await api.call("MoveParticipant", **FORWARD)
        await wait_until(flows(carol, song.sid))
        assert (house.identities(), house.identities("dest")) == ({"bob"}, {"alice", "carol"})
        assert carol.participants["alice"].kind_details == []
        assert "bob" not in alice.participants


async def test_to_forward_twice_is_to_forward_once(autojump_clock) -> None:
    async with open_two_rooms(single=True) as (house, api, *_):
        await api.call("ForwardParticipant", **FORWARD)
        stand_in = house.participant("alice", room="dest")
        await api.call("ForwardParticipant", **FORWARD)
        assert house.participant("alice", room="dest") is stand_in


async def test_a_stand_in_does_not_drive_out_who_is_there_in_person(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_back_end(house) as api,
        house.visitor("alice", single=True) as alice,
        house.visitor("alice", single=True, room="dest") as double,
    ):
        await alice.wait_connected()
        await double.wait_connected()
        with pytest.raises(CallError) as refusal:
            await api.call("ForwardParticipant", **FORWARD)
        assert (refusal.value.code, double.left) == ("already_exists", None)


async def test_what_is_asked_of_a_stand_in_is_to_be_asked_of_its_original(autojump_clock) -> None:
    async with open_two_rooms(single=True) as (_, api, *_people):
        await api.call("ForwardParticipant", **FORWARD)
        api.token = api_token(room_admin=True, room="dest", destination_room="third")
        calls = {
            "MutePublishedTrack": {"track_sid": "TR_x", "muted": True},
            "UpdateParticipant": {"metadata": "m"},
            "UpdateSubscriptions": {"track_sids": ["TR_x"]},
            "MoveParticipant": {"destination_room": "third"},
            "ForwardParticipant": {"destination_room": "third"},
        }
        for method, fields in calls.items():
            with pytest.raises(CallError) as refusal:
                await api.call(method, room="dest", identity="alice", **fields)
            assert refusal.value.code == "failed_precondition"
        assert (await api.call("GetParticipant", room="dest", identity="alice"))["kind_details"] == ["FORWARDED"]
        await api.call("RemoveParticipant", room="dest", identity="alice")


async def test_webhooks_tell_of_a_stand_in_as_of_anybody(autojump_clock) -> None:
    receiver = Receiver()
    async with open_hooked(receiver) as house, open_back_end(house) as api:
        async with house.visitor("alice", single=True) as alice:
            await alice.wait_connected()
            song = await alice.publish_audio()
            await api.call("ForwardParticipant", **FORWARD)
            await trio.sleep(1)
        await trio.sleep(1)
        told = [(event.event, event.track.sid) for event in receiver.taken if event.room.name == "dest"]
    assert told == [
        ("room_started", ""),
        ("participant_joined", ""),
        ("track_published", song.sid),
        ("track_unpublished", song.sid),
        ("participant_left", ""),
    ]


@layouts
async def test_a_track_that_was_wanted_before_it_was_there_comes_when_it_is(autojump_clock, single) -> None:
    async with (
        open_house() as house,
        open_back_end(house) as api,
        house.visitor("alice", single=single) as alice,
        house.visitor("carol", single=single, room="dest", auto_subscribe=False) as carol,
    ):
        song, film = await alice.publish_audio(), await alice.publish_video()
        await carol.wait_connected()
        carol.subscribe(song.sid)
        await trio.sleep(5)
        await api.call("ForwardParticipant", **FORWARD)
        await carol.wait_until(flows(carol, song.sid))
        assert carol.subscribed == {song.sid}, f"and not {film.sid}"
