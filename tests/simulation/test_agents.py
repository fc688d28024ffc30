"""Agents: workers register, rooms want agents, and each wish becomes one job that is never silently lost."""

import pytest
import trio
from livekit.protocol import agent, models

from tests.simulation.back_end import CallError, open_back_end
from tests.simulation.house import HTTP, ROOM, open_house, wait_until
from tests.simulation.worker import claims_of, open_worker, worker_token
from triforium.visitor import open_visitor
from triforium.visitor.errors import JoinRefusedError

DISPATCH = "AgentDispatchService"


async def dispatches(api, **fields: object) -> list[dict]:
    return (await api.call("ListDispatch", service=DISPATCH, room=ROOM, **fields))["agent_dispatches"]


async def dispatch(api, agent_name: str = "bot", **fields: object) -> dict:
    return await api.call("CreateDispatch", service=DISPATCH, room=ROOM, agent_name=agent_name, **fields)


def send_agent(house, token: str):
    return open_visitor(house.world(), HTTP, token, single_connection=True)


@pytest.mark.parametrize("has_token", [False, True], ids=["no token", "no grant"])
async def test_only_who_may_run_agents_connects(autojump_clock, has_token: bool) -> None:
    async with open_house() as house:
        token = worker_token(room_join=True, room=ROOM) if has_token else ""
        with pytest.raises(JoinRefusedError, match="no permissions to access the room") as refused:
            async with open_worker(house, token=token):
                pass
        assert refused.value.status == 401


@pytest.mark.parametrize("speaks_json", [False, True])
async def test_a_worker_registers_in_its_own_form(autojump_clock, speaks_json: bool) -> None:
    async with open_house() as house, open_worker(house, speaks_json=speaks_json) as worker:
        await worker.say(ping=agent.WorkerPing(timestamp=111))
        assert (await worker.hear("pong")).last_timestamp == 111
        assert (await worker.register()).startswith("AW_")


@pytest.mark.parametrize(
    "bad",
    [
        {"update_worker": agent.UpdateWorkerStatus(load=0.5)},
        {"register": agent.RegisterWorkerRequest(deployment="bad_name")},
        {"register": agent.RegisterWorkerRequest(deployment="d" * 65)},
        {"register": agent.RegisterWorkerRequest(type=99)},
    ],
    ids=["not registered", "underscore", "too long", "no such jobs"],
)
async def test_a_worker_that_begins_badly_is_closed_without_a_word(autojump_clock, bad: dict) -> None:
    async with open_house() as house, open_worker(house) as worker:
        await worker.say(**bad)
        assert await worker.wait_closed() == 1006


async def test_a_worker_that_does_not_register_is_closed_after_ten_seconds(autojump_clock) -> None:
    async with open_house() as house, open_worker(house) as worker:
        start = trio.current_time()
        assert await worker.wait_closed() == 1006
        assert 10 <= trio.current_time() - start < 10.1


async def test_a_second_registration_closes_the_socket(autojump_clock) -> None:
    async with open_house() as house, open_worker(house) as worker:
        await worker.register("bot")
        await worker.say(register=agent.RegisterWorkerRequest(agent_name="bot"))
        assert await worker.wait_closed() == 1006


async def test_noise_closes_the_socket_and_unknown_messages_do_not(autojump_clock) -> None:
    async with open_house() as house, open_worker(house) as worker:
        await worker.register("bot")
        await worker.say()
        await worker.say(ping=agent.WorkerPing(timestamp=1))
        await worker.hear("pong")
        await worker.socket.send(b"\xff\xff\xff")
        assert await worker.wait_closed() == 1006


async def test_a_dispatched_agent_joins_with_its_jobs_token(autojump_clock) -> None:
    async with open_house() as house, open_worker(house) as worker, open_back_end(house) as api:
        worker_id = await worker.register("bot")
        created = await dispatch(api, metadata="dm", attributes={"k": "v"})
        assert created["state"]["jobs"] == []
        job = await worker.be_offered()
        assert (job.dispatch_id, job.metadata, dict(job.attributes)) == (created["id"], "dm", {"k": "v"})
        assert (job.state.status, job.state.worker_id, job.type) == (agent.JS_RUNNING, worker_id, agent.JT_ROOM)
        assert (job.room.name, job.room.sid) == (ROOM, house.room().sid)
        await worker.answer(
            job,
            participant_identity="helper",
            participant_name="Bot",
            participant_metadata="pm",
            participant_attributes={"a": "b"},
        )
        assignment = await worker.hear("assignment")
        assert assignment.job.state.participant_identity == "helper"
        said = claims_of(assignment.token)
        assert said["exp"] - said["nbf"] == 3600
        assert {name: said[name] for name in ("sub", "name", "kind", "metadata", "attributes")} == {
            "sub": "helper",
            "name": "Bot",
            "kind": "agent",
            "metadata": "pm",
            "attributes": {"a": "b", "lk.agent_name": "bot"},
        }
        assert said["video"] == {
            "roomJoin": True,
            "room": ROOM,
            "agent": True,
            "canSubscribe": True,
            "canPublish": True,
            "canPublishData": True,
            "canUpdateOwnMetadata": False,
            "canSubscribeMetrics": False,
        }
        async with send_agent(house, assignment.token) as bot:
            await bot.wait_connected()
            joined = (await api.call("GetParticipant", room=ROOM, identity="helper"))["kind"]
            assert joined == "AGENT"
            await worker.report(job, agent.JS_SUCCESS)
            await trio.sleep(1)
            (listed,) = await dispatches(api, dispatch_id=created["id"])
            assert [each["state"]["status"] for each in listed["state"]["jobs"]] == ["JS_SUCCESS"]
        await api.call("DeleteRoom", room=ROOM)


async def test_a_dispatch_without_a_worker_waits_and_says_so(autojump_clock) -> None:
    async with open_house() as house, open_back_end(house) as api:
        created = await dispatch(api)
        (listed,) = await dispatches(api, dispatch_id=created["id"])
        (waiting,) = listed["state"]["jobs"]
        assert (waiting["state"]["status"], waiting["state"]["error"]) == (
            "JS_PENDING",
            "no worker is registered as bot",
        )
        async with open_worker(house) as worker:
            await worker.register("bot")
            job, _ = await worker.take_job()
            assert job.dispatch_id == created["id"]
            await worker.report(job, agent.JS_SUCCESS)
        await api.call("DeleteRoom", room=ROOM)


async def test_a_busy_worker_is_asked_when_it_is_less_so(autojump_clock) -> None:
    async with open_house() as house, open_worker(house) as worker, open_back_end(house) as api:
        await worker.register("bot")
        await worker.say(update_worker=agent.UpdateWorkerStatus(load=float("nan")))
        await trio.sleep(1)
        created = await dispatch(api)
        assert await worker.is_idle(5)
        (listed,) = await dispatches(api, dispatch_id=created["id"])
        assert listed["state"]["jobs"][0]["state"]["error"] == "no worker is available"
        await worker.say(update_worker=agent.UpdateWorkerStatus(load=0.1))
        job, _ = await worker.take_job()
        await worker.report(job, agent.JS_SUCCESS)
        await api.call("DeleteRoom", room=ROOM)


@pytest.mark.parametrize("answers", [True, False], ids=["refuses", "is silent"])
async def test_who_does_not_take_a_job_is_followed_by_another(autojump_clock, answers: bool) -> None:
    async with open_house() as house, open_worker(house) as first, open_worker(house) as second:
        await first.register("bot")
        async with open_back_end(house) as api:
            await dispatch(api)
            refused = await first.be_offered()
            await second.register("bot")
            if answers:
                await first.answer(refused, available=False)
            job, _ = await second.take_job()
            assert job.id == refused.id
            await second.report(job, agent.JS_SUCCESS)
            await api.call("DeleteRoom", room=ROOM)


async def test_a_room_that_wants_nobody_in_particular_gets_the_nameless(autojump_clock) -> None:
    async with open_house() as house, open_worker(house) as nameless, open_worker(house) as named:
        await nameless.register()
        await named.register("bot")
        async with house.visitor("alice", single=True) as alice:
            await alice.wait_connected()
            job, _ = await nameless.take_job()
            assert (job.agent_name, job.type) == ("", agent.JT_ROOM)
            assert await named.is_idle(5)


async def test_a_token_says_whom_its_room_wants(autojump_clock) -> None:
    wanted = {"room_config": {"agents": [{"agentName": "bot", "metadata": "m"}]}}
    async with open_house() as house, open_worker(house) as nameless, open_worker(house) as named:
        await nameless.register()
        await named.register("bot")
        async with house.visitor("alice", single=True, claims=wanted):
            job, _ = await named.take_job()
            assert (job.agent_name, job.metadata) == ("bot", "m")
            assert await nameless.is_idle(5)


async def test_whoever_makes_a_room_says_whom_it_wants(autojump_clock) -> None:
    async with open_house() as house, open_worker(house) as worker, open_back_end(house) as api:
        await worker.register("bot")
        await api.call("CreateRoom", name=ROOM, agents=[{"agent_name": "bot"}])
        await worker.take_job()
        assert [each["agent_name"] for each in await dispatches(api)] == ["bot"]
        with pytest.raises(CallError, match="reserved character"):
            await api.call("CreateRoom", name="other", agents=[{"deployment": "a_b"}])
        await api.call("DeleteRoom", room=ROOM)
        await worker.hear("termination")


async def test_each_publisher_and_each_participant_gets_a_job(autojump_clock) -> None:
    async with open_house() as house, open_worker(house) as publishing, open_worker(house) as joining:
        await publishing.register(type=agent.JT_PUBLISHER)
        await joining.register(type=agent.JT_PARTICIPANT)
        async with house.visitor("alice", single=True) as alice:
            await alice.wait_connected()
            job, token = await joining.take_job()
            assert (job.type, job.participant.identity) == (agent.JT_PARTICIPANT, "alice")
            assert await publishing.is_idle(1)
            await alice.publish_audio()
            job, _ = await publishing.take_job()
            assert (job.type, job.participant.identity) == (agent.JT_PUBLISHER, "alice")
            assert [track.type for track in job.participant.tracks] == [models.AUDIO]
            async with send_agent(house, token) as bot:
                await bot.wait_connected()
                await bot.publish_audio()
                assert await joining.is_idle(2), "no agent for an agent"
        await publishing.hear("termination")


async def test_each_namespace_gets_a_job_of_its_own(autojump_clock) -> None:
    async with open_house() as house, open_worker(house) as red, open_worker(house) as blue:
        await red.register("bot", namespace="red")
        await blue.register("bot", namespace="blue")
        async with open_back_end(house) as api:
            await dispatch(api)
            assert (await red.be_offered()).namespace == "red"
            assert (await blue.be_offered()).namespace == "blue"
            await api.call("DeleteRoom", room=ROOM)


async def test_a_deleted_dispatch_ends_its_job_and_then_its_agent(autojump_clock) -> None:
    async with open_house() as house, open_worker(house) as worker, open_back_end(house) as api:
        await worker.register("bot")
        created = await dispatch(api)
        job, token = await worker.take_job()
        async with send_agent(house, token) as bot:
            await bot.wait_connected()
            ended = await api.call("DeleteDispatch", service=DISPATCH, room=ROOM, dispatch_id=created["id"])
            start = trio.current_time()
            assert [each["id"] for each in ended["state"]["jobs"]] == [job.id]
            assert (await worker.hear("termination")).job_id == job.id
            await wait_until(lambda: not house.identities())
            assert 2.9 < trio.current_time() - start < 3.2
        with pytest.raises(CallError, match="dispatch ID not found"):
            await api.call("DeleteDispatch", service=DISPATCH, room=ROOM, dispatch_id=created["id"])
        await api.call("DeleteRoom", room=ROOM)


async def test_an_agent_that_leaves_ends_its_job(autojump_clock) -> None:
    async with open_house() as house, open_worker(house) as worker, open_back_end(house) as api:
        await worker.register("bot")
        created = await dispatch(api)
        job, token = await worker.take_job()
        async with send_agent(house, token) as bot:
            await bot.wait_connected()
        assert (await worker.hear("termination")).job_id == job.id
        (listed,) = await dispatches(api, dispatch_id=created["id"])
        assert listed["state"]["jobs"][0]["state"]["error"] == "agent worker left the room"
        await api.call("DeleteRoom", room=ROOM)


async def test_a_worker_that_ends_a_job_at_once_is_not_asked_again(autojump_clock) -> None:
    async with open_house() as house, open_worker(house) as worker, open_back_end(house) as api:
        await worker.register("bot")
        created = await dispatch(api)
        await worker.answer(await worker.be_offered(), available=False, terminate=True)
        assert await worker.is_idle(5)
        (listed,) = await dispatches(api, dispatch_id=created["id"])
        assert listed["state"]["jobs"][0]["state"]["status"] == "JS_SUCCESS"
        await api.call("DeleteRoom", room=ROOM)


async def test_a_job_whose_worker_died_before_its_agent_came_goes_to_another(autojump_clock) -> None:
    async with open_house() as house, open_back_end(house) as api, open_worker(house) as second:
        async with open_worker(house) as first:
            await first.register("bot")
            await dispatch(api)
            lost, _ = await first.take_job()
        start = trio.current_time()
        await second.register("bot")
        job, _ = await second.take_job()
        assert job.id == lost.id
        assert 2.9 < trio.current_time() - start < 3.6, "the lease"
        await api.call("DeleteRoom", room=ROOM)


async def test_a_worker_that_comes_back_within_its_lease_keeps_its_job(autojump_clock) -> None:
    async with open_house() as house, open_back_end(house) as api, open_worker(house) as other:
        async with open_worker(house) as worker:
            await worker.register("bot")
            await dispatch(api)
            job, token = await worker.take_job()
        async with send_agent(house, token) as bot, open_worker(house) as worker:
            await bot.wait_connected()
            await worker.register("bot")
            await worker.say(migrate_job=agent.MigrateJobRequest(job_ids=[job.id, "AJ_x"]))
            await other.register("bot")
            assert await other.is_idle(10)
            await bot.leave()
            assert (await worker.hear("termination")).job_id == job.id
            await api.call("DeleteRoom", room=ROOM)


async def test_an_agent_that_lives_keeps_its_job_without_a_worker(autojump_clock) -> None:
    async with open_house() as house, open_back_end(house) as api, open_worker(house) as other:
        async with open_worker(house) as worker:
            await worker.register("bot")
            await dispatch(api)
            lost, token = await worker.take_job()
            bot_context = send_agent(house, token)
            bot = await bot_context.__aenter__()
            await bot.wait_connected()
        await other.register("bot")
        assert await other.is_idle(30)
        await bot_context.__aexit__(None, None, None)
        job, _ = await other.take_job()
        assert job.id == lost.id
        await api.call("DeleteRoom", room=ROOM)


async def test_a_job_whose_worker_and_agent_died_goes_to_another(autojump_clock) -> None:
    async with open_house() as house, open_back_end(house) as api, open_worker(house) as other:
        async with open_worker(house) as worker:
            await worker.register("bot")
            await dispatch(api)
            lost, token = await worker.take_job()
            async with send_agent(house, token) as bot:
                await bot.wait_connected()
                bot.vanish()
                await worker.stream.aclose()
                await other.register("bot")
                job, _ = await other.take_job()
        assert job.id == lost.id
        assert house.identities() == set(), "the old one is removed first"
        await api.call("DeleteRoom", room=ROOM)


async def test_a_worker_cannot_report_anothers_job(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_worker(house) as thief,
        open_back_end(house) as api,
        open_worker(house) as worker,
    ):
        await worker.register("bot")
        await thief.register("thief")
        created = await dispatch(api)
        job, _ = await worker.take_job()
        await thief.report(job, agent.JS_SUCCESS)
        await thief.say(migrate_job=agent.MigrateJobRequest(job_ids=[job.id]))
        await trio.sleep(1)
        (listed,) = await dispatches(api, dispatch_id=created["id"])
        assert listed["state"]["jobs"][0]["state"]["status"] == "JS_RUNNING"
        await api.call("DeleteRoom", room=ROOM)


async def test_a_job_is_lost_three_times_and_then_for_good(autojump_clock) -> None:
    async with open_house() as house, open_back_end(house) as api:
        created = await dispatch(api)
        for _ in range(3):
            async with open_worker(house) as worker:
                await worker.register("bot")
                await worker.take_job()
            await trio.sleep(4)
        async with open_worker(house) as worker:
            await worker.register("bot")
            assert await worker.is_idle(10)
        (listed,) = await dispatches(api, dispatch_id=created["id"])
        state = listed["state"]["jobs"][0]["state"]
        assert (state["status"], state["error"]) == ("JS_FAILED", "3 workers have lost it")
        await api.call("DeleteRoom", room=ROOM)


async def test_a_worker_simulates_jobs_for_itself_but_not_without_bound(autojump_clock) -> None:
    async with open_house() as house, open_worker(house) as worker:
        await worker.register("bot")
        room = models.Room(sid="RM_sim", name=ROOM)
        await worker.say(simulate_job=agent.SimulateJobRequest(room=room))
        job, token = await worker.take_job()
        assert (job.room.sid, claims_of(token)["video"]["room"]) == ("RM_sim", ROOM)
        for _ in range(20):
            await worker.say(simulate_job=agent.SimulateJobRequest(room=room))
        for _ in range(15):
            await worker.be_offered()
        assert await worker.is_idle(10)
