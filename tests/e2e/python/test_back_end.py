"""The published Python SDK for back ends: it moderates a call of published clients, and is told of it."""

import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.e2e.line_process import CallError, open_line_process
from tests.e2e.meeting import DUAL, SINGLE, Kind, at_once, open_meeting
from tests.e2e.server import KEY, SECRET

pytestmark = pytest.mark.e2e

PROGRAM = Path(__file__).parents[1] / "back_end.py"
WAIT_SECONDS = 15


class BackEnd:
    def __init__(self, process) -> None:
        self._process = process

    async def call(self, method: str, request: str, /, **fields: object) -> dict[str, object]:
        return await self._process.call("call", method=method, request=request, fields=fields)

    async def post(self, method: str, /, **fields: object) -> tuple[int, dict[str, object]]:
        return await self._process.call("post", method=method, fields=fields)

    async def find(self, identity: str) -> dict[str, object]:
        return await self.call("get_participant", "RoomParticipantIdentity", room="lobby", identity=identity)

    async def change(self, identity: str, **fields: object) -> dict[str, object]:
        return await self.call(
            "update_participant", "UpdateParticipantRequest", room="lobby", identity=identity, **fields
        )

    async def events(self, until: str) -> list[dict[str, object]]:
        """Wait for an event of this name; return all that have come."""
        with trio.fail_after(WAIT_SECONDS):
            while True:
                events = await self._process.call("events")
                if any(event["event"] == until for event in events):
                    return events
                await trio.sleep(0.1)


@asynccontextmanager
async def open_moderated_meeting(folder: Path):
    """Run a server and a back end that it tells of what happens."""
    command = [sys.executable, PROGRAM, KEY, SECRET]
    async with open_line_process("back-end", command, folder / "back-end.log") as process:
        webhook = {"urls": [await process.call("listen")], "api_key": KEY}
        async with open_meeting(folder, {"webhook": webhook}) as meeting:
            await process.call("connect", url=meeting.server.url)
            yield meeting, BackEnd(process)
            await process.call("close")


async def test_a_back_end_moderates_a_call_and_is_told_of_it(folder):
    async with open_moderated_meeting(folder) as (meeting, back_end):
        made = await back_end.call("create_room", "CreateRoomRequest", name="lobby", max_participants=2, metadata="m")
        assert (made["name"], made["max_participants"], made["metadata"]) == ("lobby", 2, "m")
        alice = await meeting.invite("alice", Kind.PYTHON, SINGLE)
        bob = await meeting.invite("bob", Kind.PYTHON, DUAL)
        await at_once(alice.join, bob.join)
        await alice.publish()
        await bob.perceives(alice)

        [room] = (await back_end.call("list_rooms", "ListRoomsRequest"))["rooms"]
        assert (room["sid"], room["num_participants"], room["num_publishers"]) == (made["sid"], 2, 1)
        people = (await back_end.call("list_participants", "ListParticipantsRequest", room="lobby"))["participants"]
        assert {each["identity"] for each in people} == {"alice", "bob"}
        refusal = await back_end.find("nosuch")
        assert (refusal["error"], refusal["status"]) == ("not_found", 404)

        await bob.ask("serve_rpc")
        called = {"room": "lobby", "destination_identity": "bob", "method": "echo", "payload": "p"}
        status, echoed = await back_end.post("PerformRpc", **called)
        assert (status, echoed["payload"].rpartition(" ")[2]) == (200, "p")
        status, refusal = await back_end.post("PerformRpc", **(called | {"method": "nosuch"}))
        assert (status, refusal["code"]) == (400, "invalid_argument")
        assert refusal["msg"].startswith("twirp error unknown: RpcError 1400: ")

        said = await back_end.change("alice", name="Alice", metadata="am", attributes={"a": "1"})
        assert (said["name"], said["metadata"], said["attributes"]) == ("Alice", "am", {"a": "1"})
        camera = next(track for track in said["tracks"] if track["source"] == "CAMERA")
        mute = {"room": "lobby", "identity": "alice", "track_sid": camera["sid"], "muted": True}
        assert (await back_end.call("mute_published_track", "MuteRoomTrackRequest", **mute))["track"]["muted"]
        await bob.until(lambda view: view.video("alice").muted)
        permission = {"can_subscribe": True, "can_publish": False}
        assert not (await back_end.change("alice", permission=permission)).get("tracks")
        await bob.until(lambda view: not view.participants["alice"])

        removal = {"room": "lobby", "identity": "alice"}
        assert await back_end.call("remove_participant", "RoomParticipantIdentity", **removal) == {}
        assert await alice.until_disconnected() == "PARTICIPANT_REMOVED"
        assert await back_end.call("delete_room", "DeleteRoomRequest", room="lobby") == {}
        assert await bob.until_disconnected() == "ROOM_DELETED"

        events = await back_end.events(until="room_finished")
        names = [event["event"] for event in events]
        assert (names[0], names[-1]) == ("room_started", "room_finished")
        assert [names.count(each) for each in ("participant_joined", "participant_left")] == [2, 2]
        assert [names.count(each) for each in ("track_published", "track_unpublished")] == [2, 2]
        assert len({event["id"] for event in events}) == len(events) == 10


async def test_a_full_room_turns_a_published_client_away(folder):
    async with open_moderated_meeting(folder) as (meeting, back_end):
        await back_end.call("create_room", "CreateRoomRequest", name="lobby", max_participants=1)
        alice = await meeting.invite("alice", Kind.PYTHON, SINGLE)
        bob = await meeting.invite("bob", Kind.PYTHON, SINGLE)
        await alice.join()
        with pytest.raises(CallError, match="500 Internal Server Error"):
            await bob.join()
