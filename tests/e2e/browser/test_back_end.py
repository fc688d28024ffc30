"""The published JavaScript SDK for back ends, with its WebhookReceiver: it moderates a call of pages, and is told of it."""

from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.e2e.line_process import CallError, open_line_process
from tests.e2e.meeting import DUAL, HERE, NODE, SINGLE, Kind, Participant, View, at_once, open_meeting
from tests.e2e.server import KEY, SECRET

pytestmark = pytest.mark.e2e

WAIT_SECONDS = 15


class BackEnd:
    def __init__(self, process) -> None:
        self._process = process

    async def call(self, method: str, *parameters: object) -> dict[str, object]:
        return await self._process.call("call", method=method, parameters=parameters)

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
    command = [NODE, HERE / "back_end.mjs", KEY, SECRET]
    async with open_line_process("back-end", command, folder / "back-end.log") as process:
        webhook = {"urls": [await process.call("listen")], "api_key": KEY}
        async with open_meeting(folder, {"webhook": webhook}) as meeting:
            await process.call("connect", url=meeting.server.url)
            yield meeting, BackEnd(process)


def profile(view: View, identity: str) -> tuple[object, ...]:
    return tuple(view.profiles[identity][each] for each in ("name", "metadata", "attributes"))


async def may_publish_no_longer_and_again(back_end: BackEnd, alice: Participant, bob: Participant) -> None:
    """Take a permission from her who publishes, and give it back."""
    permission = {"canSubscribe": True, "canPublishData": True}
    await back_end.call("updateParticipant", "lobby", "alice", {"permission": permission | {"canPublish": False}})
    await alice.until(lambda view: view.profiles["alice"]["can_publish"] is False)
    await bob.until(lambda view: view.participants == {"alice": {}})
    with pytest.raises(CallError, match="insufficient permissions"):
        await alice.publish()
    await back_end.call("updateParticipant", "lobby", "alice", {"permission": permission | {"canPublish": True}})
    await alice.until(lambda view: view.profiles["alice"]["can_publish"] is True)
    await alice.publish()
    await bob.perceives(alice)


async def test_a_back_end_in_javascript_moderates_a_call_and_is_told_of_it(folder):
    async with open_moderated_meeting(folder) as (meeting, back_end):
        made = await back_end.call("createRoom", {"name": "lobby", "emptyTimeout": 60, "metadata": "m"})
        assert (made["name"], made["emptyTimeout"], made["metadata"]) == ("lobby", 60, "m")
        alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
        bob = await meeting.invite("bob", Kind.BROWSER, DUAL)
        await at_once(alice.join, bob.join)
        await alice.publish()
        await bob.perceives(alice)

        [room] = await back_end.call("listRooms", ["lobby"])
        assert (room["sid"], room["numParticipants"]) == (made["sid"], 2)
        people = await back_end.call("listParticipants", "lobby")
        assert {each["identity"] for each in people} == {"alice", "bob"}
        refusal = await back_end.call("getParticipant", "lobby", "nosuch")
        assert (refusal["error"], refusal["status"]) == ("not_found", 404)
        assert refusal["message"] == "twirp error unknown: participant does not exist"
        changed = await back_end.call("updateRoomMetadata", "lobby", "rm")
        assert changed["metadata"] == "rm"
        await bob.until(lambda view: view.room_metadata == "rm")
        said = await back_end.call("updateParticipant", "lobby", "alice", {"name": "Alice", "attributes": {"a": "1"}})
        assert (said["name"], said["attributes"]) == ("Alice", {"a": "1"})
        for page in (alice, bob):
            await page.until(lambda view: profile(view, "alice") == ("Alice", "", {"a": "1"}))
        await alice.ask("describe", name="Alice A.", metadata="am", attributes={"a": "", "b": "2"})
        await bob.until(lambda view: profile(view, "alice") == ("Alice A.", "am", {"b": "2"}))

        muted = await back_end.call("mutePublishedTrack", "lobby", "alice", said["tracks"][0]["sid"], True)
        assert muted["muted"]
        await bob.until(lambda view: view.video("alice").muted or view.audio("alice").muted)

        await may_publish_no_longer_and_again(back_end, alice, bob)
        await alice.ask("permit", identities=[])
        await bob.perceives_nothing_of(alice)
        await alice.ask("permit", identities=["bob"])
        await bob.perceives(alice)

        await back_end.call("removeParticipant", "lobby", "alice")
        assert await alice.until_disconnected() == "PARTICIPANT_REMOVED"
        await back_end.call("deleteRoom", "lobby")
        assert await bob.until_disconnected() == "ROOM_DELETED"
        names = [event["event"] for event in await back_end.events(until="room_finished")]
        assert (names[0], names[-1]) == ("room_started", "room_finished")
        assert [names.count(each) for each in ("participant_joined", "participant_left")] == [2, 2]
