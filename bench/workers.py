"""Agents' workers in a process of their own, and the back end that sends agents to rooms, told what to do by JSON lines.

{"do": "register", "count": 1000}   → seconds until all are registered
{"do": "dispatch", "per_second": 200, "seconds": 8}  → seconds from each request to its job's assignment

Workers say how busy they are every 2.5 s, as LiveKit's SDKs do, take what they are offered, and are done with it at once.
"""

import json
import math
import sys
import time
from typing import Final
from urllib.parse import urlsplit

import h11
import trio
from livekit.protocol import agent, agent_dispatch

from sfu.model import Claims, VideoGrant
from signaling import tokens
from triforium.config import DEVELOPMENT_KEYS
from triforium.visitor.websocket import WebSocket

AGENT: Final = "bench"
ROOMS: Final = 20
CLIENTS: Final = 16
"""Connections of the back end, so that one request need not wait for the one before."""

STATUS_SECONDS: Final = 2.5
REGISTERING_AT_ONCE: Final = 50
PATIENCE_SECONDS: Final = 10.0
_READ_BYTES: Final = 65_536


def bearer(grant: VideoGrant) -> str:
    key, secret = next(iter(DEVELOPMENT_KEYS.items()))
    return f"Bearer {tokens.mint(Claims(video=grant), key, secret, wall=time.time(), lifetime_seconds=3600)}"


class Workers:
    """All workers of this process. `assigned` says when each dispatch had its job assigned."""

    def __init__(self, host: str, port: int, nursery: trio.Nursery) -> None:
        self.assigned: dict[str, float] = {}
        self._host = host
        self._port = port
        self._nursery = nursery

    async def register(self, count: int) -> float:
        """Register so many; return how long it took."""
        began = time.perf_counter()
        limiter = trio.CapacityLimiter(REGISTERING_AT_ONCE)

        async def register_one(number: int) -> None:
            async with limiter:
                await self._nursery.start(self._work, number * STATUS_SECONDS / count)

        async with trio.open_nursery() as registering:
            for number in range(count):
                registering.start_soon(register_one, number)
        return time.perf_counter() - began

    async def dispatch(self, per_second: int, seconds: float) -> list[float]:
        """Send agents to rooms at a steady pace; return how long each took to be assigned; infinity: never was."""
        asked: dict[str, float] = {}
        requests, received = trio.open_memory_channel[str](int(per_second * seconds))
        async with trio.open_nursery() as nursery:
            for _ in range(CLIENTS):
                nursery.start_soon(self._ask, received.clone())
            received.close()
            due = trio.current_time()
            async with requests:
                for number in range(int(per_second * seconds)):
                    due += 1 / per_second
                    await trio.sleep_until(due)
                    name = f"{due:.6f}"
                    asked[name] = time.perf_counter()
                    requests.send_nowait(f"room-{number % ROOMS} {name}")
        deadline = trio.current_time() + PATIENCE_SECONDS
        while not asked.keys() <= self.assigned.keys() and trio.current_time() < deadline:  # noqa: ASYNC110 - workers tell nobody
            await trio.sleep(0.05)
        return [self.assigned.get(name, math.inf) - at for name, at in asked.items()]

    async def _work(self, first_status: float, *, task_status: trio.TaskStatus[None]) -> None:
        async with await trio.open_tcp_stream(self._host, self._port) as stream, trio.open_nursery() as nursery:
            socket = WebSocket(stream)
            token = bearer(VideoGrant(agent=True)).encode()
            await socket.open(self._host, "/agent?protocol=1", [(b"Authorization", token)])
            await say(socket, register=agent.RegisterWorkerRequest(agent_name=AGENT, type=agent.JT_ROOM))
            await socket.receive()
            task_status.started()
            nursery.start_soon(self._tell_status, socket, first_status)
            while True:
                message = agent.ServerMessage.FromString(bytes(await socket.receive()))  # type: ignore[arg-type]
                match message.WhichOneof("message"):
                    case "availability":
                        job = message.availability.job
                        await say(socket, availability=agent.AvailabilityResponse(job_id=job.id, available=True))
                    case "assignment":
                        job = message.assignment.job
                        self.assigned[job.metadata] = time.perf_counter()
                        await say(socket, update_job=agent.UpdateJobStatus(job_id=job.id, status=agent.JS_SUCCESS))

    async def _tell_status(self, socket: WebSocket, first: float) -> None:
        due = trio.current_time() + first
        while True:
            await trio.sleep_until(due)
            await say(socket, update_worker=agent.UpdateWorkerStatus(load=0.25))
            due += STATUS_SECONDS

    async def _ask(self, requests: trio.MemoryReceiveChannel[str]) -> None:
        """Make requests, one after the other, on one connection."""
        async with requests, await trio.open_tcp_stream(self._host, self._port) as stream:
            http = h11.Connection(h11.CLIENT)
            async for request in requests:
                room, name = request.split()
                await create_dispatch(stream, http, room, name)
                http.start_next_cycle()


async def say(socket: WebSocket, **message: object) -> None:
    await socket.send(agent.WorkerMessage(**message).SerializeToString())  # type: ignore[arg-type]


async def create_dispatch(stream: trio.abc.Stream, http: h11.Connection, room: str, name: str) -> None:
    """Post one dispatch, and read the answer. Its metadata is its name, by which the worker knows it."""
    request = agent_dispatch.CreateAgentDispatchRequest(agent_name=AGENT, room=room, metadata=name)
    body = request.SerializeToString()
    head = h11.Request(
        method="POST",
        target="/twirp/livekit.AgentDispatchService/CreateDispatch",
        headers=[
            ("Host", "bench"),
            ("Authorization", bearer(VideoGrant(room_admin=True, room=room))),
            ("Content-Type", "application/protobuf"),
            ("Content-Length", str(len(body))),
        ],
    )
    await stream.send_all(b"".join(http.send(each) or b"" for each in (head, h11.Data(data=body), h11.EndOfMessage())))
    while not isinstance(event := http.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            http.receive_data(bytes(await stream.receive_some(_READ_BYTES)))
        elif isinstance(event, h11.Response) and event.status_code != 200:
            raise SystemExit(f"a dispatch was answered with {event.status_code}")


async def main(url: str) -> None:
    parts = urlsplit(url)
    assert parts.hostname, "the server says where it is"
    assert parts.port, "and on which port"
    async with trio.open_nursery() as nursery:
        workers = Workers(parts.hostname, parts.port, nursery)
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            match json.loads(line):
                case {"do": "register", "count": number}:
                    answer: object = await workers.register(number)
                case {"do": "dispatch", "per_second": per_second, "seconds": seconds}:
                    answer = await workers.dispatch(per_second, seconds)
                case request:
                    raise SystemExit(f"nobody knows how to {request}")
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        nursery.cancel_scope.cancel("nobody asks any more")


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
