"""Cancel what somebody does after its first step, after its second, and so on: nothing may be left, nor half done.

An instrument counts what trio's tasks do, the visitors' and the network's among them, and cancels one scope after so
many steps: that of the HTTP connection, of Alice, or of the room. A scope that is not there yet is cancelled as it is
born.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from dataclasses import dataclass
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
from tests.simulation.back_end import CallError, api_token, open_back_end
from tests.simulation.house import HTTP, House, flows, open_house, sent
from triforium.config import RoomConfig
from triforium.testing import Link
from triforium.visitor import PlainPeer, Visitor, VisitorError, open_whep, open_whip

ENOUGH_STEPS: Final = 60
"""A join, or a post, that takes fewer is not one."""

SETTLING_SECONDS: Final = 40
"""Until all that was cut off has noticed: consent lost, sockets lingering, the room's departure timeout."""

DEED_SECONDS: Final = 8
"""For what is done to take effect, if it is not cut."""

CUT_OFF: Final = (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError)
"""What a client's HTTP ends in whose connection is cancelled."""

THIN: Final = RoomConfig(empty_timeout=5, departure_timeout=1)


class Axe(trio.abc.Instrument):
    """Cancels the scope called `target` when `steps` task steps have been made since `raise_at`."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.steps = 0
        self.has_fallen = self._is_up = False
        self._left = 0
        self._scope: trio.CancelScope | None = None

    def lift(self) -> None:
        """Begin to count."""
        self._left, self.has_fallen, self._is_up = self.steps, False, True

    def rest(self) -> None:
        """Cease to count; what comes now is not to be cut."""
        self._is_up = False

    def lower(self) -> bool:
        """Cease to count; return whether the axe has fallen before."""
        self.rest()
        return self.has_fallen

    @contextmanager
    def guard(self, name: str) -> Iterator[None]:
        """Run the block in a scope that may be cancelled."""
        with trio.CancelScope() as scope:
            if name == self.target:
                self._scope = scope
            try:
                yield
            finally:
                if self._scope is scope:
                    self._scope = None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count, and strike."""
        if not self._is_up:
            return
        if self._left:
            self._left -= 1
        elif self._scope is not None:
            self.has_fallen, self._is_up = True, False
            self._scope.cancel("the axe has fallen")


@contextmanager
def guarding(axe: Axe) -> Iterator[None]:
    """Put every connection, participant and room that is begun inside the block under the axe."""
    serve_stream, participant_run, room_run = listener.serve_stream, Participant.run, Room.run

    async def guarded_stream(*args: object) -> None:
        with axe.guard("connection"):
            await serve_stream(*args)

    async def guarded_participant(participant: Participant, stay: ParticipantSid) -> None:
        with axe.guard("participant" if participant.identity == "alice" else "bystander"):
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


async def join(house: House, room: str, axe: Axe, *, single: bool) -> None:
    """Join, be connected and leave, as far as one is let."""
    axe.lift()
    try:
        async with house.visitor("alice", single=single, room=room) as alice:
            await alice.wait_connected()
    except* VisitorError:
        pass  # cut off


async def post_an_offer(
    house: House, room: str, axe: Axe, *, enter: Callable[..., AbstractAsyncContextManager[PlainPeer]]
) -> None:
    """Post an offer, be connected and end the session, as far as one is let."""
    axe.lift()
    try:
        async with enter(house.world(), HTTP, house.token("alice", room=room)) as alice:
            with trio.move_on_after(1):
                await alice.connected.wait()
    except* (VisitorError, *CUT_OFF):
        pass  # cut off


@dataclass(frozen=True, slots=True)
class Scene:
    """Alice and Bob in a room, each with a track, before Alice does something or something is done to her."""

    house: House
    room: str
    axe: Axe
    alice: Visitor
    bob: Visitor
    song: str

    async def call(self, method: str, **fields: object) -> None:
        """Lift the axe and make one call of the server API, as far as one is let."""
        async with open_back_end(self.house) as api:
            api.token = api_token(room_admin=True, room_create=True, room=self.room, destination_room=f"{self.room}-b")
            self.axe.lift()
            try:
                await api.call(method, room=self.room, **fields)
            except (CallError, *CUT_OFF):
                pass


async def resume(scene: Scene) -> None:
    scene.axe.lift()
    await scene.alice.cut_signal()
    await scene.alice.wait_until(lambda: scene.alice.resumptions == 1)


async def publish(scene: Scene) -> None:
    scene.axe.lift()
    publication = await scene.alice.publish_video()
    await scene.bob.wait_until(flows(scene.bob, publication.sid, 1))


async def subscribe(scene: Scene) -> None:
    scene.axe.lift()
    scene.alice.subscribe(scene.song)
    await scene.alice.wait_until(flows(scene.alice, scene.song, 1))


async def be_moved(scene: Scene) -> None:
    await scene.call("MoveParticipant", identity="alice", destination_room=f"{scene.room}-b")
    is_there = "alice" in scene.house.identities(f"{scene.room}-b")
    assert not (is_there and "alice" in scene.house.identities(scene.room)), "she is in one room, or in none"
    if is_there:
        await scene.alice.wait_until(lambda: bool(sent(scene.alice, "room_moved")))


async def be_forwarded(scene: Scene) -> None:
    await scene.call("ForwardParticipant", identity="alice", destination_room=f"{scene.room}-b")


async def be_removed(scene: Scene) -> None:
    await scene.call("RemoveParticipant", identity="alice")


async def see_the_room_close(scene: Scene) -> None:
    await scene.call("DeleteRoom")


async def act(house: House, room: str, axe: Axe, *, single: bool, deed: Callable[[Scene], Awaitable[None]]) -> None:
    """Bring Alice and Bob together, and let it happen, as far as they are let."""
    options = {"auto_subscribe": False, "resumes": deed is resume}
    try:
        async with (
            house.visitor("bob", single=single, room=room) as bob,
            house.visitor("alice", single=single, room=room, **options) as alice,
        ):
            song = await bob.publish_audio()
            await alice.wait_until(lambda: "bob" in alice.participants)
            with trio.move_on_after(DEED_SECONDS):
                await deed(Scene(house, room, axe, alice, bob, song.sid))
            axe.rest()
            assert "bob" in house.identities(room) or axe.target == "room" or deed is see_the_room_close
    except* VisitorError:
        pass  # cut off


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
@pytest.mark.parametrize("target", ["connection", "participant", "room"])
@pytest.mark.parametrize("deed", [resume, publish, subscribe])
async def test_what_somebody_does_is_cut_at_any_step_and_leaves_nothing_behind(
    autojump_clock, pytestconfig, deed, target, single
) -> None:
    await sweep(target, partial(act, single=single, deed=deed), stride=pytestconfig.getoption("cancellation_stride"))


@pytest.mark.parametrize("target", ["connection", "participant", "room"])
@pytest.mark.parametrize("deed", [be_moved, be_forwarded, be_removed, see_the_room_close])
async def test_what_is_done_to_somebody_is_cut_at_any_step_and_leaves_nothing_behind(
    autojump_clock, pytestconfig, deed, target
) -> None:
    await sweep(target, partial(act, single=True, deed=deed), stride=pytestconfig.getoption("cancellation_stride"))


@pytest.mark.parametrize("enter", [open_whip, open_whep], ids=["whip", "whep"])
@pytest.mark.parametrize("target", ["connection", "participant", "room"])
async def test_a_post_cancelled_at_any_step_leaves_nothing_behind(autojump_clock, target, enter) -> None:
    await sweep(target, partial(post_an_offer, enter=enter), fewest=ENOUGH_STEPS)


@pytest.mark.parametrize("single", [True, False], ids=["single", "dual"])
@pytest.mark.parametrize("target", ["connection", "participant", "room"])
async def test_a_join_cancelled_at_any_step_leaves_nothing_behind(autojump_clock, target, single) -> None:
    await sweep(target, partial(join, single=single), fewest=ENOUGH_STEPS)


async def sweep(
    target: str, enter: Callable[[House, str, Axe], Awaitable[None]], *, stride: int = 1, fewest: int = 5
) -> None:
    """Let somebody enter room after room, and cancel what `target` names after `stride` steps more each time."""
    axe = Axe(target)
    with guarding(axe):
        async with open_house(link=Link(delay_seconds=0.01), room=THIN) as house:
            tasks = trio.lowlevel.current_statistics().tasks_living
            is_cut = True
            while is_cut:
                await enter(house, f"room-{axe.steps}", axe)
                is_cut = axe.lower()
                await trio.sleep(SETTLING_SECONDS)
                house.check_nothing_left()
                living = trio.lowlevel.current_statistics().tasks_living
                assert living == tasks, f"a task is left after {axe.steps} steps"
                axe.steps += stride
    print(f"{target}: cancelled after up to {axe.steps} steps")  # noqa: T201 - asked for: how far the sweep went
    assert axe.steps > fewest
