"""Cancel a join, or a post by WHIP or WHEP, after its first step, after its second, and so on: nothing may be left.

An instrument counts what trio's tasks do, the visitor's and the network's among them, and cancels one scope after so
many steps: that of the HTTP connection, of the participant, or of the room. A scope that is not there yet is cancelled
as it is born.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from functools import partial
from typing import Final
from unittest.mock import patch

import h11
import pytest
import trio

from sfu.model import ParticipantSid
from sfu.room.participant import Participant
from sfu.room.room import Room
from signaling.http import listener
from tests.simulation.house import HTTP, House, open_house
from triforium.config import RoomConfig
from triforium.testing import Link
from triforium.visitor import PlainPeer, VisitorError, open_whep, open_whip

ENOUGH_STEPS: Final = 80
"""A join, or a post, that takes fewer is not one."""

SETTLING_SECONDS: Final = 40
"""Until all that was cut off has noticed: consent lost, sockets lingering, the room's departure timeout."""

THIN: Final = RoomConfig(empty_timeout=5, departure_timeout=1)


class Axe(trio.abc.Instrument):
    """Cancels the scope called `target` when `steps` task steps have been made since `raise_at`."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.has_fallen = True
        self._left = 0
        self._scope: trio.CancelScope | None = None

    def raise_at(self, steps: int) -> None:
        """Begin to count."""
        self._left, self._scope, self.has_fallen = steps, None, False

    def lower(self) -> bool:
        """Cease to count; return whether the axe has fallen before."""
        had_fallen, self.has_fallen = self.has_fallen, True
        return had_fallen

    @contextmanager
    def guard(self, name: str) -> Iterator[None]:
        """Run the block in a scope that may be cancelled."""
        with trio.CancelScope() as scope:
            if name == self.target and not self.has_fallen:
                self._scope = scope
            yield

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count, and strike."""
        if self.has_fallen:
            return
        if self._left:
            self._left -= 1
        elif self._scope is not None:
            self.has_fallen = True
            self._scope.cancel("the axe has fallen")


@contextmanager
def guarding(axe: Axe) -> Iterator[None]:
    """Put every connection, participant and room that is begun inside the block under the axe."""
    serve_stream, participant_run, room_run = listener.serve_stream, Participant.run, Room.run

    async def guarded_stream(*args: object) -> None:
        with axe.guard("connection"):
            await serve_stream(*args)

    async def guarded_participant(participant: Participant, stay: ParticipantSid) -> None:
        with axe.guard("participant"):
            await participant_run(participant, stay)

    async def guarded_room(room: Room) -> None:
        with axe.guard("room"):
            await room_run(room)

    with ExitStack() as patches:
        patches.enter_context(patch.object(listener, "serve_stream", guarded_stream))
        patches.enter_context(patch.object(Participant, "run", guarded_participant))
        patches.enter_context(patch.object(Room, "run", guarded_room))
        trio.lowlevel.add_instrument(axe)
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(axe)


async def join(house: House, room: str, *, single: bool) -> None:
    """Join, be connected and leave, as far as one is let."""
    try:
        async with house.visitor("alice", single=single, room=room) as alice:
            await alice.wait_connected()
    except* VisitorError:
        pass  # cut off


async def post_an_offer(
    house: House, room: str, *, enter: Callable[..., AbstractAsyncContextManager[PlainPeer]]
) -> None:
    """Post an offer, be connected and end the session, as far as one is let."""
    try:
        async with enter(house.world(), HTTP, house.token("alice", room=room)) as alice:
            with trio.move_on_after(1):
                await alice.connected.wait()
    except* (VisitorError, trio.BrokenResourceError, h11.RemoteProtocolError):
        pass  # cut off


@pytest.mark.parametrize("enter", [open_whip, open_whep], ids=["whip", "whep"])
@pytest.mark.parametrize("target", ["connection", "participant", "room"])
async def test_a_post_cancelled_at_any_step_leaves_nothing_behind(autojump_clock, target, enter) -> None:
    await sweep(target, partial(post_an_offer, enter=enter))


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
@pytest.mark.parametrize("target", ["connection", "participant", "room"])
async def test_a_join_cancelled_at_any_step_leaves_nothing_behind(autojump_clock, target, single) -> None:
    await sweep(target, partial(join, single=single))


async def sweep(target: str, enter: Callable[[House, str], Awaitable[None]]) -> None:
    """Let somebody enter room after room, and cancel what `target` names after one step more each time."""
    axe = Axe(target)
    with guarding(axe):
        async with open_house(link=Link(delay_seconds=0.01), room=THIN) as house:
            tasks = trio.lowlevel.current_statistics().tasks_living
            steps = 0
            is_cut = True
            while is_cut:
                axe.raise_at(steps)
                await enter(house, f"room-{steps}")
                is_cut = axe.lower()
                await trio.sleep(SETTLING_SECONDS)
                house.check_nothing_left()
                assert trio.lowlevel.current_statistics().tasks_living == tasks, f"a task is left after {steps} steps"
                steps += 1
    print(f"{target}: cancelled after each of {steps} steps")  # noqa: T201 - asked for: how far the sweep went
    assert steps > ENOUGH_STEPS
