"""An agent worker in memory: one WebSocket, on which a test answers as it likes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import jwt
import trio
from google.protobuf.json_format import MessageToJson, Parse
from livekit.protocol import agent, models

from sfu.model import Claims, VideoGrant
from signaling import tokens
from tests.simulation.house import HTTP, KEY, SECRET, House
from triforium.testing.world import wall_clock
from triforium.visitor.errors import SignalLostError
from triforium.visitor.websocket import WebSocket

PERMISSIONS = models.ParticipantPermission(can_subscribe=True, can_publish=True, can_publish_data=True, agent=True)


def worker_token(**grant: object) -> str:
    """Make a token that says no more than that its bearer runs agents."""
    video = VideoGrant(**(grant or {"agent": True}))
    return tokens.mint(Claims(video=video), KEY, SECRET, wall=wall_clock(), lifetime_seconds=3600)


class FakeWorker:
    """Says what a test wants, and keeps what it is told, in order."""

    def __init__(self, stream: trio.abc.Stream, *, speaks_json: bool = False) -> None:
        self.stream = stream
        self.socket = WebSocket(stream)
        self.told: list[agent.ServerMessage] = []
        self._speaks_json = speaks_json

    @property
    def kinds(self) -> list[str]:
        """The kinds of all that it was told."""
        return [str(message.WhichOneof("message")) for message in self.told]

    async def say(self, **message: object) -> None:
        """Send one message."""
        whole = agent.WorkerMessage(**message)
        await self.socket.send(MessageToJson(whole) if self._speaks_json else whole.SerializeToString())

    async def hear(self, kind: str) -> object:
        """Return the next message, which is to be of `kind`."""
        frame = await self.socket.receive()
        assert isinstance(frame, str) == self._speaks_json, "it is answered in its own form"
        text = isinstance(frame, str)
        message = Parse(frame, agent.ServerMessage()) if text else agent.ServerMessage.FromString(frame)
        self.told.append(message)
        assert message.WhichOneof("message") == kind, message
        return getattr(message, kind)

    async def register(self, agent_name: str = "", **fields: object) -> str:
        """Register; return the id that it gets."""
        fields = {"allowed_permissions": PERMISSIONS} | fields
        await self.say(register=agent.RegisterWorkerRequest(agent_name=agent_name, **fields))
        response = await self.hear("register")
        assert response.server_info.node_id
        return response.worker_id

    async def be_offered(self) -> agent.Job:
        """Wait for an offer."""
        return (await self.hear("availability")).job

    async def answer(self, job: agent.Job, *, available: bool = True, **fields: object) -> None:
        """Answer an offer."""
        await self.say(availability=agent.AvailabilityResponse(job_id=job.id, available=available, **fields))

    async def take_job(self, **fields: object) -> tuple[agent.Job, str]:
        """Accept the next offer; return the job, and the token for its agent."""
        job = await self.be_offered()
        await self.answer(job, participant_identity=f"agent-{job.id}", **fields)
        assignment = await self.hear("assignment")
        assert assignment.job.id == job.id
        return assignment.job, assignment.token

    async def report(self, job: agent.Job, status: agent.JobStatus) -> None:
        """Say how a job goes."""
        await self.say(update_job=agent.UpdateJobStatus(job_id=job.id, status=status))

    async def wait_closed(self) -> int:
        """Wait until the server closes the socket; return the code, 1006 if there is none."""
        try:
            while True:
                await self.socket.receive()
        except SignalLostError as lost:
            return lost.code

    async def is_idle(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        with trio.move_on_after(seconds) as patience:
            await self.socket.receive()
        return patience.cancelled_caught


@asynccontextmanager
async def open_worker(
    house: House, *, token: str | None = None, speaks_json: bool = False
) -> AsyncIterator[FakeWorker]:
    """Connect a worker that has not registered yet."""
    async with await house.network.connect_tcp(house.new_host(), HTTP) as stream:
        worker = FakeWorker(stream, speaks_json=speaks_json)
        bearer = worker_token() if token is None else token
        headers = [(b"Authorization", f"Bearer {bearer}".encode())] if bearer else []
        await worker.socket.open("server", "/agent?protocol=1", headers)
        yield worker


def claims_of(token: str) -> dict[str, object]:
    """Read a token."""
    return jwt.decode(
        token, SECRET, algorithms=["HS256"], options={"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    )
