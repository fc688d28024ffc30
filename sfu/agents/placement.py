"""How a job finds a worker, and another if that one is lost.

Workers are asked one after the other; who refuses or does not answer is not asked again. A job whose worker is gone
stays where it is as long as the worker may come back, or its agent lives: it is given to another only if the worker has
not registered anew within the lease, and the agent is gone, never came, or has lost both signalling and media.
"""

import logging
from collections.abc import Callable
from typing import Final, TypeAlias

import trio
from livekit.protocol import agent

from sfu.agents.jobs import Job
from sfu.agents.registry import Registry
from sfu.agents.worker import Worker, WorkerKey
from sfu.errors import CloseReason
from sfu.model import Claims, Identity, ParticipantKind, VideoGrant

logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 3.0
"""For a worker whose socket is gone to register anew."""

JOIN_SECONDS: Final = 60.0
"""For an agent to come once a worker has its job: some load models first."""

LEAVE_SECONDS: Final = 3.0
"""For an agent to leave by itself once its job was ended."""

MAX_TRIES: Final = 3
"""So many workers may have a job, one after the other."""

_LOOK_SECONDS: Final = 0.5
"""How often an agent without a worker is looked at: nothing tells when somebody loses touch."""

Mint: TypeAlias = Callable[[Claims], str]
"""Makes an agent's token, signed with the API key that the claims name."""


class Placement:
    """Runs jobs, each as one task."""

    def __init__(self, registry: Registry, mint: Mint) -> None:
        self._registry = registry
        self._mint = mint

    async def run(self, job: Job, key: WorkerKey) -> None:
        """Keep a job with some worker until it is over, and its agent gone."""
        with job.scope:
            while job.tries < MAX_TRIES:
                await self._place(job, key)
                await _watch(job)
                logger.warning("job %s has lost its worker, or its agent: it is offered again", job.id)
                job.lose()
                _remove_agent(job)
            job.finish(agent.JS_FAILED, f"{MAX_TRIES} workers have lost it")
        if job.is_evicted and job.find_agent() is not None:
            await trio.sleep(LEAVE_SECONDS)
            _remove_agent(job)

    async def run_simulated(self, job: Job, worker: Worker) -> None:
        """Offer a job to one worker, who asked for it; return once it is over."""
        with job.scope:
            if await self._offer(job, worker):
                while worker.is_registered:
                    await job.changed.wait_changed(job.changed.version)
            job.finish(agent.JS_FAILED, "refused, or the worker is gone")
        worker.simulations -= 1

    async def _place(self, job: Job, key: WorkerKey) -> None:
        """Return once a worker has the job."""
        while True:
            seen = self._registry.changed.version
            worker = self._registry.choose(key, job.refused)
            if worker is None:
                job.wait("no worker is available")
                logger.info("job %s waits: no worker for %r is available", job.id, key.agent_name)
                await self._registry.changed.wait_changed(seen)
            elif await self._offer(job, worker):
                return
            else:
                logger.info("worker %s does not take job %s: another is asked", worker.id, job.id)
                job.refused.add(worker.id)

    async def _offer(self, job: Job, worker: Worker) -> bool:
        """Offer a job to one worker, and assign it; return whether that has it now."""
        job.offer(worker)
        answer = await worker.ask(job.info)
        if answer is None:
            return False
        if answer.terminate:
            job.finish()
            await trio.lowlevel.checkpoint()  # and it ends here
        if not answer.available:
            return False
        claims = _agent_claims(job, worker, answer)
        job.assign(worker, claims.identity)
        assignment = agent.JobAssignment(job=job.info, token=self._mint(claims))
        worker.send(agent.ServerMessage(assignment=assignment))
        logger.info("job %s goes to worker %s (load %.2f)", job.id, worker.id, worker.load)
        return True


async def _watch(job: Job) -> None:
    """Return once the job is to be given to another worker."""
    join_by = trio.current_time() + JOIN_SECONDS
    lost_at: float | None = None
    while True:
        seen = job.changed.version
        now = trio.current_time()
        if job.worker is not None and job.worker.is_registered:
            lost_at = None
            wake_at = float("inf") if job.has_agent else join_by
            if now >= wake_at:
                return
        else:
            lost_at = now if lost_at is None else lost_at
            wake_at = max(lost_at + LEASE_SECONDS, now + _LOOK_SECONDS)
            if now >= lost_at + LEASE_SECONDS and _is_out_of_touch(job):
                return
        with trio.move_on_at(wake_at):
            await job.changed.wait_changed(seen)


def _is_out_of_touch(job: Job) -> bool:
    participant = job.find_agent()
    return participant is None or not participant.is_in_touch


def _remove_agent(job: Job) -> None:
    participant = job.find_agent()
    if participant is not None and job.room is not None:
        job.room.remove(participant, CloseReason.PARTICIPANT_REMOVED)


def _agent_claims(job: Job, worker: Worker, answer: agent.AvailabilityResponse) -> Claims:
    may = worker.permissions
    return Claims(
        identity=Identity(answer.participant_identity or f"agent-{job.id}"),
        name=answer.participant_name,
        kind=ParticipantKind.AGENT,
        metadata=answer.participant_metadata,
        attributes=dict(answer.participant_attributes) | {"lk.agent_name": worker.key.agent_name},
        api_key=worker.api_key,
        video=VideoGrant(
            room_join=True,
            room=job.info.room.name,
            agent=True,
            can_subscribe=may.can_subscribe,
            can_publish=may.can_publish,
            can_publish_data=may.can_publish_data,
            can_update_own_metadata=may.can_update_metadata,
            can_subscribe_metrics=may.can_subscribe_metrics,
            hidden=may.hidden,
        ),
    )
