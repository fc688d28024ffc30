"""Who was removed from a room, or finds its identity taken: when it can come back, and when not."""

import pytest
import trio
from livekit.protocol.models import DisconnectReason
from livekit.protocol.rtc import LeaveRequest, SignalRequest

from sfu.model import Claims, Identity, RoomName
from sfu.room.revocations import MAX_REVOCATIONS, Revocations
from tests.simulation.house import HTTP, ROOM, House, open_house, sent, wait_until
from tests.simulation.rawsocket import open_raw_client
from tests.simulation.test_api import open_api, refused
from triforium.config import RoomConfig
from triforium.testing.world import wall_clock
from triforium.visitor import JoinRefusedError, open_visitor

REVOKED = (401, "invalid token, error: token has been revoked")
ALICE = {"room": ROOM, "identity": "alice"}


async def come_with(house: House, token: str) -> tuple[int, str] | None:
    """Try to join; return why not."""
    try:
        async with open_visitor(house.world(), HTTP, token, single_connection=True) as visitor:
            await visitor.wait_connected()
    except JoinRefusedError as refusal:
        return refusal.status, refusal.body
    return None


async def test_whoever_is_removed_needs_a_new_token_if_that_is_configured(autojump_clock) -> None:
    async with open_api(room=RoomConfig(removal_revokes=True)) as (house, api), house.visitor("bob", single=True):
        first = house.token("alice")
        async with open_visitor(house.world(), HTTP, first, single_connection=True) as alice:
            await alice.wait_connected()
            await trio.sleep(2)
            await api.call("RemoveParticipant", **ALICE)
            await wait_until(lambda: alice.left is not None)
            refreshed = alice.token
        for token in (first, refreshed):
            assert await come_with(house, token) == REVOKED
        await trio.sleep(1)
        assert await come_with(house, house.token("alice")) is None
        assert await come_with(house, house.token("carol")) is None


async def test_a_request_says_until_when_tokens_are_revoked_of_who_is_there_or_not(autojump_clock) -> None:
    async with open_api() as (house, api), house.visitor("bob", single=True):
        early = house.token("alice")
        await trio.sleep(8)
        late = house.token("alice")
        until = int(wall_clock()) - 4
        refusal = await refused(api, "RemoveParticipant", **ALICE, revoke_token_ts=until)
        assert refusal.code == "not_found"
        assert await come_with(house, early) == REVOKED
        assert await come_with(house, late) is None
        assert await come_with(house, house.token("alice", room="elsewhere")) is None


async def test_without_either_a_removed_participant_may_come_back_with_its_token(autojump_clock) -> None:
    async with open_api() as (house, api), house.visitor("bob", single=True):
        token = house.token("alice")
        async with open_visitor(house.world(), HTTP, token, single_connection=True) as alice:
            await alice.wait_connected()
            await api.call("RemoveParticipant", **ALICE)
        assert await come_with(house, token) is None


def claims(**said: object) -> Claims:
    return Claims(identity=Identity("alice"), **said)


def test_a_token_is_as_old_as_it_says_it_was_issued_or_else_valid_from() -> None:
    revocations, room = Revocations(), RoomName("lobby")
    revocations.revoke(room, Identity("alice"), 100)
    revocations.revoke(room, Identity("alice"), 50)
    for said, covered in (
        ({}, True),
        ({"not_before": 100}, True),
        ({"not_before": 101}, False),
        ({"not_before": 0, "issued_at": 101}, False),
        ({"not_before": 101, "issued_at": 100}, True),
    ):
        assert revocations.cover(room, claims(**said)) is covered


def test_the_oldest_revocations_are_forgotten() -> None:
    revocations, room = Revocations(), RoomName("lobby")
    for number in range(MAX_REVOCATIONS + 1):
        revocations.revoke(room, Identity(str(number)), 100)
    assert not revocations.cover(room, Claims(identity=Identity("0")))
    assert revocations.cover(room, Claims(identity=Identity("1")))


async def test_a_newcomer_of_the_same_identity_is_turned_away_if_that_is_configured(autojump_clock) -> None:
    taken = (403, "a participant with the same identity is already in the room")
    async with open_api(room=RoomConfig(duplicate_identity="reject")) as (house, _api):
        async with house.visitor("alice", single=True) as alice:
            await alice.wait_connected()
            assert await come_with(house, house.token("alice")) == taken
            assert alice.left is None
        await wait_until(lambda: not house.identities())
        assert await come_with(house, house.token("alice")) is None


async def test_people_are_told_at_once_that_they_are_recorded(autojump_clock) -> None:
    async with open_api() as (house, _api), house.visitor("alice", single=True) as alice:
        await alice.wait_connected()
        came_at = trio.current_time()
        async with house.visitor("recorder", single=True, grant={"recorder": True, "hidden": True}):
            await alice.wait_until(lambda: any(told.room.active_recording for told in sent(alice, "room_update")))
            assert trio.current_time() - came_at < 1
        await alice.wait_until(lambda: not sent(alice, "room_update")[-1].room.active_recording)


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
async def test_whoever_is_removed_is_told_why(autojump_clock, single) -> None:
    async with open_api() as (house, api), house.visitor("alice", single=single) as alice:
        await alice.wait_connected()
        await api.call("RemoveParticipant", **ALICE)
        await wait_until(lambda: alice.left is not None)
        assert alice.left.reason == DisconnectReason.PARTICIPANT_REMOVED


async def test_a_room_that_closes_at_once_when_empty_can_be_joined(autojump_clock) -> None:
    room = RoomConfig(empty_timeout=0, departure_timeout=0)
    async with open_house(room=room) as house:
        for _ in range(5):
            async with house.visitor("alice", single=True) as alice:
                await alice.wait_connected()
            await wait_until(lambda: not list(house.server.rooms))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("USER_REJECTED", "USER_REJECTED"),
        ("USER_UNAVAILABLE", "USER_UNAVAILABLE"),
        ("AGENT_ERROR", "AGENT_ERROR"),
        ("ROOM_DELETED", "CLIENT_INITIATED"),
    ],
)
async def test_why_somebody_leaves_is_told_as_far_as_it_can_know(autojump_clock, said: str, told: str) -> None:
    async with open_house() as house, house.visitor("bob", single=True) as bob:
        async with open_raw_client(house, house.token("phone")) as phone:
            await phone.receive("join")
            await bob.wait_until(lambda: "phone" in bob.participants)
            await phone.send(SignalRequest(leave=LeaveRequest(reason=said)))
            assert DisconnectReason.Name((await phone.receive("leave")).leave.reason) == told
        await bob.wait_until(lambda: "phone" not in bob.participants)
        gone = sent(bob, "update")[-1].participants[-1]
        assert DisconnectReason.Name(gone.disconnect_reason) == told
