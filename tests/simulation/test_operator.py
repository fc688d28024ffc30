"""What an operator is shown of a server that runs, and does there, at the command line."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
import trio
from livekit.protocol import agent
from livekit.protocol.models import TrackSource

from sfu.model import RoomName
from tests.signaling.client import HttpClient
from tests.simulation.back_end import open_back_end
from tests.simulation.house import HTTP, KEY, ROOM, SECRET, House, open_house, sent
from tests.simulation.worker import open_worker
from triforium.operating import (
    close_room,
    list_agents,
    list_participants,
    list_rooms,
    mute_participant,
    remove_participant,
    show_room,
)
from triforium.server_api import ServerApi, ServerApiError
from triforium.testing.world import wall_clock


@asynccontextmanager
async def open_server_api(house: House, key: str = KEY, secret: str = SECRET) -> AsyncIterator[ServerApi]:
    async with await house.network.connect_tcp(house.new_host(), HTTP) as stream:
        client = HttpClient(stream)

        async def ask(path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
            answer = await client.ask("GET" if body is None else "POST", path, headers, body or b"")
            return answer.status, answer.body

        yield ServerApi(ask, key, secret, wall_clock)


async def test_rooms_are_listed_by_name_with_how_many_are_in_them(autojump_clock) -> None:
    async with open_house() as house, open_server_api(house) as api:
        assert await list_rooms(api) == "no room is open"
        async with (
            house.visitor("alice", single=True, room="red") as alice,
            house.visitor("bob", single=True, room="blue") as bob,
        ):
            await alice.wait_connected()
            await bob.wait_connected()
            await alice.publish_audio()
            head, *rows = (line.split()[:4] for line in (await list_rooms(api)).splitlines())
            assert head == ["ROOM", "SID", "PEOPLE", "PUBLISHERS"]
            assert rows == [
                ["blue", house.room("blue").sid, "1", "0"],
                ["red", house.room("red").sid, "1", "1"],
            ]


async def test_a_room_is_shown_with_those_in_it_and_what_they_publish(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_server_api(house) as api,
        house.visitor("alice", single=True, claims={"name": "Alice A."}) as alice,
    ):
        await alice.wait_connected()
        track = await alice.publish_audio()
        shown = await show_room(api, ROOM)
        assert f"room               {ROOM}\n" in shown
        assert "departure timeout  20 s\n" in shown
        assert shown.endswith(f"{track.sid} (microphone)")
        assert await list_participants(api, ROOM) == shown.partition("\n\n")[2]
        assert "alice     Alice A.  active" in shown


async def test_a_closed_room_is_gone_when_the_command_returns(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_server_api(house) as api,
        house.visitor("alice", single=True) as alice,
    ):
        await alice.wait_connected()
        assert await close_room(api, ROOM) == f"closed {ROOM}; 1 in it"
        assert house.server.rooms.find(RoomName(ROOM)) is None


async def test_one_is_removed_and_the_others_stay(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_server_api(house) as api,
        house.visitor("alice", single=True) as alice,
        house.visitor("bob", single=True) as bob,
    ):
        await alice.wait_connected()
        await bob.wait_connected()
        assert await remove_participant(api, ROOM, "bob") == f"removed bob from {ROOM}"
        assert house.identities() == {"alice"}


@pytest.mark.parametrize("by", ["sid", "source", "nothing"])
async def test_a_track_is_muted_by_its_sid_or_its_source_and_all_without_either(autojump_clock, by: str) -> None:
    async with (
        open_house() as house,
        open_server_api(house) as api,
        house.visitor("alice", single=True) as alice,
    ):
        await alice.wait_connected()
        audio, video = await alice.publish_audio(), await alice.publish_video()
        named = {"sid": audio.sid, "source": "microphone", "nothing": None}[by]
        lines = (await mute_participant(api, ROOM, "alice", named)).splitlines()
        muted = [f"muted {audio.sid} (microphone) of alice"]
        assert lines == (muted if named else [*muted, f"muted {video.sid} (camera) of alice"])
        await alice.wait_until(lambda: len(sent(alice, "mute")) == len(lines))
        told = await api.participant(ROOM, "alice")
        assert {track.source for track in told.tracks if track.muted} == (
            {TrackSource.MICROPHONE} if named else {TrackSource.MICROPHONE, TrackSource.CAMERA}
        )


async def test_what_is_not_there_is_said_in_one_line(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_server_api(house) as api,
        house.visitor("alice", single=True) as alice,
    ):
        await alice.wait_connected()
        for act in (show_room, close_room, list_participants):
            with pytest.raises(ServerApiError, match=r"^no such room: elsewhere$"):
                await act(api, "elsewhere")
        with pytest.raises(ServerApiError, match=r"^no such room: elsewhere$"):
            await remove_participant(api, "elsewhere", "alice")
        with pytest.raises(ServerApiError, match=r"^participant does not exist$"):
            await remove_participant(api, ROOM, "bob")
        with pytest.raises(ServerApiError, match=r"^nothing to mute: alice publishes nothing$"):
            await mute_participant(api, ROOM, "alice", None)


async def test_workers_are_listed_and_jobs_until_they_are_over(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_server_api(house) as api,
        open_back_end(house) as back_end,
        open_worker(house) as worker,
        house.visitor("alice", single=True) as alice,
    ):
        await alice.wait_connected()
        assert await list_agents(api) == "no worker is registered\n\nno job is open"
        await back_end.call("CreateDispatch", service="AgentDispatchService", room=ROOM, agent_name="bot")
        workers, jobs = (await list_agents(api)).split("\n\n")
        assert workers == "no worker is registered"
        assert " ".join(jobs.split()).endswith(f"bot {ROOM} pending: no worker is registered as bot")

        worker_id = await worker.register("bot", type=agent.JT_PUBLISHER, namespace="blue")
        await worker.say(update_worker=agent.UpdateWorkerStatus(load=0.25))
        await alice.publish_audio()
        job, _ = await worker.take_job()
        workers, jobs = (await list_agents(api)).split("\n\n")
        assert workers.splitlines()[1].split() == [worker_id, "bot", "publisher", "blue", "0.25", "1"]
        assert jobs.splitlines()[1].split() == [job.id, "bot", ROOM, "alice", "running", worker_id, f"agent-{job.id}"]

        await worker.say(update_worker=agent.UpdateWorkerStatus(status=agent.WS_FULL, load=0.9))
        await worker.report(job, agent.JS_SUCCESS)
        await worker.say(ping=agent.WorkerPing())
        await worker.hear("pong")  # all of before is known now
        workers, jobs = (await list_agents(api)).split("\n\n")
        assert workers.splitlines()[1].split()[4:] == ["0.90,", "takes", "none", "0"]
        assert jobs == "no job is open"


@pytest.mark.parametrize("pair", [("another key", SECRET), (KEY, "another secret")])
async def test_a_wrong_key_is_told_from_a_wrong_room(autojump_clock, pair: tuple[str, str]) -> None:
    async with open_house() as house, open_server_api(house, *pair) as api:
        with pytest.raises(ServerApiError, match=r"^the server refuses the key or its secret: invalid"):
            await list_rooms(api)


async def test_names_cannot_steer_the_operators_terminal(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_server_api(house) as api,
        house.visitor("alice", single=True, claims={"name": "\x1b[2Jmallory\nroot  nobody"}) as alice,
    ):
        await alice.wait_connected()
        shown = await list_participants(api, ROOM)
        assert len(shown.splitlines()) == 2
        assert "\\x1b[2Jmallory\\nroot  nobody" in shown


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((404, b"<html>"), "what answers there is no LiveKit server: it says 404"),
        ((200, b"<html>"), "what answers there is no LiveKit server"),
        ((500, b"[" * 100_000), "what answers there is no LiveKit server: it says 500"),
        ((503, b'{"code":"unavailable","msg":"twirp error unknown: busy"}'), "busy"),
        ((500, b'{"msg":5}\xff'), "what answers there is no LiveKit server: it says 500"),
    ],
)
async def test_another_servers_answer_is_an_error_of_one_line(answer: tuple[int, bytes], reason: str) -> None:
    async def ask(path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        await trio.lowlevel.checkpoint()
        return answer

    with pytest.raises(ServerApiError) as raised:
        await ServerApi(ask, KEY, SECRET, wall_clock).rooms()
    assert str(raised.value) == reason


async def test_a_source_that_nobody_has_given_a_name_is_shown_as_unknown(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_server_api(house) as api,
        house.visitor("alice", single=True) as alice,
    ):
        track = await alice.publish_video(source=12_345)
        assert f"{track.sid} (unknown)" in await list_participants(api, ROOM)
