"""What is said of people and rooms is changed and told as it was recorded, in either client's manner and layout."""

import trio
from livekit.protocol.rtc import RequestResponse, SignalRequest, UpdateParticipantMetadata

from tests.simulation.back_end import open_back_end
from tests.simulation.house import ROOM, sent
from tests.simulation.recording import recorded
from tests.simulation.stage import Stage, clients, layouts, play
from triforium.visitor import Visitor

LONG = "x" * 70_000
CHANGES = [
    {"metadata": "m1", "name": "Alice"},
    {"metadata": "m1", "name": "Alice 2"},
    {"metadata": "m1", "name": "Alice 2", "attributes": {"b": "2"}},
    {"metadata": "m1", "name": "Alice 2", "attributes": {"a": ""}},
]


async def change(visitor: Visitor, number: int, fields: dict[str, object]) -> None:
    """Ask for a change, and wait for the answer and a little longer."""
    visitor.send(SignalRequest(update_metadata=UpdateParticipantMetadata(request_id=number, **fields)))
    await visitor.wait_until(lambda: bool(sent(visitor, "request_response")))
    await trio.sleep(0.7)


def answers_to(visitor: Visitor) -> list[tuple[int, str, str]]:
    """Return what a visitor's changes were answered: number, reason and message."""
    reason = RequestResponse.Reason
    return [(each.request_id, reason.Name(each.reason), each.message) for each in sent(visitor, "request_response")]


def recorded_answers(recording: str, identity: str) -> list[tuple[int, str, str]]:
    messages = [each.fields for each in recorded(recording, identity, "s>c") if each.kind == "request_response"]
    return [(each["request_id"], each.get("reason", "OK"), each.get("message", "")) for each in messages]


@clients
@layouts
async def test_changes_are_told_and_answered_as_recorded(autojump_clock, client, layout) -> None:
    async def act(stage: Stage) -> dict[str, Visitor]:
        claims = {"name": "Alice", "metadata": "m0", "attributes": {"a": "1"}}
        alice = await stage.enter("alice", grant={"can_update_own_metadata": True}, claims=claims)
        await trio.sleep(0.3 if stage.is_rust else 3)
        bob = await stage.enter("bob")
        await trio.sleep(4)
        mine = [*CHANGES] if stage.is_rust else [*CHANGES, {"name": "Alice 2"}]
        for number, fields in enumerate(mine, 1):
            await change(alice, number, fields)
        await change(bob, 1, {"metadata": "x"})
        await change(alice, len(mine) + 1, {"metadata": LONG, "name": "Alice 2"})
        if not stage.is_rust:
            await change(alice, 7, {"metadata": LONG, "name": "Alice 2", "attributes": {"big": LONG}})
            async with open_back_end(stage.house) as api:
                said = {"name": "Bob", "metadata": "bm", "attributes": {"x": "y"}}
                await api.call("UpdateParticipant", room=ROOM, identity="bob", **said)
                await trio.sleep(1)
                await api.call("UpdateRoomMetadata", room=ROOM, metadata="rm")
            await trio.sleep(1)
        for visitor, identity in ((alice, "alice"), (bob, "bob")):
            assert answers_to(visitor) == recorded_answers(stage.recording, identity)
        await alice.leave()
        await bob.leave()
        return {"alice": alice, "bob": bob}

    await play("s07-metadata", client, layout, act)
