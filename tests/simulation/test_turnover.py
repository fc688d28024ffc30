"""However many come and go, a server is afterwards what it was after the first of them."""

import gc

import pytest
import trio
from livekit.protocol.rtc import LeaveRequest, SignalRequest
from trio.testing import wait_all_tasks_blocked

from tests.simulation.house import House, open_house
from tests.simulation.rawsocket import open_raw_client

VISITS = 20

FORGETTING_SECONDS = 3_600
"""Trio keeps up to a thousand deadlines of what is over until they have passed."""


async def visit(house: House, host: str, room: str, way: str) -> None:
    """Join and leave from `host`: with media in either layout, or by signal alone."""
    if way != "signal":
        async with house.visitor("alice", single=way == "single", room=room, world=house.world(host)) as visitor:
            await visitor.publish_audio()
        return
    async with open_raw_client(house, house.token("alice", room=room), host=host) as client:
        await client.receive("join")
        await client.send(SignalRequest(leave=LeaveRequest()))
        await client.close_code()


@pytest.mark.parametrize("way", ["single", "dual", "signal"])
async def test_of_visits_no_object_is_left(autojump_clock, way) -> None:
    counts = []
    async with open_house() as house:
        host = house.new_host()  # one for all: what a network knows of hosts is not the server's
        for turn in range(3):
            for number in range(VISITS):
                await visit(house, host, f"room-{turn}-{number}", way)
            await house.wait_empty()
            await trio.sleep(FORGETTING_SECONDS)
            await wait_all_tasks_blocked()
            gc.collect()
            counts.append(len(gc.get_objects()))
    # The collector forgets a tuple now and then that it need not watch; a leak would be an object for each visit.
    assert abs(counts[2] - counts[1]) < VISITS / 2
