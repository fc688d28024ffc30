"""Who is there to run agents, and what for: plain data, made only when an operator asks."""

from dataclasses import dataclass

from livekit.protocol import agent

from sfu.agents.agents import Agents
from sfu.agents.registry import is_fit


@dataclass(frozen=True, slots=True)
class WorkerEntry:
    """A worker that is registered. `load` is from 0 to 1; `jobs` counts those that it has."""

    id: str
    agent_name: str
    namespace: str
    deployment: str
    job_type: str
    load: float
    takes_jobs: bool
    jobs: int


@dataclass(frozen=True, slots=True)
class JobEntry:
    """A job that is not over. `participant` is whom it is for, if it is for one; `agent` who does it.

    Without an `id` it is a dispatch that has no job yet; `error` says what either waits for.
    """

    id: str
    dispatch: str
    agent_name: str
    room: str
    participant: str
    status: str
    error: str
    worker: str
    agent: str


@dataclass(frozen=True, slots=True)
class AgentCensus:
    """The workers and the jobs of a server."""

    workers: list[WorkerEntry]
    jobs: list[JobEntry]


def take_census(agents: Agents) -> AgentCensus:
    """Return who is registered, and what is to be done or is being done."""
    workers = [
        WorkerEntry(
            worker.id,
            worker.key.agent_name,
            worker.key.namespace,
            worker.key.deployment,
            agent.JobType.Name(worker.key.job_type),
            worker.load,
            is_fit(worker),
            len(worker.jobs),
        )
        for worker in agents.registry.workers()
    ]
    jobs = [
        JobEntry(
            job.id,
            dispatch.id,
            dispatch.agent_name,
            dispatch.room,
            job.participant.identity,
            agent.JobStatus.Name(job.state.status),
            job.state.error,
            job.state.worker_id,
            job.state.participant_identity,
        )
        for dispatch in agents.list_dispatches()
        for job in dispatch.state.jobs
        if job.state.status in (agent.JS_PENDING, agent.JS_RUNNING)
    ]
    return AgentCensus(workers, jobs)
