"""A job: one agent wanted in one room, from the wish for it until it is over.

state       while                                           the worker
PENDING     no worker can take it; `error` says why         none
RUNNING     it is offered, or a worker has it               known
SUCCESS     the worker has finished it, or it was ended     forgotten
FAILED      the worker or its agent has failed it           forgotten
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import trio
from livekit.protocol import agent

from sfu.model import Identity, ParticipantSid
from sfu.notifier import Notifier
from sfu.room.participant import Participant
from sfu.room.room import Room

if TYPE_CHECKING:
    from sfu.agents.worker import Worker

NANOSECONDS = 1_000_000_000


class Job:
    """`info` is what workers and back ends see of it; `room` is None if it is only simulated.

    `target` is the session that it is for, if it is for one. `wall` gives Unix seconds.
    """

    def __init__(
        self, info: agent.Job, room: Room | None, target: ParticipantSid | None, wall: Callable[[], float]
    ) -> None:
        self.info = info
        self.room = room
        self.target = target
        self.worker: Worker | None = None
        self.has_agent = False
        self.is_over = False
        self.is_evicted = False
        """Whether its agent is to leave, whatever the worker does."""
        self.refused: set[str] = set()
        self.tries = 0
        self.scope = trio.CancelScope()
        self.changed = Notifier()
        self._wall = wall

    @property
    def id(self) -> str:
        """Its id."""
        return self.info.id

    def wait(self, reason: str) -> None:
        """Nobody can take it now."""
        self.info.state.CopyFrom(agent.JobState(status=agent.JS_PENDING, error=reason, updated_at=self._now()))

    def offer(self, worker: "Worker") -> None:
        """It is offered to a worker, who is to see it as running."""
        now = self._now()
        state = agent.JobState(status=agent.JS_RUNNING, started_at=now, updated_at=now, worker_id=worker.id)
        self.info.state.CopyFrom(state)

    def assign(self, worker: "Worker", identity: Identity) -> None:
        """A worker has it, and its agent joins as `identity`."""
        self.worker = worker
        self.has_agent = False
        self.tries += 1
        worker.jobs[self.id] = self
        self.info.state.participant_identity = identity

    def adopt(self, worker: "Worker") -> None:
        """The worker that has it has registered anew."""
        if self.worker is not None:
            self.worker.jobs.pop(self.id, None)
        self.worker = worker
        worker.jobs[self.id] = self
        self.info.state.worker_id = worker.id
        self.info.state.updated_at = self._now()
        self.changed.notify()

    def lose(self) -> None:
        """The worker has it no more: if that lives, it is told so, and not asked again."""
        assert self.worker is not None, "only what was assigned can be lost"
        self.worker.jobs.pop(self.id, None)
        if self.worker.is_registered:
            self.worker.terminate(self.id)
            self.refused.add(self.worker.id)
        self.worker = None

    def report(self, update: agent.UpdateJobStatus) -> None:
        """Take its worker's word on how it goes."""
        if update.status in (agent.JS_PENDING, agent.JS_RUNNING):
            self.info.state.updated_at = self._now()
        else:
            self.finish(update.status, update.error)

    def agent_came(self) -> None:
        """Its agent is in the room."""
        self.has_agent = True
        self.changed.notify()

    def agent_left(self) -> None:
        """Its agent has left the room: that ends it, unless the worker is gone, too."""
        if self.worker is not None and self.worker.is_registered:
            self.terminate(agent.JS_FAILED, "agent worker left the room")
        else:
            self.changed.notify()

    def terminate(self, status: agent.JobStatus = agent.JS_SUCCESS, error: str = "") -> None:
        """End it: the worker is told, and if the agent does not leave it will be made to. Idempotent."""
        if not self.is_over:
            self.is_evicted = True
            if self.worker is not None:
                self.worker.terminate(self.id)
            self.finish(status, error)

    def find_agent(self) -> Participant | None:
        """Return its agent, if it is in the room. People of that name who are no agents are left in peace."""
        identity = Identity(self.info.state.participant_identity)
        participant = None if self.room is None else self.room.participants.get(identity)
        return participant if participant is not None and participant.claims.is_agent else None

    def finish(self, status: agent.JobStatus = agent.JS_SUCCESS, error: str = "") -> None:
        """It is over, and its worker knows, if it has one. Idempotent."""
        if self.is_over:
            return
        self.is_over = True
        if self.worker is not None:
            self.worker.jobs.pop(self.id, None)
        now = self._now()
        state = self.info.state
        state.status, state.error, state.ended_at, state.updated_at = status, error, now, now
        self.scope.cancel("the job is over")

    def _now(self) -> int:
        return int(self._wall() * NANOSECONDS)
