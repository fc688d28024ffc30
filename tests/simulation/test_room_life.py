"""How long a room lives, and how it ends."""

import pytest
import trio
from livekit.protocol.models import DisconnectReason
from livekit.protocol.rtc import LeaveRequest

from sfu.errors import CloseReason, RoomClosedError
from sfu.model import RoomName
from sfu.room.headcount import Headcount
from sfu.room.vacancy import Vacancy
from sfu.settings import RoomSettings
from tests.simulation.house import ROOM, open_house
from tests.simulation.test_webhooks import Receiver, open_hooked
from triforium.config import RoomConfig


async def test_a_room_that_is_held_does_not_close_for_want_of_people(autojump_clock) -> None:
    async with open_house(room=RoomConfig(empty_timeout=10)) as house:
        room = await house.server.rooms.open(RoomName(ROOM))
        with room.held():
            await trio.sleep(60)
            assert not room.closed
        released_at = trio.current_time()
        await room.wait_closed()
        assert trio.current_time() == released_at, "its time was over long ago"


async def test_a_room_is_not_closed_under_who_comes_at_the_moment_at_which_its_time_is_over(autojump_clock) -> None:
    vacancies = [Vacancy(RoomSettings(empty_timeout_seconds=10), Headcount()) for _ in range(20)]
    over: set[Vacancy] = set()

    async def wait(vacancy: Vacancy) -> None:
        await vacancy.wait_over()
        over.add(vacancy)

    async def come(vacancy: Vacancy) -> None:
        await trio.sleep(10)
        if vacancy in over:  # too late: tasks of one moment run in any order
            return
        with vacancy.held():
            await trio.sleep(1)
            assert vacancy not in over

    async with trio.open_nursery() as nursery:
        for vacancy in vacancies:
            nursery.start_soon(wait, vacancy)
            nursery.start_soon(come, vacancy)
    assert over == set(vacancies)


async def test_a_room_with_agents_and_recorders_alone_closes(autojump_clock) -> None:
    async with (
        open_house(room=RoomConfig(departure_timeout=10)) as house,
        house.visitor("agent", single=True, claims={"kind": "agent"}) as agent,
        house.visitor("recorder", single=True, grant={"recorder": True, "hidden": True}) as recorder,
    ):
        async with house.visitor("alice", single=True) as alice:
            await alice.wait_connected()
        left_at = trio.current_time()
        for visitor in (agent, recorder):
            await visitor.wait_over()
            assert visitor.disconnect_reason == DisconnectReason.ROOM_CLOSED
        assert trio.current_time() - left_at == pytest.approx(10, abs=0.1)


async def test_a_room_is_closed_once_and_the_first_reason_stands(autojump_clock) -> None:
    receiver = Receiver()
    async with (
        open_hooked(receiver) as house,
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=False) as bob,
    ):
        await alice.publish_audio()
        await bob.wait_connected()
        room, claims = house.room(), house.participant("bob").claims
        room.close(CloseReason.ROOM_DELETED)
        room.close(CloseReason.SERVER_SHUTDOWN)
        assert room.closed
        with pytest.raises(RoomClosedError):
            room.make_place_for(claims)
        await room.wait_closed()
        assert room.close_reason is CloseReason.ROOM_DELETED
        for visitor in (alice, bob):
            await visitor.wait_over()
            assert visitor.disconnect_reason == DisconnectReason.ROOM_DELETED
            assert visitor.left.action == LeaveRequest.Action.DISCONNECT
        await trio.sleep(1)
        told = [event.event for event in receiver.taken]
        assert told.count("room_finished") == 1
        assert told[-1] == "room_finished"
        assert told.count("participant_left") == 2
