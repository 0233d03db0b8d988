"""What a store must do, in plain Python: no SQL, no clock, no concurrency.

Time is a number of beats. Every span ends half-way between two beats, so that the little time a
test itself takes never decides anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from jobpipe.model.job import Claimed, Lane
from jobpipe.model.state import FINAL, Reason, State

BEAT_US = 1_000_000_000
LEASE = 3.5
DELAY = 1.5
EXPIRY = 2.5
KEEP = 4.5

ENDS = {
    State.SUCCEEDED: (None, "succeeded", True),
    State.FAILED: (Reason.ATTEMPTS_EXHAUSTED, "failed", True),
    State.CANCELLED: (Reason.BY_USER, "cancelled", True),
    State.RETRYING: (None, "failed", True),
    State.SCHEDULED: (None, "snoozed", False),
    State.PARKED: (Reason.UNKNOWN_TASK, "parked", False),
}
"""How an attempt may end: the reason, the word of the history, whether it is charged."""


def us(beats: float) -> int:
    """Return a span of the model in microseconds."""
    return round(beats * BEAT_US)


@dataclass
class ModelJob:
    """A job as it should be."""

    id: int
    lane: Lane
    max_losses: int
    key: str | None
    state: State = State.QUEUED
    reason: Reason | None = None
    rank: int | None = None
    due: float | None = None
    life: float | None = None
    expires: float | None = None
    token: int = 0
    attempt: int = 0
    losses: int = 0
    reruns: int = 0
    cancel_requested: bool = False
    worker: int | None = None
    ran: bool = False
    finished: float | None = None
    history: dict[int, str] = field(default_factory=dict)

    def facts(self) -> dict[str, object]:
        """What a store shows of it."""
        return {
            "state": self.state,
            "reason": self.reason,
            "token": self.token,
            "attempt": self.attempt,
            "losses": self.losses,
            "reruns": self.reruns,
            "cancel requested": self.cancel_requested,
            "ended": self.finished is not None,
            "waits": self.due is not None,
            "lane": self.lane,
            "key": self.key,
        }


class Model:
    """All jobs and workers of a store."""

    def __init__(self) -> None:
        self.now = 0.0
        self.jobs: dict[int, ModelJob] = {}
        self.keys: dict[str, tuple[int, str]] = {}
        self.leases: dict[int, float] = {}
        self.ended: set[int] = set()
        self.created = 0
        self.pruned = 0

    def add(self, job: ModelJob, delay: float | None, expires_in: float | None) -> None:
        """A job was stored under its id."""
        self.created += 1
        self.jobs[job.id] = job
        job.life = expires_in
        job.expires = None if expires_in is None else self.now + expires_in
        if delay is None:
            job.rank = job.id
        else:
            job.state = State.SCHEDULED
            job.due = self._not_beyond_expiry(job, self.now + delay)

    def claimable(self, lanes: Sequence[Lane], limit: int) -> list[ModelJob]:
        """The jobs that a claim takes, in order."""
        found = [job for job in self.jobs.values() if job.rank is not None and job.lane in lanes]
        found.sort(key=lambda job: (lanes.index(job.lane), job.rank, job.id))
        return found[:limit]

    def claim(self, job: ModelJob, worker: int) -> None:
        job.state, job.rank, job.worker, job.ran = State.RUNNING, None, worker, True
        job.token += 1
        job.attempt += 1

    def is_current(self, claim: Claimed) -> bool:
        """Tell whether a write of this attempt may change anything."""
        job = self.jobs.get(claim.id)
        return job is not None and job.state is State.RUNNING and job.token == claim.token

    def finish(self, claim: Claimed, state: State) -> None:
        job = self.jobs[claim.id]
        reason, word, charged = ENDS[state]
        if not (job.token == 1 and word == "succeeded"):
            job.history[job.token] = word
        if not charged:
            job.attempt -= 1
        if state in (State.RETRYING, State.SCHEDULED):
            job.state, job.due = state, self._not_beyond_expiry(job, self.now + DELAY)
        elif state is State.PARKED:
            job.state, job.reason = state, reason
        else:
            self._end(job, state, reason)

    def give_back(self, claim: Claimed) -> None:
        job = self.jobs[claim.id]
        job.attempt -= 1
        job.worker, job.ran = None, False
        if job.cancel_requested:
            self._end(job, State.CANCELLED, Reason.BY_USER)
        else:
            job.state, job.rank = State.QUEUED, claim.rank

    def dead(self, known: Iterable[int]) -> set[int]:
        """The workers that a sweep takes back from."""
        late = {worker for worker, until in self.leases.items() if until < self.now}
        alive = set(self.leases) - self.ended
        orphans = {job.worker for job in self.running() if job.worker in self.ended}
        return ((late | set(known)) & alive) | {worker for worker in orphans if worker}

    def sweep(self, workers: set[int], ranks: dict[tuple[int, int], int]) -> None:
        """Take back what dead workers hold; ``ranks`` are those of the claims."""
        for job in self.running():
            if job.worker not in workers:
                continue
            job.history[job.token] = "lost"
            job.attempt -= 1
            job.losses += 1
            if job.cancel_requested:
                self._end(job, State.CANCELLED, Reason.BY_USER)
            elif job.losses >= job.max_losses:
                self._end(job, State.FAILED, Reason.LOST)
            else:
                job.state, job.rank = State.QUEUED, ranks[job.id, job.token]
        self.ended |= workers

    def promote(self) -> list[ModelJob]:
        """Move what is due; returns those that are queued now (their ranks are the store's)."""
        queued = []
        for job in self.jobs.values():
            if job.due is None or job.due > self.now:
                continue
            job.due = None
            if job.cancel_requested:
                self._end(job, State.CANCELLED, Reason.BY_USER)
            elif self._is_expired(job):
                self._end(job, State.FAILED, Reason.EXPIRED)
            else:
                job.state = State.QUEUED
                queued.append(job)
        return queued

    def expire(self) -> int:
        late = [job for job in self.jobs.values() if job.rank is not None and self._is_expired(job)]
        for job in late:
            self._end(job, State.FAILED, Reason.EXPIRED)
        return len(late)

    def cancel(self, job: ModelJob) -> State:
        """Cancel a job that has not ended."""
        job.cancel_requested = True
        if job.state is not State.RUNNING:
            self._end(job, State.CANCELLED, Reason.BY_USER)
        return job.state

    def rerun(self, job: ModelJob, rank: int) -> None:
        if job.ran:
            job.history.setdefault(job.token, str(job.state))
        job.state, job.reason, job.rank, job.finished = State.QUEUED, None, rank, None
        job.attempt, job.losses, job.worker, job.ran = 0, 0, None, False
        job.reruns += 1
        job.cancel_requested = False
        job.expires = None if job.life is None else self.now + job.life

    def parked(self) -> list[ModelJob]:
        return [job for job in self.jobs.values() if job.state is State.PARKED]

    def unpark(self, ranks: dict[int, int]) -> None:
        """Bring back all that is parked, at these ranks; what was to be cancelled ends."""
        for job in self.parked():
            if job.cancel_requested:
                self._end(job, State.CANCELLED, Reason.BY_USER)
            else:
                job.state, job.reason, job.rank = State.QUEUED, None, ranks[job.id]

    def prune(self) -> int:
        old = [
            job
            for job in self.jobs.values()
            if job.finished is not None and job.finished + KEEP <= self.now
        ]
        for job in old:
            del self.jobs[job.id]
            if job.key is not None:
                del self.keys[job.key]
        self.pruned += len(old)
        return len(old)

    def running(self) -> list[ModelJob]:
        return [job for job in self.jobs.values() if job.state is State.RUNNING]

    def counts(self) -> Counter[tuple[str, State]]:
        return Counter((job.lane.queue, job.state) for job in self.jobs.values())

    def highest_rank(self) -> int:
        return max((job.rank or 0 for job in self.jobs.values()), default=0)

    def _end(self, job: ModelJob, state: State, reason: Reason | None) -> None:
        assert state in FINAL
        job.state, job.reason, job.finished = state, reason, self.now
        job.rank = job.due = None

    def _is_expired(self, job: ModelJob) -> bool:
        return job.expires is not None and job.expires <= self.now

    @staticmethod
    def _not_beyond_expiry(job: ModelJob, due: float) -> float:
        return due if job.expires is None else min(due, job.expires)
