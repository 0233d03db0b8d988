"""One store on the bench: every operation by a short name, run blocking or awaited."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from jobpipe.model.job import AttemptRecord, Claimed, Enqueued, Finish, JobRecord, Lane, NewJob
from jobpipe.model.state import Reason, State
from jobpipe.model.worker import NewWorker
from jobpipe.store.ops import claim, finish, read, worker
from jobpipe.store.ops.claim import Held
from jobpipe.store.ops.enqueue import Bounds, enqueue
from jobpipe.store.ops.finish import Finished
from jobpipe.store.port import AsyncStore, Capabilities, Operation, Store
from tests.conformance.clock import SECOND, MovedClock
from tests.conformance.drivers import Place
from tests.conformance.loop import LoopThread

T = TypeVar("T")

LANE = Lane("default", 0)

ERROR = '{"type":"ValueError","message":"no","traceback":""}'

REASON = {
    State.FAILED: Reason.ATTEMPTS_EXHAUSTED,
    State.CANCELLED: Reason.BY_USER,
    State.PARKED: Reason.UNKNOWN_TASK,
}
OUTCOME = {
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
    State.RETRYING: "failed",
    State.SCHEDULED: "snoozed",
    State.PARKED: "parked",
    State.CANCELLED: "cancelled",
}


class Lab:
    """A store of its own for one test."""

    def __init__(
        self,
        place: Place,
        clock: MovedClock,
        store: Store,
        async_store: AsyncStore,
        loop: LoopThread | None,
    ) -> None:
        self.place = place
        self.clock = clock
        self._store = store
        self._async_store = async_store
        self._loop = loop

    @property
    def capabilities(self) -> Capabilities:
        return self._store.capabilities

    def run(self, operation: Operation[T]) -> T:
        """Run an operation in the style of this driver."""
        if self._loop is None:
            return self._store.run(operation)
        return self._loop.run(self._async_store.run(operation))

    def run_at_once(self, operations: Sequence[Operation[T]]) -> list[T]:
        """Run the operations beside each other."""
        if self._loop is None:
            with ThreadPoolExecutor(len(operations)) as threads:
                return list(threads.map(self._store.run, operations))
        return self._loop.run(self._gathered(operations))

    async def _gathered(self, operations: Sequence[Operation[T]]) -> list[T]:
        return await asyncio.gather(*[self._async_store.run(each) for each in operations])

    def now(self) -> int:
        return self.run(read.ping())

    def enqueue(self, jobs: Sequence[NewJob], max_queued: int | None = None) -> list[Enqueued]:
        return self.run(enqueue(jobs, bounds=Bounds(max_queued)))

    def new(self, **fields: Any) -> int:
        """Store one job and return its id."""
        return self.enqueue([new_job(**fields)])[0].id

    def worker(self, name: str = "w", lease_us: int = 15 * SECOND) -> int:
        """Enter a worker and return its id."""
        about = NewWorker(
            name=name, host="here", pid=7, pid_started="1", slots=4, queues=["default"]
        )
        return self.run(worker.register(about, lease_us))

    def claim(
        self,
        worker_id: int,
        limit: int = 10,
        lanes: Sequence[Lane] = (LANE,),
        after: Mapping[Lane, int] | None = None,
        done: Sequence[int] = (),
    ) -> list[Claimed]:
        return self.run(claim.claim(worker_id, lanes, limit, after=dict(after or {}), done=done))

    def claimed(self, **fields: Any) -> Claimed:
        """Store one job in a queue of its own and claim it with a worker of its own."""
        fields.setdefault("queue", "alone")
        id = self.new(**fields)
        lane = Lane(fields["queue"], fields.get("priority", 0))
        (job,) = self.claim(self.worker(), 1, [lane])
        assert job.id == id
        return job

    def finish(self, job: Claimed, state: State = State.SUCCEEDED, **fields: Any) -> list[Finished]:
        """Record how an attempt ended."""
        return self.run(finish.finish([ending(job, state, **fields)], time.monotonic_ns()))

    def finished(self, state: State, **fields: Any) -> int:
        """Make a job that has ended (or waits after an attempt) in this state."""
        job = self.claimed(**fields)
        assert len(self.finish(job, state)) == 1
        return job.id

    def job(self, id: int) -> JobRecord:
        found = self.run(read.job(id))
        assert found is not None
        return found

    def attempts(self, id: int) -> list[AttemptRecord]:
        return self.run(read.attempts(id))

    def counts(self) -> dict[tuple[str, State], int]:
        """The store's own counts, without zeros."""
        return {key: n for key, n in self.run(read.counts()).items() if n}

    def recount(self) -> dict[tuple[str, State], int]:
        """Count the rows."""
        rows = self.place.sql("SELECT queue, state FROM {p}job")
        return dict(Counter((row["queue"], State(row["state"])) for row in rows))


def new_job(**fields: Any) -> NewJob:
    return NewJob(**{"task": "t", "args": "{}", **fields})


def ending(job: Claimed | Held, state: State, **fields: Any) -> Finish:
    """How an attempt ended, with what belongs to the state."""
    waits = state in (State.RETRYING, State.SCHEDULED)
    defaults: dict[str, Any] = {
        "id": job.id,
        "token": job.token,
        "state": state,
        "reason": REASON.get(state),
        "outcome": OUTCOME[state],
        "error": ERROR if state in (State.FAILED, State.RETRYING) else None,
        "result": '{"sum":3}' if state is State.SUCCEEDED else None,
        "delay_us": 30 * SECOND if waits else None,
        "charged": state not in (State.SCHEDULED, State.PARKED),
        "ended_at_ns": time.monotonic_ns(),
    }
    return Finish(**{**defaults, **fields})


def held(job: Claimed) -> Held:
    return Held(job.id, job.token, job.rank, job.claim_id)
