"""Agents in rooms: which rooms want whom, who is there to run them, and the jobs between the two.

Rooms tell by their events who comes, publishes and goes. A room whose makers want nobody in particular wants all those
workers who registered without a name.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from random import Random
from typing import Final, NoReturn

import trio
from livekit.protocol import agent, models
from livekit.protocol.agent_dispatch import AgentDispatch

from sfu.agents.dispatch import Demand, Dispatch
from sfu.agents.jobs import NANOSECONDS, Job
from sfu.agents.placement import Mint, Placement
from sfu.agents.registry import Registry
from sfu.agents.worker import Send, Skip, Worker, WorkerKey, check_deployment
from sfu.errors import CloseReason, RoomClosedError
from sfu.model import new_sid
from sfu.room.events import (
    ParticipantAborted,
    ParticipantJoined,
    ParticipantLeft,
    RoomEvent,
    RoomFinished,
    RoomStarted,
    TrackPublished,
)
from sfu.room.participant import Participant
from sfu.room.projections import participant_info, room_info
from sfu.room.room import Room
from sfu.settings import AgentWish

logger = logging.getLogger(__name__)

MAX_SIMULATIONS: Final = 16
"""Jobs of its own making that a worker may have at a time."""

_ANYTHING: Final = models.ParticipantPermission(
    can_subscribe=True, can_publish=True, can_publish_data=True, can_update_metadata=True
)
"""What agents may do whose worker says nothing of it."""


class Agents:
    """Gives jobs to workers. `mint` makes the tokens of agents, `wall` gives Unix seconds."""

    def __init__(self, mint: Mint, wall: Callable[[], float], random: Random) -> None:
        self.registry = Registry(random)
        self.skipped: Counter[Skip] = Counter()
        self._placement = Placement(self.registry, mint)
        self._wall = wall
        self._random = random
        self._dispatches: dict[str, dict[str, Dispatch]] = {}  # by the sid of the room, and by their own id
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Run jobs until cancelled. Started once it can hear of rooms."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()
        raise AssertionError("it sleeps until cancelled")

    # What rooms tell

    def hear(self, event: RoomEvent) -> None:
        """Do what an event calls for. Never blocks."""
        match event:
            case RoomStarted(room):
                self._dispatches[room.sid] = {}
                for wish in room.settings.agents or (AgentWish(),):
                    self.create_dispatch(room, wish)
            case RoomFinished(room):
                for dispatch in self._dispatches.pop(room.sid, {}).values():
                    dispatch.end()
            case ParticipantJoined(room, participant):
                self._came(room, participant)
            case TrackPublished(room, participant):
                self._demand(self._of(room), agent.JT_PUBLISHER, participant)
            case ParticipantLeft(room, participant) | ParticipantAborted(room, participant):
                self._left(room, participant)
            case _:
                pass  # tracks that go end no job

    # What back ends ask

    def create_dispatch(self, room: Room, wish: AgentWish) -> AgentDispatch:
        """Send agents to a room; return the dispatch as it begins. Raises RoomClosedError."""
        if (dispatches := self._dispatches.get(room.sid)) is None:
            raise RoomClosedError(room.name)
        created_at = int(self._wall() * NANOSECONDS)
        dispatch = Dispatch(new_sid("AD_", self._random), room, wish, created_at)
        dispatches[dispatch.id] = dispatch
        begun = dispatch.info()
        for job_type in agent.JobType.values():
            self._demand_for_all(dispatch, job_type)
        return begun

    def delete_dispatch(self, room: Room, dispatch_id: str) -> AgentDispatch | None:
        """End a dispatch with its jobs; return it as it was, None if there is none."""
        dispatch = self._dispatches.get(room.sid, {}).pop(dispatch_id, None)
        if dispatch is None:
            return None
        ended = dispatch.info()
        dispatch.end()
        return ended

    def list_dispatches(self, room: Room | None = None) -> list[AgentDispatch]:
        """Return the dispatches of a room, or of all, with their jobs, and why they have none."""
        dispatches = self._all() if room is None else self._of(room)
        return [each.info(waits_for=self._missing(each.wish)) for each in dispatches]

    # What workers say

    def register(self, request: agent.RegisterWorkerRequest, api_key: str, send: Send) -> Worker:
        """Take in a worker, who authenticated with `api_key`; call `unregister` when it is gone. Raises DeploymentError."""
        check_deployment(request.deployment)
        key = WorkerKey(request.agent_name, request.namespace, request.type, request.deployment)
        permissions = request.allowed_permissions if request.HasField("allowed_permissions") else _ANYTHING
        worker = Worker(new_sid("AW_", self._random), key, permissions, api_key, send)
        logger.info("worker %s registers as %r for %s", worker.id, key.agent_name, agent.JobType.Name(request.type))
        return worker

    def start(self, worker: Worker) -> None:
        """Give jobs to a worker that has been told that it is registered."""
        if self.registry.add(worker):  # else those who wait for its kind have their jobs already
            for dispatch in self._all():
                if (dispatch.wish.agent_name, dispatch.wish.deployment) == (
                    worker.key.agent_name,
                    worker.key.deployment,
                ):
                    self._demand_for_all(dispatch, worker.key.job_type)

    def unregister(self, worker: Worker) -> None:
        """Forget a worker whose socket is gone."""
        logger.info("worker %s is gone, with %d jobs", worker.id, len(worker.jobs))
        self.registry.remove(worker)

    def answer(self, worker: Worker, response: agent.AvailabilityResponse) -> None:
        """Take a worker's answer to an offer."""
        if (skip := worker.answer(response)) is not None:
            self.skipped[skip] += 1

    def update_job(self, worker: Worker, update: agent.UpdateJobStatus) -> None:
        """Take a worker's word on a job of its own."""
        if (job := worker.jobs.get(update.job_id)) is None:
            self.skipped[Skip.FOREIGN_JOB] += 1
        else:
            job.report(update)

    def migrate_jobs(self, worker: Worker, job_ids: Iterable[str]) -> None:
        """Give jobs back to a worker that had them before it registered anew."""
        asked = set(job_ids)
        for job in (job for dispatch in self._all() for job in dispatch.jobs if job.id in asked):
            asked.discard(job.id)
            former = job.worker
            if former is None or former.is_registered or (former.key, former.api_key) != (worker.key, worker.api_key):
                self.skipped[Skip.FOREIGN_JOB] += 1
            elif not job.is_over:
                job.adopt(worker)
        self.skipped[Skip.FOREIGN_JOB] += len(asked)

    def simulate_job(self, worker: Worker, request: agent.SimulateJobRequest) -> None:
        """Offer a worker a job of its own making, in a room that need not exist."""
        if worker.simulations >= MAX_SIMULATIONS:
            self.skipped[Skip.TOO_MANY_SIMULATIONS] += 1
            return
        participant = request.participant if request.HasField("participant") else None
        job_type = agent.JT_ROOM if participant is None else agent.JT_PUBLISHER
        info = self._job_info(worker.key, job_type, request.room, participant)
        job = Job(info, None, None, self._wall)
        worker.simulations += 1
        self._start(partial(self._placement.run_simulated, job, worker), job)

    # Privates

    def _of(self, room: Room) -> Iterable[Dispatch]:
        return list(self._dispatches.get(room.sid, {}).values())

    def _all(self) -> Iterator[Dispatch]:
        return (dispatch for of_room in list(self._dispatches.values()) for dispatch in list(of_room.values()))

    def _missing(self, wish: AgentWish) -> str:
        if not wish.agent_name or self.registry.knows(wish.agent_name, wish.deployment):
            return ""
        return f"no worker is registered as {wish.agent_name}"

    def _came(self, room: Room, participant: Participant) -> None:
        for job in self._jobs_of(room, participant):
            job.agent_came()
        self._demand(self._of(room), agent.JT_PARTICIPANT, participant)

    def _left(self, room: Room, participant: Participant) -> None:
        if participant.close_reason is not CloseReason.DUPLICATE_IDENTITY:  # else it is there in another session
            for job in self._jobs_of(room, participant):
                job.agent_left()
        for dispatch in self._of(room):
            dispatch.forget(participant.sid)

    def _jobs_of(self, room: Room, participant: Participant) -> list[Job]:
        """Return the jobs whose agent somebody is."""
        if not participant.claims.is_agent:
            return []
        jobs = (job for dispatch in self._of(room) for job in dispatch.jobs if not job.is_over)
        return [job for job in jobs if job.info.state.participant_identity == participant.identity]

    def _demand_for_all(self, dispatch: Dispatch, job_type: int) -> None:
        """See to it that there is a job for the room, or for each who is there, as the type says."""
        if job_type == agent.JT_ROOM:
            self._demand([dispatch], job_type, None)
            return
        for person in dispatch.room.participants.values():
            if person.has_been_active if job_type == agent.JT_PARTICIPANT else person.is_publisher:
                self._demand([dispatch], job_type, person)

    def _demand(self, dispatches: Iterable[Dispatch], job_type: int, person: Participant | None) -> None:
        """See to it that there is a job in each pool of workers whom a dispatch is for; none is for agents and the like."""
        if person is not None and person.claims.is_dependent:
            return
        for dispatch in dispatches:
            for key in self.registry.keys(dispatch.wish.agent_name, job_type, dispatch.wish.deployment):
                if dispatch.meet(Demand(job_type, key.namespace, None if person is None else person.sid)):
                    self._launch(dispatch, key, person)

    def _launch(self, dispatch: Dispatch, key: WorkerKey, person: Participant | None) -> None:
        target = None if person is None else participant_info(person)
        info = self._job_info(key, key.job_type, room_info(dispatch.room), target)
        info.dispatch_id = dispatch.id
        info.metadata = dispatch.wish.metadata
        info.attributes.update(dispatch.wish.attributes)
        job = Job(info, dispatch.room, None if person is None else person.sid, self._wall)
        dispatch.add(job)
        self._start(partial(self._placement.run, job, key), job)

    def _job_info(
        self, key: WorkerKey, job_type: int, room: models.Room, participant: models.ParticipantInfo | None
    ) -> agent.Job:
        return agent.Job(
            id=new_sid("AJ_", self._random),
            type=agent.JobType.Name(job_type),
            room=room,
            participant=participant,
            namespace=key.namespace,
            agent_name=key.agent_name,
            deployment=key.deployment,
        )

    def _start(self, run: Callable[[], Awaitable[None]], job: Job) -> None:
        assert self._nursery is not None, "rooms open after us"
        self._nursery.start_soon(self._host, run, job)

    async def _host(self, run: Callable[[], Awaitable[None]], job: Job) -> None:
        try:
            await run()
        except Exception:  # the fence: a bug in one job ends that job only
            logger.exception("job %s crashed", job.id)
            job.terminate(agent.JS_FAILED, "internal error")
