"""How many people a room says that it has, of which sort: kept through all that can change it."""

import trio

from sfu.room.projections import room_info
from tests.simulation.back_end import open_back_end
from tests.simulation.house import ROOM, House, open_house, sent
from triforium.testing import Link


def counts(house: House, room: str = ROOM) -> tuple[int, int, bool]:
    """Return what a room says of its people, having seen that it is what counting them gives."""
    opened = house.room(room)
    people = opened.participants.values()
    info = room_info(opened)
    said = (info.num_participants, info.num_publishers, info.active_recording)
    assert said == (
        sum(not each.claims.is_dependent for each in people),
        sum(each.is_publisher for each in people),
        any(each.claims.is_recorder for each in people),
    )
    return said


async def test_counts_follow_who_comes_publishes_records_and_goes(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice:
        await alice.wait_connected()
        assert counts(house) == (1, 0, False)
        async with (
            house.visitor("bob", single=False) as bob,
            house.visitor("agent", single=True, claims={"kind": "agent"}) as agent,
            house.visitor("recorder", single=True, grant={"recorder": True, "hidden": True}) as recorder,
        ):
            for visitor in (bob, agent, recorder):
                await visitor.wait_connected()
            assert counts(house) == (2, 0, True)
            await bob.publish_audio()
            await agent.publish_audio()
            assert counts(house) == (2, 2, True)
        assert counts(house) == (1, 0, False)


async def test_people_are_told_at_once_that_an_egress_records(autojump_clock) -> None:
    async with open_house(link=Link()) as house, house.visitor("alice", single=True) as alice:
        await alice.wait_connected()
        begun_at = trio.current_time()
        async with house.visitor("egress", single=True, claims={"kind": "egress"}):
            await alice.wait_until(lambda: any(each.room.active_recording for each in sent(alice, "room_update")))
            assert trio.current_time() - begun_at < 0.1
            assert counts(house) == (1, 0, True)


async def test_counts_follow_a_replaced_session_and_one_that_could_not_begin(autojump_clock) -> None:
    async with open_house() as house, house.visitor("alice", single=True) as alice:
        await alice.publish_audio()
        assert counts(house) == (1, 1, False)
        async with house.visitor("alice", single=True, claims={"kind": "agent"}) as double:
            await double.wait_connected()
            assert counts(house) == (0, 0, False)
        async with house.visitor("carol", single=True) as carol:
            await carol.wait_connected()
            assert counts(house) == (1, 0, False)


async def test_counts_follow_permissions(autojump_clock) -> None:
    async with open_house() as house, open_back_end(house) as api, house.visitor("alice", single=True) as alice:
        await alice.publish_audio()
        for permission, expected in (
            ({"can_subscribe": True}, (1, 0, False)),
            ({"can_publish": True, "recorder": True}, (0, 1, True)),
            ({"can_publish": True, "agent": True}, (0, 1, False)),
            ({"can_publish": True}, (1, 1, False)),
        ):
            await api.call("UpdateParticipant", room=ROOM, identity="alice", permission=permission)
            assert counts(house) == expected


async def test_counts_follow_who_is_moved_and_who_is_forwarded(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_back_end(house) as api,
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=True, room="dest") as bob,
    ):
        await alice.publish_audio()
        await bob.wait_connected()
        where = {"room": ROOM, "identity": "alice", "destination_room": "dest"}
        await api.call("ForwardParticipant", **where)
        assert (counts(house), counts(house, "dest")) == ((1, 1, False), (2, 1, False))
        await api.call("MoveParticipant", **where)
        assert (counts(house), counts(house, "dest")) == ((0, 0, False), (2, 1, False))
        await alice.wait_until(lambda: sent(alice, "room_moved"))
        (moved,) = sent(alice, "room_moved")
        assert moved.room.num_participants == 2, "herself included, as in the join response"
