"""Bringing published clients into another room, by the published Python SDK for back ends."""

import sys
from pathlib import Path
from typing import Final

from tests.e2e.line_process import open_line_process
from tests.e2e.meeting import Kind, at_once, open_meeting
from tests.e2e.server import KEY, SECRET

PROGRAM: Final = Path(__file__).parent / "back_end.py"


async def move_and_forward(folder: Path, kind: Kind, layout: str) -> None:
    """Alice meets Bob, is moved to Carol, and comes back as a stand-in: each sees who is there, and nobody else."""
    command = [sys.executable, PROGRAM, KEY, SECRET]
    async with (
        open_line_process("back-end", command, folder / "back-end.log") as back_end,
        open_meeting(folder) as meeting,
    ):
        await back_end.call("connect", url=meeting.server.url)

        async def send(method: str, request: str, **fields: object) -> None:
            assert await back_end.call("call", method=method, request=request, fields=fields) == {}

        there = meeting.server.token("carol", room="dest")
        alice, bob = await meeting.invite("alice", kind, layout), await meeting.invite("bob", kind, layout)
        carol = await meeting.invite("carol", kind, layout, token=there)
        await at_once(alice.join, bob.join, carol.join)
        await at_once(alice.publish, bob.publish, carol.publish)
        await at_once(lambda: alice.perceives(bob), lambda: bob.perceives(alice))
        sid = (await alice.view()).sid

        await send(
            "move_participant", "MoveParticipantRequest", room="lobby", identity="alice", destination_room="dest"
        )
        await at_once(lambda: alice.perceives(carol), lambda: carol.perceives(alice))
        view = await alice.until(lambda view: "bob" not in view.participants)
        assert (view.connected, view.reconnections, view.sid != sid) == (True, 0, True)
        await bob.until(lambda view: "alice" not in view.participants)

        forward = {"room": "dest", "identity": "alice", "destination_room": "lobby"}
        await send("forward_participant", "ForwardParticipantRequest", **forward)
        await at_once(lambda: bob.perceives(alice), lambda: carol.perceives(alice))
        assert "bob" not in (await alice.view()).participants
        await alice.leave()
        await bob.until(lambda view: "alice" not in view.participants)
        await back_end.call("close")


async def move_while_the_socket_is_dead(folder: Path, kind: Kind, layout: str) -> None:
    """Alice is moved to Carol, and does not hear of it, since her socket has died: she does when she resumes."""
    command = [sys.executable, PROGRAM, KEY, SECRET]
    async with (
        open_line_process("back-end", command, folder / "back-end.log") as back_end,
        open_meeting(folder) as meeting,
    ):
        await back_end.call("connect", url=meeting.server.url)
        wire = await meeting.lay_wire()
        alice = await meeting.invite("alice", kind, layout, url=f"ws://127.0.0.1:{wire.port}")
        bob = await meeting.invite("bob", kind, layout)
        carol = await meeting.invite("carol", kind, layout, token=meeting.server.token("carol", room="dest"))
        await at_once(alice.join, bob.join, carol.join)
        await at_once(alice.publish, bob.publish, carol.publish)
        await at_once(lambda: alice.perceives(bob), lambda: bob.perceives(alice))
        sid = (await alice.view()).sid

        wire.silence()
        fields = {"room": "lobby", "identity": "alice", "destination_room": "dest"}
        await back_end.call("call", method="move_participant", request="MoveParticipantRequest", fields=fields)
        await bob.until(lambda view: "alice" not in view.participants)
        assert "carol" not in (await alice.view()).participants
        wire.cut()
        await wire.mend()
        await at_once(lambda: alice.perceives(carol), lambda: carol.perceives(alice))
        view = await alice.until(lambda view: view.connected and view.reconnections == 1)
        assert (view.participants.keys(), view.sid != sid) == ({"carol"}, True)
        assert (await carol.view()).participants.keys() == {"alice"}
        await back_end.call("close")
