"""An application's way to its store: opened on first use, schema brought up to date once.

Operations run on our own connections, or (``on``) on a caller's, where they stand or fall with
the caller's transaction.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from jobpipe import bootstrap
from jobpipe.access.known import KnownLimits
from jobpipe.app import asks, requests
from jobpipe.app.actor import current
from jobpipe.app.ask import Asked
from jobpipe.app.planning import growth_of, plan_of
from jobpipe.bootstrap import Backend
from jobpipe.clock import Clock
from jobpipe.config.settings import Settings
from jobpipe.delivery.hub import Hint, Hub
from jobpipe.model.flow import Plan, PlanStored
from jobpipe.model.job import Enqueued, JobRecord, Lane, NewJob
from jobpipe.model.state import State
from jobpipe.runtime import waiting
from jobpipe.runtime.gather import Gatherer
from jobpipe.store import callers
from jobpipe.store.ops.compose import compose, grow
from jobpipe.store.ops.enqueue import enqueue, enqueue_together, lanes_of
from jobpipe.store.ops.queue import queue_limits
from jobpipe.store.port import Operation
from jobpipe.tasks.flow import Flow, Node
from jobpipe.tasks.task import Call, Defaults

T = TypeVar("T")


class StoreAccess:
    """Runs operations for one application; safe to use from many threads and after a fork."""

    is_service = False

    def __init__(self, settings: Settings, hub: Hub, clock: Clock | None = None) -> None:
        self._settings = settings
        self._hub = hub
        self._clock = clock
        self._gate = threading.RLock()
        self._backend: Backend | None = None
        self._is_current = False
        self.known_lanes: frozenset[Lane] = frozenset()
        """Lanes that are sure to be in the store."""
        self._known = KnownLimits(settings.max_queued)
        self._process = os.getpid()
        self._gatherer = Gatherer(self._store_gathered, self._astore_gathered)
        self._defaults = Defaults(
            max_attempts=settings.max_attempts,
            timeout_seconds=settings.timeout_seconds,
            max_payload=settings.max_payload,
        )

    def store(self, _wish: str) -> StoreAccess:
        """Return itself: whatever needs a store can have it."""
        return self

    def backend(self) -> Backend:
        """Return the wired store, without touching it; raises ConfigError."""
        if self._process != os.getpid():  # locks held by other threads were not inherited free
            self._gate, self._process = threading.RLock(), os.getpid()
        with self._gate:
            if self._backend is None:
                self._backend = bootstrap.connect(self._settings, self._hub, self._clock)
            return self._backend

    def opened(self) -> Backend:
        """Return the store, its schema up to date; raises ConfigError, StoreUnavailable."""
        backend = self.backend()
        if not self._is_current:
            backend.store.migrate()
            self._is_current = True
        return backend

    async def aopened(self) -> Backend:
        """Return the store like ``opened``, without blocking the loop."""
        if self._is_current:
            return self.backend()
        return await asyncio.to_thread(self.opened)

    def run(self, operation: Operation[T]) -> T:
        """Run an operation on a connection of our own."""
        return self.opened().store.run(operation)

    async def arun(self, operation: Operation[T]) -> T:
        """Run an operation on a connection of our own, without blocking the loop."""
        backend = self.backend() if self._is_current else await self.aopened()
        return await backend.async_store.run(operation)

    def run_on(self, connection: object, operation: Operation[T]) -> T:
        """Run an operation in the transaction of the caller's connection."""
        caller = callers.blocking(connection)
        grounds = self.opened().grounds
        ground = grounds.of(caller)
        if not grounds.is_known(connection):
            is_ours = caller.same_store(connection, ground.expected, ground.statements)
            grounds.check(connection, is_ours)
        return caller.run(connection, operation, ground.statements, ground.clock)

    async def arun_on(self, connection: object, operation: Operation[T]) -> T:
        """Run an operation in the transaction of the caller's async connection."""
        caller = callers.awaited(connection)
        grounds = (await self.aopened()).grounds
        ground = await asyncio.to_thread(grounds.of, caller)
        if not grounds.is_known(connection):
            is_ours = await caller.same_store(connection, ground.expected, ground.statements)
            grounds.check(connection, is_ours)
        return await caller.run(connection, operation, ground.statements, ground.clock)

    def ask(self, ask: Asked[T]) -> T:
        """Run what is asked, and ring when it is committed."""
        return self._answer(ask, ask.operation and self.run(ask.operation))

    async def aask(self, ask: Asked[T]) -> T:
        """Run what is asked like ``ask``."""
        return self._answer(ask, ask.operation and await self.arun(ask.operation))

    def _answer(self, ask: Asked[T], result: Any) -> T:
        if ask.hint is not None:
            hint = ask.hint(result)
            if hint.control:  # perhaps a limit, which is to count here at once
                self._known.forget()
            self._hub.ring(hint)
        return ask.value(result)

    def final(self, id: int, timeout: float | None) -> JobRecord:
        """Wait for the end of a job."""
        waiting.wait(self.opened().store, id, timeout)
        return self.ask(asks.job(id))

    async def afinal(self, id: int, limit: float | None) -> JobRecord:
        """Wait for the end of a job, without blocking the loop."""
        await waiting.await_end((await self.aopened()).async_store, id, limit)
        return await self.aask(asks.job(id))

    def enqueue(self, calls: Sequence[Call[Any]], on: object | None) -> list[Enqueued]:
        """Store the calls, all or none."""
        jobs = self._wanted(calls)
        if not jobs:
            return []
        if self._known.take_turn():
            self._learn()
        jobs = self._known.with_gates(jobs)
        if on is not None:
            answers = self.run_on(on, self._enqueuing(jobs))
        elif len(jobs) == 1 and self._may_share(jobs[0]):
            answers = [self._gatherer.enqueue(jobs[0])]
        else:
            answers = self._enqueued(jobs, self.run(self._enqueuing(jobs)))
        return _told(jobs, answers)

    async def aenqueue(self, calls: Sequence[Call[Any]], on: object | None) -> list[Enqueued]:
        """Store the calls like ``enqueue``."""
        jobs = self._wanted(calls)
        if not jobs:
            return []
        if self._known.take_turn():
            await self._alearn()
        jobs = self._known.with_gates(jobs)
        if on is not None:
            answers = await self.arun_on(on, self._enqueuing(jobs))
        elif len(jobs) == 1 and self._may_share(jobs[0]):
            answers = [await self._gatherer.aenqueue(jobs[0])]
        else:
            answers = self._enqueued(jobs, await self.arun(self._enqueuing(jobs)))
        return _told(jobs, answers)

    def compose(self, flow: Flow, on: object | None) -> PlanStored:
        """Store a flow, or nothing of it."""
        plan = plan_of(flow, self._defaults)
        if self._known.take_turn():
            self._learn()
        if on is not None:
            return self.run_on(on, compose(plan, self._enqueuing))
        return self._composed(plan, self.run(compose(plan, self._enqueuing)))

    async def acompose(self, flow: Flow, on: object | None) -> PlanStored:
        """Store a flow like ``compose``."""
        plan = plan_of(flow, self._defaults)
        if self._known.take_turn():
            await self._alearn()
        if on is not None:
            return await self.arun_on(on, compose(plan, self._enqueuing))
        return self._composed(plan, await self.arun(compose(plan, self._enqueuing)))

    def grow(self, job_id: int, token: int, nodes: Sequence[Node[Any]]) -> list[int]:
        """Add to the flow of a running job; returns the ids of the jobs."""
        growth = growth_of(job_id, token, nodes, self._defaults)
        stored = self.run(grow(growth, self._enqueuing))
        return [job.id for job in self._enqueued(growth.jobs, stored.jobs)]

    async def agrow(self, job_id: int, token: int, nodes: Sequence[Node[Any]]) -> list[int]:
        """Add to the flow of a running job like ``grow``."""
        growth = growth_of(job_id, token, nodes, self._defaults)
        stored = await self.arun(grow(growth, self._enqueuing))
        return [job.id for job in self._enqueued(growth.jobs, stored.jobs)]

    def _composed(self, plan: Plan, stored: PlanStored) -> PlanStored:
        self._enqueued([node.job for node in plan.nodes], stored.jobs)
        self._hub.ring(Hint(gates=True))
        return stored

    def close(self) -> None:
        """Close every connection; the next use opens them again."""
        with self._gate:
            backend = self._forget()
        if backend is not None:
            backend.close()

    async def aclose(self) -> None:
        """Close every connection, also those of this loop."""
        with self._gate:
            backend = self._forget()
        if backend is not None:
            await backend.async_store.close()
            await asyncio.to_thread(backend.close)

    def _forget(self) -> Backend | None:
        """What the next use opens may be another store: nothing that was learnt counts for it."""
        backend, self._backend, self._is_current = self._backend, None, False
        self.known_lanes = frozenset()
        self._known.forget()
        return backend

    def _learn(self) -> None:
        try:
            self._known.learn(self.run(queue_limits()))
        except BaseException:
            self._known.forget()
            raise

    async def _alearn(self) -> None:
        try:
            self._known.learn(await self.arun(queue_limits()))
        except BaseException:
            self._known.forget()
            raise

    def _wanted(self, calls: Sequence[Call[Any]]) -> list[NewJob]:
        by = current()
        jobs = [call.new_job(self._defaults) for call in calls]
        return jobs if by is None else [replace(job, by=by) for job in jobs]

    def _enqueuing(self, jobs: Sequence[NewJob]) -> Operation[list[Enqueued]]:
        return enqueue(jobs, known_lanes=self.known_lanes, bounds=self._known.bounds)

    def _may_share(self, job: NewJob) -> bool:
        """Tell whether the job needs nothing but a row, so that others may share the statement."""
        if job.idempotency_key is not None or job.unique is not None or job.marks:
            return False
        if self._known.bounds.are_for([job]):
            return False
        return Lane(job.queue, job.priority) in self.known_lanes

    def _store_gathered(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        return self._enqueued(jobs, self.run(enqueue_together(jobs)))

    async def _astore_gathered(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        return self._enqueued(jobs, await self.arun(enqueue_together(jobs)))

    def _enqueued(self, jobs: Sequence[NewJob], answers: list[Enqueued]) -> list[Enqueued]:
        """The jobs are committed: their lanes are known now, and workers may look."""
        lowest: dict[tuple[str, int], int] = {}
        dues: list[int] = []
        for job, answer in zip(jobs, answers, strict=True):
            if answer.state is State.QUEUED:
                lane = (job.queue, job.priority)
                if answer.id < lowest.get(lane, requests.MAX_ID):
                    lowest[lane] = answer.id
            elif answer.state is State.SCHEDULED:
                dues.append(job.delay_us or 0)
        gates = any(job.marks for job in jobs)
        lanes = {Lane(*lane): id for lane, id in lowest.items()}
        if not lanes.keys() <= self.known_lanes or dues or gates:
            self.known_lanes = self.known_lanes.union(lanes_of(jobs))
        self._hub.ring(Hint(lanes, min(dues, default=None), gates=gates))
        return answers


def _told(jobs: Sequence[NewJob], answers: list[Enqueued]) -> list[Enqueued]:
    """Tell who asked for one job what was stored, so that nobody need read it."""
    if len(jobs) == 1 and answers[0].created:
        return [replace(answers[0], job=jobs[0])]
    return answers
