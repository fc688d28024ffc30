"""Bringing somebody into another room, with the connections that it has."""

import json
from contextlib import asynccontextmanager

import pytest
import trio
from livekit.protocol.models import DisconnectReason, ParticipantInfo

from sfu.model import Identity, ParticipantSid, RoomName
from signaling import tokens
from tests.simulation.back_end import CallError, api_token, open_back_end
from tests.simulation.house import KEY, ROOM, SECRET, flows, open_house, sent, wait_until
from tests.simulation.test_data import ready
from tests.simulation.test_webhooks import Receiver, open_hooked
from tests.simulation.test_whip import whip
from triforium.config import RoomConfig
from triforium.testing.world import wall_clock

layouts = pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])

MOVE = {"room": ROOM, "identity": "alice", "destination_room": "dest"}


@asynccontextmanager
async def open_two_rooms(*, single: bool, **options: object):
    """Run a house with Alice and Bob in one room and Carol in the other, and connect a back end to it."""
    async with (
        open_house() as house,
        open_back_end(house) as api,
        house.visitor("alice", single=single, **options) as alice,
        house.visitor("bob", single=single) as bob,
        house.visitor("carol", single=single, room="dest") as carol,
    ):
        for each in (alice, bob, carol):
            await each.wait_connected()
        yield house, api, alice, bob, carol


@layouts
async def test_whoever_is_moved_goes_on_in_the_other_room_with_its_tracks(autojump_clock, single) -> None:
    async with open_two_rooms(single=single) as (house, api, alice, bob, carol):
        song, film = await alice.publish_audio(), await alice.publish_video()
        theirs, left_behind = await carol.publish_video(), await bob.publish_audio()
        await wait_until(flows(bob, song.sid))
        await wait_until(flows(bob, film.sid))
        await wait_until(flows(alice, left_behind.sid))
        sid = alice.me.sid

        await api.call("MoveParticipant", **MOVE)

        assert (house.identities(), house.identities("dest")) == ({"bob"}, {"alice", "carol"})
        packets = bob.received[song.sid].packets
        await bob.wait_until(lambda: "alice" not in bob.participants)
        gone = sent(bob, "update")[-1].participants[0]
        assert (gone.sid, gone.disconnect_reason) == (sid, DisconnectReason.MIGRATION)
        for visitor, track in ((carol, song), (carol, film), (alice, theirs)):
            await wait_until(flows(visitor, track.sid))
        info = carol.participants["alice"]
        assert info.sid != sid
        assert {track.sid for track in info.tracks} == {song.sid, film.sid}
        await trio.sleep(1)
        assert alice.subscribed == {theirs.sid}
        assert bob.subscribed == set()
        assert bob.received[song.sid].packets <= packets + 5, "what was under way"


@layouts
async def test_a_moved_client_is_told_where_it_is_before_anything_of_that_room(autojump_clock, single) -> None:
    async with (
        open_two_rooms(single=single) as (house, api, alice, _, carol),
        house.visitor("hidden", single=single, room="dest", grant={"hidden": True}),
    ):
        await carol.publish_audio()
        await api.call("MoveParticipant", **MOVE)
        await alice.wait_until(lambda: sent(alice, "room_moved"))
        (moved,) = sent(alice, "room_moved")
        assert (moved.room.name, moved.room.sid) == ("dest", house.room("dest").sid)
        assert (moved.participant.identity, moved.participant.state) == ("alice", ParticipantInfo.ACTIVE)
        assert [other.identity for other in moved.other_participants] == ["carol"]
        claims = tokens.verify(moved.token, {KEY: SECRET}, wall_clock())
        assert (claims.identity, claims.video.room) == ("alice", "dest")
        await trio.sleep(5)
        received = [message for message in alice.messages if not message.is_sent]
        at = [message.kind for message in received].index("room_moved")
        told = [
            [info.identity for info in each.content.update.participants] for each in received if each.kind == "update"
        ]
        first = len([each for each in received[:at] if each.kind == "update"])
        assert all("carol" not in names for names in told[:first])
        assert all("bob" not in names for names in told[first:])


@layouts
async def test_a_moved_session_is_resumed_where_it_is(autojump_clock, single) -> None:
    async with open_two_rooms(single=single, resumes=True) as (house, api, alice, _, carol):
        song = await alice.publish_audio()
        await api.call("MoveParticipant", **MOVE)
        await wait_until(flows(carol, song.sid))
        sid = house.participant("alice", room="dest").sid
        await alice.cut_signal()
        await alice.wait_until(lambda: alice.resumptions == 1)
        await wait_until(flows(carol, song.sid))
        assert house.participant("alice", room="dest").sid == sid
        assert house.identities() == {"bob"}


@layouts
async def test_data_goes_to_the_room_where_its_sender_is(autojump_clock, single) -> None:
    async with open_two_rooms(single=single) as (_, api, alice, bob, carol):
        await ready(alice, bob, carol)
        alice.data.publish(b"here")
        await bob.wait_until(lambda: bob.data.payloads == [b"here"])
        await api.call("MoveParticipant", **MOVE)
        alice.data.publish(b"there")
        await carol.wait_until(lambda: carol.data.payloads == [b"there"])
        carol.data.publish(b"welcome")
        await alice.wait_until(lambda: alice.data.payloads == [b"welcome"])
        assert bob.data.payloads == [b"here"]


@layouts
async def test_there_and_back_and_there_again_in_one_breath(autojump_clock, single) -> None:
    async with open_two_rooms(single=single) as (house, api, alice, bob, carol):
        song, theirs = await alice.publish_audio(), await bob.publish_video()
        await wait_until(flows(bob, song.sid))
        admin = api_token(room_admin=True, room="dest", destination_room=ROOM)
        back = json.dumps({"room": "dest", "identity": "alice", "destination_room": ROOM}).encode()
        for _ in range(2):
            await api.call("MoveParticipant", **MOVE)
            answer = await api.post("RoomService/MoveParticipant", back, token=admin)
            assert answer.status == 200
        assert (house.identities(), house.identities("dest")) == ({"alice", "bob"}, {"carol"})
        await wait_until(flows(bob, song.sid))
        await wait_until(flows(alice, theirs.sid))
        assert "alice" not in carol.participants
        assert len(sent(alice, "room_moved")) == 4


async def test_webhooks_of_both_rooms_tell_a_move_in_order(autojump_clock) -> None:
    receiver = Receiver()
    async with (
        open_hooked(receiver) as house,
        open_back_end(house) as api,
        house.visitor("alice", single=True) as alice,
    ):
        await alice.wait_connected()
        song = await alice.publish_audio()
        old = alice.me.sid
        await api.call("MoveParticipant", **MOVE)
        await trio.sleep(1)
        new = alice.me.sid
        told = {
            name: [
                (event.event, event.participant.sid, event.track.sid)
                for event in receiver.taken
                if event.room.name == name
            ]
            for name in (ROOM, "dest")
        }
    assert told == {
        ROOM: [
            ("room_started", "", ""),
            ("participant_joined", old, ""),
            ("track_published", old, song.sid),
            ("track_unpublished", old, song.sid),
            ("participant_left", old, ""),
        ],
        "dest": [("room_started", "", ""), ("participant_joined", new, ""), ("track_published", new, song.sid)],
    }


async def test_the_room_left_behind_closes_and_takes_nobody_with_it(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_back_end(house) as api,
        house.visitor("alice", single=True) as alice,
        house.visitor("carol", single=True, room="dest") as carol,
    ):
        await alice.wait_connected()
        song = await alice.publish_audio()
        await api.call("MoveParticipant", **MOVE)
        await house.room().wait_closed()
        await wait_until(flows(carol, song.sid))


@pytest.mark.parametrize(
    ("config", "code"),
    [
        (RoomConfig(max_participants=1), "resource_exhausted"),
        (RoomConfig(duplicate_identity="reject"), "already_exists"),
    ],
)
async def test_whoever_cannot_come_in_stays_where_it_is(autojump_clock, config, code) -> None:
    async with (
        open_house(room=config) as house,
        open_back_end(house) as api,
        house.visitor("alice", single=True) as alice,
        house.visitor("alice" if code == "already_exists" else "carol", single=True, room="dest") as other,
    ):
        await alice.wait_connected()
        await other.wait_connected()
        with pytest.raises(CallError) as refusal:
            await api.call("MoveParticipant", **MOVE)
        assert refusal.value.code == code
        assert house.identities() == {"alice"}
        assert (house.participant("alice").state, other.left) == (ParticipantInfo.ACTIVE, None)


async def test_whoever_is_moved_replaces_who_has_its_identity_there(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_back_end(house) as api,
        house.visitor("alice", single=True) as alice,
        house.visitor("alice", single=True, room="dest") as double,
    ):
        await alice.wait_connected()
        await double.wait_connected()
        await api.call("MoveParticipant", **MOVE)
        await double.wait_over()
        assert double.disconnect_reason == DisconnectReason.DUPLICATE_IDENTITY
        assert house.participant("alice", room="dest").sid != double.me.sid


async def test_who_came_without_signalling_is_not_moved(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_back_end(house) as api,
        whip(house, "alice") as alice,
        house.visitor("carol", single=True, room="dest"),
    ):
        await alice.connected.wait()
        with pytest.raises(CallError) as refusal:
            await api.call("MoveParticipant", **MOVE)
        assert refusal.value.code == "failed_precondition"
        assert house.identities() == {"alice"}


async def test_nobody_is_moved_into_a_room_that_nobody_may_make(autojump_clock) -> None:
    async with open_house(room=RoomConfig(auto_create=False)) as house, open_back_end(house) as api:
        await api.call("CreateRoom", name=ROOM)
        async with house.visitor("alice", single=True) as alice:
            await alice.wait_connected()
            with pytest.raises(CallError) as refusal:
                await api.call("MoveParticipant", **MOVE)
            assert refusal.value.code == "not_found"
            assert house.identities() == {"alice"}


async def test_a_session_that_was_moved_is_found_with_a_token_for_a_room_that_it_was_in_and_no_other(
    autojump_clock,
) -> None:
    async with open_two_rooms(single=True) as (house, api, alice, _bob, _carol):
        sid, name, find = ParticipantSid(alice.me.sid), Identity("alice"), house.server.rooms.find_session
        await api.call("MoveParticipant", **MOVE)
        moved = house.participant("alice", room="dest")
        assert find(RoomName(ROOM), name, sid) is moved
        assert find(RoomName("of a namesake"), name, sid) is None
