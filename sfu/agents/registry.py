"""All workers that are registered, and which of them is asked."""

from collections.abc import Collection, Iterable
from random import Random
from typing import Final

from sfu.agents.worker import Worker, WorkerKey
from sfu.notifier import Notifier

TARGET_LOAD: Final = 0.7
"""Whoever is busier gets no job: LiveKit's `agents.target_load`."""


MAX_DRAWS: Final = 16
"""So often one worker is drawn before all are looked at: where most are idle, the first or second will do."""


def choose(workers: Iterable[Worker], refused: Collection[str], dice: float) -> Worker | None:
    """Choose who is asked next: the idler, the likelier.

    Args:
        workers: Those whose key is the job's.
        refused: The ids of those who are not to be asked again.
        dice: From 0 to 1, without 1.

    Returns:
        One that is available and not too busy; None if there is none.
    """
    fit = [worker for worker in workers if is_fit(worker) and worker.id not in refused]
    left = dice * sum(1 - worker.load for worker in fit)
    for worker in fit:
        left -= 1 - worker.load
        if left < 0:
            return worker
    return fit[-1] if fit else None  # all of the sum, by rounding


def is_fit(worker: Worker) -> bool:
    """Whether a worker can be given a job."""
    return worker.is_available and worker.load < TARGET_LOAD


class Registry:
    """Workers by their key. `changed` tells when there is one more who could take a job."""

    def __init__(self, random: Random) -> None:
        self.changed = Notifier()
        self._random = random
        self._pools: dict[WorkerKey, dict[str, Worker]] = {}
        self._candidates: dict[WorkerKey, list[Worker]] = {}  # the same workers, to draw from

    def add(self, worker: Worker) -> bool:
        """Take a worker in; return whether it is the first with its key."""
        pool = self._pools.setdefault(worker.key, {})
        pool[worker.id] = worker
        self._candidates.setdefault(worker.key, []).append(worker)
        self.changed.notify()
        return len(pool) == 1

    def remove(self, worker: Worker) -> None:
        """Forget a worker that is gone."""
        pool = self._pools[worker.key]
        del pool[worker.id]
        self._candidates[worker.key].remove(worker)
        if not pool:
            del self._pools[worker.key], self._candidates[worker.key]
        worker.leave()

    def set_status(self, worker: Worker, load: float, *, is_available: bool) -> None:
        """Take a worker's word on how it is, and tell of it if it can be given jobs now."""
        was_fit = is_fit(worker)
        worker.set_status(load, is_available=is_available)
        if is_fit(worker) and not was_fit:
            self.changed.notify()

    def workers(self) -> list[Worker]:
        """Return all who are registered."""
        return [worker for pool in self._pools.values() for worker in pool.values()]

    def keys(self, agent_name: str, job_type: int, deployment: str) -> list[WorkerKey]:
        """Return the keys of the pools that a wish is for: each namespace has its own."""
        wanted = (agent_name, job_type, deployment)
        return [key for key in self._pools if (key.agent_name, key.job_type, key.deployment) == wanted]

    def knows(self, agent_name: str, deployment: str) -> bool:
        """Whether any worker is there for a wish, whatever jobs it does."""
        return any((key.agent_name, key.deployment) == (agent_name, deployment) for key in self._pools)

    def choose(self, key: WorkerKey, refused: set[str]) -> Worker | None:
        """Choose who is asked next; None if there is nobody. Of `refused` only those are kept who are still there."""
        pool = self._pools.get(key, {})
        refused.difference_update([worker_id for worker_id in refused if worker_id not in pool])
        candidates = self._candidates.get(key, ())
        for _ in range(MAX_DRAWS if candidates else 0):  # to reject by load has the odds of a choice among all
            worker = candidates[int(self._random.random() * len(candidates))]
            if is_fit(worker) and worker.id not in refused and self._random.random() < 1 - worker.load:
                return worker
        return choose(pool.values(), refused, self._random.random())
