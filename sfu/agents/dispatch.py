"""A dispatch: the wish of a room for agents of one name, and the jobs that have come of it."""

from typing import Final, NamedTuple

from livekit.protocol import agent
from livekit.protocol.agent_dispatch import AgentDispatch, AgentDispatchState

from sfu.agents.jobs import Job
from sfu.model import ParticipantSid
from sfu.room.room import Room
from sfu.settings import AgentWish

MAX_ENDED_JOBS: Final = 100
"""So many are kept to be looked at."""


class Demand(NamedTuple):
    """What one job is for: with it there are never two."""

    job_type: int
    namespace: str
    person: ParticipantSid | None


class Dispatch:
    """`wish` says whom it wants, `created_at` is in Unix nanoseconds."""

    def __init__(self, dispatch_id: str, room: Room, wish: AgentWish, created_at: int) -> None:
        self.id = dispatch_id
        self.room = room
        self.wish = wish
        self.jobs: list[Job] = []
        self._created_at = created_at
        self._met: set[Demand] = set()

    def meet(self, demand: Demand) -> bool:
        """Note that a demand has its job from now on; return whether it had none."""
        is_new = demand not in self._met
        self._met.add(demand)
        return is_new

    def add(self, job: Job) -> None:
        """Keep a job, and of those that are over the latest."""
        ended = [each for each in self.jobs if each.is_over]
        for each in ended[: len(ended) - MAX_ENDED_JOBS]:
            self.jobs.remove(each)
        self.jobs.append(job)

    def forget(self, person: ParticipantSid) -> None:
        """Somebody has left: the jobs for that person are over."""
        self._met = {demand for demand in self._met if demand.person != person}
        for job in self.jobs:
            if job.target == person:
                job.terminate()

    def end(self) -> None:
        """End all its jobs."""
        for job in self.jobs:
            job.terminate()

    def info(self, *, waits_for: str = "") -> AgentDispatch:
        """Return it as back ends see it. If it has no job, `waits_for` says why, in the place of one."""
        jobs = [job.info for job in self.jobs]
        if not jobs and waits_for:
            state = agent.JobState(status=agent.JS_PENDING, error=waits_for)
            jobs = [agent.Job(dispatch_id=self.id, agent_name=self.wish.agent_name, state=state)]
        return AgentDispatch(
            id=self.id,
            agent_name=self.wish.agent_name,
            room=self.room.name,
            metadata=self.wish.metadata,
            state=AgentDispatchState(jobs=jobs, created_at=self._created_at),
            deployment=self.wish.deployment,
            attributes=self.wish.attributes,
        )
