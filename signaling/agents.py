"""`/agent`: workers' sockets, on which they register, are offered jobs and say how these go."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import trio
from google.protobuf.json_format import MessageToJson
from livekit.protocol import agent

from rtp.errors import RemoteProtocolError
from sfu.agents.agents import Agents
from sfu.agents.worker import DeploymentError, Skip, Worker
from sfu.room.projections import server_info
from signaling.door import NO_ACCESS, Door
from signaling.frames import parse_frame
from signaling.http.errors import HttpError
from signaling.http.exchange import Exchange
from signaling.http.routes import Handler
from signaling.http.websocket import WebSocketClosedError, WebSocketConnection, check_handshake

logger = logging.getLogger(__name__)

REGISTER_SECONDS: Final = 10.0
"""For a worker to register."""

SILENCE_SECONDS: Final = 30.0
"""A worker from which nothing has come for so long, not even an answer to our pings, is gone."""

MAX_QUEUED_MESSAGES: Final = 1000
"""A worker that lets this many wait does not read: its socket is ended."""


@dataclass(frozen=True, slots=True)
class AgentService:
    """Lets workers through the door: all they need is a token whose grant says `agent`."""

    door: Door
    agents: Agents
    node_id: str

    def handlers(self) -> dict[str, Handler]:
        """What to answer under which path."""
        return {"/agent": self._serve}

    async def _serve(self, exchange: Exchange) -> None:
        if not exchange.request.wants_websocket:
            raise HttpError(404)
        claims = self.door.authenticate(exchange.request)
        if claims is None or claims.video is None or not claims.video.agent:
            raise HttpError(401, NO_ACCESS)
        check_handshake(exchange.request)
        exchange.vouch()
        session = WorkerSession(self.agents, claims.api_key, self.node_id, self.door.wall)
        await session.serve(await exchange.upgrade())


class WorkerSession:
    """One worker's socket. It ends without a close frame if the worker breaks the protocol, as LiveKit's server does it."""

    def __init__(self, agents: Agents, api_key: str, node_id: str, wall: Callable[[], float]) -> None:
        self._agents = agents
        self._api_key = api_key
        self._node_id = node_id
        self._wall = wall
        self._worker: Worker | None = None
        self._speaks_text = False
        self._outbox, self._queued = trio.open_memory_channel[agent.ServerMessage](MAX_QUEUED_MESSAGES)

    async def serve(self, websocket: WebSocketConnection) -> None:
        """Serve the socket until it is over, and then forget its worker."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_from, websocket)
                nursery.start_soon(self._watch, websocket)
                await self._write_to(websocket)
                nursery.cancel_scope.cancel("the socket is over")
        finally:
            if self._worker is not None:
                self._agents.unregister(self._worker)

    def receive(self, message: agent.WorkerMessage) -> None:
        """Do what a worker says. Raises RemoteProtocolError if it may not say so now."""
        kind = message.WhichOneof("message")
        if kind == "ping":
            now = int(self._wall() * 1000)
            self._send(agent.ServerMessage(pong=agent.WorkerPong(last_timestamp=message.ping.timestamp, timestamp=now)))
        elif kind == "register":
            self._register(message.register)
        elif self._worker is None:
            raise RemoteProtocolError(f"{kind} before register")
        else:
            self._receive_from(self._worker, message)

    def _receive_from(self, worker: Worker, message: agent.WorkerMessage) -> None:
        match message.WhichOneof("message"):
            case "availability":
                self._agents.answer(worker, message.availability)
            case "update_worker":
                update = message.update_worker
                is_available = worker.is_available
                if update.HasField("status"):
                    is_available = update.status == agent.WS_AVAILABLE
                self._agents.registry.set_status(worker, update.load, is_available=is_available)
            case "update_job":
                self._agents.update_job(worker, message.update_job)
            case "simulate_job":
                self._agents.simulate_job(worker, message.simulate_job)
            case "migrate_job":
                self._agents.migrate_jobs(worker, message.migrate_job.job_ids)
            case _:
                self._agents.skipped[Skip.UNKNOWN_MESSAGE] += 1

    def _register(self, request: agent.RegisterWorkerRequest) -> None:
        if self._worker is not None:
            raise RemoteProtocolError("registered twice")
        if request.type not in agent.JobType.values():
            raise RemoteProtocolError(f"registered for jobs of type {request.type}, which there is not")
        try:
            self._worker = worker = self._agents.register(request, self._api_key, self._send)
        except DeploymentError as error:
            raise RemoteProtocolError(str(error)) from error
        response = agent.RegisterWorkerResponse(worker_id=worker.id, server_info=server_info(self._node_id))
        self._send(agent.ServerMessage(register=response))  # workers take nothing else for the first message
        self._agents.start(worker)

    def _send(self, message: agent.ServerMessage) -> None:
        try:
            self._outbox.send_nowait(message)
        except trio.WouldBlock:
            logger.warning("a worker has let %d messages wait: its socket is closed", MAX_QUEUED_MESSAGES)
            self._outbox.close()
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            pass  # the socket is ending

    async def _read_from(self, websocket: WebSocketConnection) -> None:
        try:
            while True:
                frame = await websocket.receive()
                self._speaks_text = isinstance(frame, str)
                self.receive(parse_frame(frame, agent.WorkerMessage))
        except WebSocketClosedError as closed:
            logger.debug("a worker's socket is over: %s", closed)
        except RemoteProtocolError as error:
            logger.info("a worker's socket is closed: %s", error)
        self._outbox.close()

    async def _write_to(self, websocket: WebSocketConnection) -> None:
        try:
            async for message in self._queued:
                await websocket.send(MessageToJson(message) if self._speaks_text else message.SerializeToString())
        except WebSocketClosedError as closed:
            logger.debug("a worker's socket went while we wrote: %s", closed)

    async def _watch(self, websocket: WebSocketConnection) -> None:
        """End the socket of a worker that does not register, or has fallen silent."""
        await trio.sleep(REGISTER_SECONDS)
        while (  # noqa: ASYNC110 - what is waited for is a time, and that moves
            self._worker is not None and trio.current_time() < websocket.heard_at + SILENCE_SECONDS
        ):
            await trio.sleep_until(websocket.heard_at + SILENCE_SECONDS)
        self._outbox.close()
