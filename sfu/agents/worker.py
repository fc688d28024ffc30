"""A worker: a process somewhere that runs agents, as it has registered itself, and what we have asked of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias

import trio
from livekit.protocol import agent, models

from sfu.agents.jobs import Job
from sfu.errors import SfuError

ANSWER_SECONDS: Final = 3.0
"""For a worker to say whether it takes a job."""

MAX_DEPLOYMENT_BYTES: Final = 64

Send: TypeAlias = Callable[[agent.ServerMessage], None]
"""Queues a message for a worker. Never blocks."""


class DeploymentError(SfuError):
    """The name of a deployment that cannot be one; the text says why."""


class Skip(Enum):
    """Why something that a worker said came to nothing."""

    UNKNOWN_MESSAGE = auto()
    UNASKED_ANSWER = auto()
    FOREIGN_JOB = auto()
    TOO_MANY_SIMULATIONS = auto()


@dataclass(frozen=True, slots=True)
class WorkerKey:
    """What has to be equal for a worker to get a job."""

    agent_name: str
    namespace: str
    job_type: int
    deployment: str


class Worker:
    """One registration. `permissions` are what its agents may do, `api_key` signs their tokens."""

    def __init__(
        self, worker_id: str, key: WorkerKey, permissions: models.ParticipantPermission, api_key: str, send: Send
    ) -> None:
        self.id = worker_id
        self.key = key
        self.permissions = permissions
        self.api_key = api_key
        self.send = send
        self.load = 0.0
        self.is_available = True
        self.is_registered = True
        self.jobs: dict[str, Job] = {}
        self.simulations = 0
        self._asked: dict[str, trio.MemorySendChannel[agent.AvailabilityResponse]] = {}

    async def ask(self, job: agent.Job) -> agent.AvailabilityResponse | None:
        """Offer a job; return the answer, None if none comes in time, or the worker goes. A checkpoint."""
        answers, answer = trio.open_memory_channel[agent.AvailabilityResponse](1)
        self._asked[job.id] = answers
        self.send(agent.ServerMessage(availability=agent.AvailabilityRequest(job=job)))
        try:
            with trio.move_on_after(ANSWER_SECONDS):
                return await answer.receive()
        except trio.EndOfChannel:
            pass  # it has gone
        finally:
            self._asked.pop(job.id, None)
        return None

    def answer(self, response: agent.AvailabilityResponse) -> Skip | None:
        """Take the answer to an offer: each has one."""
        answers = self._asked.pop(response.job_id, None)
        if answers is None:
            return Skip.UNASKED_ANSWER
        answers.send_nowait(response)
        return None

    def set_status(self, load: float, *, is_available: bool) -> None:
        """Take a worker's word on how it is; what is no load stands for a full one."""
        self.load = min(max(load, 0.0), 1.0) if math.isfinite(load) else 1.0
        self.is_available = is_available

    def terminate(self, job_id: str) -> None:
        """Tell it to end a job."""
        self.send(agent.ServerMessage(termination=agent.JobTermination(job_id=job_id)))

    def leave(self) -> None:
        """Its socket is gone: nobody waits for its answers any more, and its jobs look for themselves."""
        self.is_registered = False
        for answers in self._asked.values():
            answers.close()
        for job in self.jobs.values():
            job.changed.notify()


def check_deployment(deployment: str) -> None:
    """Check the name of a deployment. Raises DeploymentError."""
    if len(deployment.encode()) > MAX_DEPLOYMENT_BYTES:
        raise DeploymentError(f"deployment exceeds max length of {MAX_DEPLOYMENT_BYTES}")
    if "_" in deployment:
        raise DeploymentError("deployment contains reserved character '_'")
    if any(character.isspace() for character in deployment):
        raise DeploymentError("deployment contains whitespace")
