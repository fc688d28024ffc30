"""A worker's recorded conversation, had again: what it said is said, and what it was told has to come, in that order."""

import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from livekit.protocol import agent
from livekit.protocol.models import DisconnectReason

from tests.simulation.back_end import api_token, open_back_end
from tests.simulation.house import HTTP, open_house
from tests.simulation.recording import TRACES
from tests.simulation.worker import FakeWorker, claims_of, open_worker
from triforium.visitor import open_visitor

ROOM = "s16-worker-by-hand"
CHANGING = {"started_at", "updated_at", "room", "timestamp", "exp", "nbf", "iat", "node_id"}
"""Fields of which only the presence is compared."""


def lines() -> Iterator[dict[str, Any]]:
    """Yield what the worker's socket, the back end and the agent's coming and going are made of."""
    for text in (TRACES / "s16-worker-by-hand.raw.jsonl").read_text().splitlines():
        line = json.loads(text)
        is_spoken = line.get("c") == "worker" and line["k"] not in ("ws-open", "ws-accepted", "ws-ping", "ws-pong")
        is_call = line.get("c") == "api"
        is_agent = line.get("c", "").startswith("agent-") and line["k"] in ("ws-open", "leave")
        if is_spoken or is_call or is_agent:
            yield line


class Replay:
    """Says what was said, with our ids for theirs."""

    def __init__(self, worker: FakeWorker) -> None:
        self.worker = worker
        self.ids: dict[str, str] = {}
        self.token = ""

    def ours(self, recorded: object) -> Any:
        """Return what was recorded with our ids in it."""
        text = json.dumps(recorded)
        for theirs, our in self.ids.items():
            text = text.replace(theirs, our)
        return json.loads(text)

    async def say(self, line: dict[str, Any]) -> None:
        """Say a line of the worker's."""
        message = ParseDict({line["k"]: self.ours(line["m"])}, agent.WorkerMessage())
        await self.worker.socket.send(message.SerializeToString())

    async def hear(self, line: dict[str, Any]) -> None:
        """Hear what was recorded, but for what cannot be the same."""
        heard = MessageToDict(await self.worker.hear(line["k"]), preserving_proto_field_name=True)
        recorded = dict(line["m"])
        if line["k"] == "assignment":
            self.token = heard.pop("token")
            self.check_token(recorded.pop("token"))
            if "participant_identity" not in recorded["job"]["state"]:  # there, such an agent cannot join
                assert heard["job"]["state"].pop("participant_identity") == f"agent-{heard['job']['id']}"
        self.learn(recorded, heard)
        assert masked(heard) == masked(self.ours(recorded)), line["t"]

    def learn(self, recorded: object, heard: object) -> None:
        """Find our ids that stand for theirs."""
        if isinstance(recorded, dict) and isinstance(heard, dict):
            for name in recorded.keys() & heard.keys():
                if name in ("id", "worker_id", "job_id", "dispatch_id") and isinstance(recorded[name], str):
                    self.ids.setdefault(recorded[name], heard[name])
                self.learn(recorded[name], heard[name])

    def check_token(self, recorded: dict[str, Any]) -> None:
        """Compare a job's token with the recorded one; those who gave no identity get one from us."""
        said, wanted = claims_of(self.token), recorded["jwt_claims"]
        if isinstance(wanted, dict):  # else it says "same as before"
            given = {name: value for name, value in said.items() if name in wanted}
            assert masked(given) == masked(self.ours(wanted))


def masked(fields: Any) -> Any:
    """Return fields without the values of those that change."""
    if not isinstance(fields, dict):
        return fields
    return {name: "…" if name in CHANGING else masked(value) for name, value in fields.items()}


async def test_a_worker_is_told_what_was_recorded_in_that_order(autojump_clock) -> None:
    async with (
        open_house() as house,
        open_back_end(house) as api,
        open_worker(house) as worker,
        AsyncExitStack() as people,
    ):
        api.token = api_token(room=ROOM, room_admin=True, room_create=True)
        replay = Replay(worker)
        for line in lines():
            if line.get("c") == "api" and line["d"] == "c>s":
                method = line["path"].rpartition("/")[2]
                answer = await api.call(method, service="AgentDispatchService", **replay.ours(line["body"]["protobuf"]))
            elif line.get("c") == "api":
                replay.learn(line["body"]["protobuf"], answer)
            elif line["k"] == "ws-open":
                bot = await people.enter_async_context(
                    open_visitor(house.world(), HTTP, replay.token, single_connection=True)
                )
                await bot.wait_connected()
            elif line["k"] == "leave":
                await bot.wait_over()
                assert bot.disconnect_reason == DisconnectReason.PARTICIPANT_REMOVED
            elif line["k"] == "tcp-end":
                assert await worker.wait_closed() == 1006
                break
            elif line["d"] == "c>s":
                await replay.say(line)
            else:
                await replay.hear(line)
        await api.call("DeleteRoom", room=ROOM)
