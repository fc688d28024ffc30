"""Webhooks: every event of a room, in order, signed; and no receiver that can delay a room."""

import json
from collections.abc import Mapping
from itertools import pairwise

import pytest
import trio
from google.protobuf.json_format import Parse
from livekit.protocol.models import DisconnectReason, ParticipantInfo
from livekit.protocol.webhook import WebhookEvent

from signaling.webhooks import MAX_QUEUED_EVENTS
from tests.simulation.back_end import open_back_end
from tests.simulation.house import ROOM, flows, wait_until
from tests.simulation.rawsocket import open_raw_client
from tests.simulation.receiver import URL, Receiver, open_hooked
from triforium.config import RoomConfig
from triforium.testing.world import wall_clock


async def test_a_rooms_life_is_told_in_order(autojump_clock) -> None:
    receiver = Receiver()
    async with (
        open_hooked(receiver) as house,
        open_back_end(house) as api,
        house.visitor("alice", single=True) as alice,
    ):
        await alice.wait_connected()
        audio = await alice.publish_audio()
        async with house.visitor("bob", single=False) as bob:
            await bob.wait_until(flows(bob, audio.sid))
        await wait_until(lambda: house.identities() == {"alice"})
        await api.call("RemoveParticipant", room=ROOM, identity="alice")
    assert receiver.names == [
        "room_started",
        "participant_joined",
        "track_published",
        "participant_joined",
        "participant_left",
        "track_unpublished",
        "participant_left",
        "room_finished",
    ]
    started, joined, published, _, left, unpublished, removed, finished = receiver.taken
    assert (started.room.name, started.room.empty_timeout) == (ROOM, 300)
    assert (joined.participant.identity, joined.participant.state) == ("alice", ParticipantInfo.ACTIVE)
    assert joined.room.num_participants == 1
    for event in (published, unpublished):
        assert event.track.sid == audio.sid
        assert [field.name for field, _ in event.room.ListFields()] == ["sid", "name"]
        assert [field.name for field, _ in event.participant.ListFields()] == ["sid", "identity"]
    assert left.participant.disconnect_reason == DisconnectReason.CLIENT_INITIATED
    assert removed.participant.state == ParticipantInfo.DISCONNECTED
    assert removed.participant.disconnect_reason == DisconnectReason.PARTICIPANT_REMOVED
    assert (finished.room.sid, finished.room.num_participants) == (started.room.sid, 0)
    assert len({event.id for event in receiver.taken}) == 8
    assert all(event.id.startswith("EV_") for event in receiver.taken)
    assert finished.created_at - removed.created_at == 20  # the departure timeout


async def test_what_is_posted_is_camel_case_without_defaults(autojump_clock) -> None:
    bodies = []

    async def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
        await trio.lowlevel.checkpoint()
        bodies.append(json.loads(body))
        return 200

    receiver = Receiver()
    receiver.post = post
    async with open_hooked(receiver) as house, open_back_end(house) as api:
        await api.call("CreateRoom", name=ROOM)
        await api.call("DeleteRoom", room=ROOM)
    assert [body["event"] for body in bodies] == ["room_started", "room_finished"]
    assert bodies[0]["room"]["creationTime"] == bodies[0]["createdAt"] == str(int(wall_clock()))
    assert "numParticipants" not in bodies[0]["room"]


async def test_who_leaves_before_media_could_flow_has_not_joined(autojump_clock) -> None:
    receiver = Receiver()
    async with open_hooked(receiver) as house:
        async with open_raw_client(house, house.token("alice")) as alice:
            await alice.receive("join")
        await wait_until(lambda: not house.identities())
    assert receiver.names == ["room_started", "participant_connection_aborted", "room_finished"]
    assert receiver.taken[1].participant.identity == "alice"


async def test_tracks_come_with_the_whole_room_if_that_is_configured(autojump_clock) -> None:
    receiver = Receiver()
    room = RoomConfig(enable_full_room_in_webhooks=True)
    async with open_hooked(receiver, room=room) as house, house.visitor("alice", single=True) as alice:
        await alice.publish_audio()
    published = next(event for event in receiver.taken if event.event == "track_published")
    assert (published.room.empty_timeout, published.room.num_publishers) == (300, 1)


async def make_rooms(house, *names: str) -> None:
    async with open_back_end(house) as api:
        for name in names:
            await api.call("CreateRoom", name=name)
            await api.call("DeleteRoom", room=name)


async def test_what_is_not_taken_is_posted_again_with_the_same_id_after_growing_pauses(autojump_clock) -> None:
    receiver = Receiver(503, None, 429, 500)
    async with open_hooked(receiver) as house:
        await make_rooms(house, ROOM)
        await wait_until(lambda: len(receiver.taken) == 2)
    times = [at for at, _, event in receiver.posts if event.event == "room_started"]
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([1, 2, 4, 8])
    assert len({event.id for _, _, event in receiver.posts if event.event == "room_started"}) == 1
    assert receiver.names == ["room_started", "room_finished"]


async def test_what_is_never_taken_is_dropped_and_what_waited_too_long_behind_it(autojump_clock, caplog) -> None:
    receiver = Receiver(then=1e9)  # it hangs
    async with open_hooked(receiver) as house:
        await make_rooms(house, ROOM)
        await trio.sleep(120)
        assert [event.event for _, _, event in receiver.posts] == ["room_started"] * 5
        assert "an event was not delivered to back-end.test: the receiver did not take it" in caplog.text


async def test_what_is_refused_is_not_posted_again(autojump_clock, caplog) -> None:
    receiver = Receiver(400, 301)
    async with open_hooked(receiver) as house:
        await make_rooms(house, ROOM, ROOM)
    assert [event.event for _, _, event in receiver.posts] == ["room_started", "room_finished"] * 2
    assert receiver.names == ["room_started", "room_finished"]
    assert "the receiver refused it" in caplog.text


async def test_a_hanging_receiver_delays_neither_rooms_nor_others(autojump_clock) -> None:
    class TwoFaced(Receiver):
        async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
            if "slow" in url or Parse(body, WebhookEvent()).room.name == "hung":
                await trio.sleep_forever()
            return await super().post(url, body, headers)

    receiver = TwoFaced()
    async with open_hooked(receiver, "https://slow.test/", URL) as house:
        started_at = trio.current_time()
        await make_rooms(house, "hung", ROOM)
        await wait_until(lambda: len(receiver.taken) == 2)
        assert {url for _, url, _ in receiver.posts} == {URL}
        assert trio.current_time() - started_at < 1


async def test_a_full_outbox_keeps_the_older_events(autojump_clock, caplog) -> None:
    receiver = Receiver(9.5)
    async with open_hooked(receiver) as house:
        await make_rooms(house, *[ROOM] * (MAX_QUEUED_EVENTS // 2 + 5))
        assert "its outbox was full" in caplog.text
        await wait_until(lambda: len(receiver.taken) == MAX_QUEUED_EVENTS + 1)
    assert receiver.names == ["room_started", "room_finished"] * (MAX_QUEUED_EVENTS // 2) + ["room_started"]


async def test_a_fault_in_posting_costs_one_outbox_and_is_logged(autojump_clock) -> None:
    async def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
        await trio.lowlevel.checkpoint()
        if Parse(body, WebhookEvent()).room.name == "broken":
            raise ZeroDivisionError
        return await receiver_post(url, body, headers)

    receiver = Receiver()
    receiver_post = receiver.post
    receiver.post = post
    async with open_hooked(receiver) as house:
        await make_rooms(house, "broken", ROOM)
        await wait_until(lambda: len(receiver.taken) == 2)
        assert house.take_errors()


async def test_a_server_that_stops_still_tells_of_its_rooms_ends(autojump_clock) -> None:
    receiver = Receiver()
    async with open_hooked(receiver) as house, house.visitor("alice", single=True) as alice:
        await alice.wait_connected()
        house.stop()
        await wait_until(lambda: alice.left is not None)
        await trio.sleep(1)
        assert receiver.names[-2:] == ["participant_left", "room_finished"]
