"""``Jobpipe``: the application that declares tasks, enqueues jobs, answers about them, runs them.

Every verb stands in a pair, blocking and awaited, and says in one line which operation it runs.
The store is opened, and its schema brought up to date, by the first verb that needs it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Self, TypeVar

from jobpipe import failpoint
from jobpipe.access import Access
from jobpipe.app import requests
from jobpipe.app.outcomes import value_of
from jobpipe.app.views import JobView, job_view
from jobpipe.clock import Clock
from jobpipe.config.load import load_effective
from jobpipe.config.settings import Settings
from jobpipe.delivery.hub import Hint, Hub
from jobpipe.errors import InvalidArguments, JobNotFound
from jobpipe.model.job import AttemptRecord, Enqueued, JobRecord, Lane, NewJob
from jobpipe.model.state import Reason, State
from jobpipe.model.worker import WorkerRecord
from jobpipe.runtime import embedded, waiting
from jobpipe.runtime.gather import Gatherer
from jobpipe.runtime.options import WorkerOptions
from jobpipe.runtime.worker import Worker
from jobpipe.store.migrations import Migration, SchemaStatus
from jobpipe.store.ops import read, steer
from jobpipe.store.ops import worker as worker_ops
from jobpipe.store.ops.enqueue import enqueue, enqueue_plain
from jobpipe.store.ops.read import Counts, Page, QueueRecord
from jobpipe.store.port import Mode, Operation
from jobpipe.tasks.job import Job
from jobpipe.tasks.registry import Registry, TaskDeclarations
from jobpipe.tasks.task import Call, Defaults, Enqueuer

T = TypeVar("T")
R = TypeVar("R")

LIST_SECONDS = 0.2
"""Longest search of one page of jobs."""


class Jobpipe(TaskDeclarations):
    """An application: its tasks, its store and its settings.

    ``url`` and the keyword arguments are settings by field name; they count more than the
    environment. Raises ConfigError when a setting is wrong.
    """

    def __init__(
        self, url: str | None = None, *, clock: Clock | None = None, **settings: object
    ) -> None:
        self.registry = Registry()
        self.hub = Hub()
        self._clock = clock
        self._gatherer = Gatherer(self._store_gathered)
        self._configure({"url": url, **settings})

    def configured(self, **overrides: object) -> Self:
        """Take over settings that count more than all others, before the store is used."""
        self._access.close()
        given = {name: value for name, value in overrides.items() if value is not None}
        self._configure({**self._overrides, **given})
        return self

    def _configure(self, overrides: dict[str, object]) -> None:
        self._overrides = overrides
        self.effective = load_effective(overrides)
        self._access = Access(self.settings, self.hub, self._clock)
        self._lanes: frozenset[Lane] = frozenset()
        if self.settings.failpoints:
            failpoint.arm(self.settings.failpoints)

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.effective.settings

    @property
    def defaults(self) -> Defaults:
        """What counts where neither a task nor a call says otherwise."""
        return Defaults(
            max_attempts=self.settings.max_attempts,
            timeout_seconds=self.settings.timeout_seconds,
            max_payload=self.settings.max_payload,
        )

    # Enqueue

    def enqueue_call(self, call: Call[R], on: object | None) -> Job[R]:
        """Store one call, in the caller's transaction if ``on`` is a connection."""
        answers = self._enqueue([call.new_job(self.defaults)], on)
        return Job(self, answers[0].id, answers[0].state, signature=call.signature)

    async def aenqueue_call(self, call: Call[R], on: object | None) -> Job[R]:
        """Store one call like ``enqueue_call``."""
        answers = await self._aenqueue([call.new_job(self.defaults)], on)
        return Job(self, answers[0].id, answers[0].state, signature=call.signature)

    def enqueue_many(self, calls: Iterable[Call[Any]], *, on: object | None = None) -> list[int]:
        """Store many calls, all or none; returns their ids in order."""
        calls = list(calls)
        jobs = [call.new_job(self.defaults) for call in calls]
        return [answer.id for answer in self._enqueue(jobs, _one_connection(calls, on))]

    async def aenqueue_many(
        self, calls: Iterable[Call[Any]], *, on: object | None = None
    ) -> list[int]:
        """Store many calls like ``enqueue_many``."""
        calls = list(calls)
        jobs = [call.new_job(self.defaults) for call in calls]
        return [answer.id for answer in await self._aenqueue(jobs, _one_connection(calls, on))]

    def enqueue_named(
        self, name: str, args: Mapping[str, Any] | Sequence[Any] = (), **options: Any
    ) -> Job[Any]:
        """Store a call by the task's name with plain JSON arguments; options as in ``using``."""
        call = requests.call_by_json(self.registry.get(name), args, options)
        return self.enqueue_call(call, call.options.on)

    async def aenqueue_named(
        self, name: str, args: Mapping[str, Any] | Sequence[Any] = (), **options: Any
    ) -> Job[Any]:
        """Store a call by name like ``enqueue_named``."""
        call = requests.call_by_json(self.registry.get(name), args, options)
        return await self.aenqueue_call(call, call.options.on)

    def _enqueue(self, jobs: list[NewJob], on: object | None) -> list[Enqueued]:
        if not jobs:
            return []
        operation = enqueue(jobs, known_lanes=self._lanes, max_queued=self.settings.max_queued)
        if on is not None:
            return self._access.run_on(on, operation)
        return self._enqueued(jobs, self._access.run(operation))

    async def _aenqueue(self, jobs: list[NewJob], on: object | None) -> list[Enqueued]:
        if not jobs:
            return []
        operation = enqueue(jobs, known_lanes=self._lanes, max_queued=self.settings.max_queued)
        if on is not None:
            return await self._access.arun_on(on, operation)
        if len(jobs) == 1 and operation.mode is Mode.ONE:
            return [await self._gatherer.enqueue(jobs[0])]
        return self._enqueued(jobs, await self._access.arun(operation))

    async def _store_gathered(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        return self._enqueued(jobs, await self._access.arun(enqueue_plain(jobs)))

    def _enqueued(self, jobs: Sequence[NewJob], answers: list[Enqueued]) -> list[Enqueued]:
        """The jobs are committed: their lanes are known now, and workers may look."""
        lanes: dict[Lane, int] = {}
        dues: list[int] = []
        for job, answer in zip(jobs, answers, strict=True):
            if answer.state is State.QUEUED:
                lane = Lane(job.queue, job.priority)
                lanes[lane] = min(answer.id, lanes.get(lane, answer.id))
            else:
                dues.append(job.delay_us or 0)
        self._lanes = self._lanes.union(Lane(job.queue, job.priority) for job in jobs)
        self.hub.ring(Hint(lanes, min(dues, default=None)))
        return answers

    # Jobs

    def job(self, id: int) -> Job[Any]:
        """Return the handle of a job; raises JobNotFound."""
        return self._handle(_found(id, self._access.run(read.job(id))))

    async def ajob(self, id: int) -> Job[Any]:
        """Return the handle of a job; raises JobNotFound."""
        return self._handle(_found(id, await self._access.arun(read.job(id))))

    def job_view(self, id: int) -> JobView:
        """Return all that is shown of a job; raises JobNotFound."""
        return job_view(_found(id, self._access.run(read.job(id))))

    async def ajob_view(self, id: int) -> JobView:
        """Return all that is shown of a job; raises JobNotFound."""
        return job_view(_found(id, await self._access.arun(read.job(id))))

    def jobs(self, *, limit: int = 50, **filters: Any) -> list[Job[Any]]:
        """Return up to ``limit`` jobs, newest first; filters as in ``job_page``."""
        return [self._handle(record) for record in self.job_page(limit=limit, **filters).jobs]

    async def ajobs(self, *, limit: int = 50, **filters: Any) -> list[Job[Any]]:
        """Return up to ``limit`` jobs, newest first; filters as in ``job_page``."""
        page = await self.ajob_page(limit=limit, **filters)
        return [self._handle(record) for record in page.jobs]

    def job_page(self, **filters: Any) -> Page:
        """Return a page of jobs, newest first.

        Filters: ``state``, ``queue_name``, ``task``, ``limit`` (50), ``before`` (an id).
        """
        return self._access.run(_page(**filters))

    async def ajob_page(self, **filters: Any) -> Page:
        """Return a page of jobs like ``job_page``."""
        return await self._access.arun(_page(**filters))

    def attempts(self, id: int) -> list[AttemptRecord]:
        """Return the recorded attempts of a job, oldest first."""
        return self._access.run(read.attempts(id))

    async def aattempts(self, id: int) -> list[AttemptRecord]:
        """Return the recorded attempts of a job, oldest first."""
        return await self._access.arun(read.attempts(id))

    def cancel(self, id: int) -> JobRecord:
        """Cancel a waiting job, or ask a running one to stop; returns it as it stands then."""
        self._access.run(steer.cancel(id, Reason.BY_USER))
        self.hub.ring(Hint(cancel=True))
        return _found(id, self._access.run(read.job(id)))

    async def acancel(self, id: int) -> JobRecord:
        """Cancel a job like ``cancel``."""
        await self._access.arun(steer.cancel(id, Reason.BY_USER))
        self.hub.ring(Hint(cancel=True))
        return _found(id, await self._access.arun(read.job(id)))

    def rerun(self, id: int) -> JobRecord:
        """Run an ended job once more; returns it as it stands then."""
        queued = self._access.run(steer.rerun(id))
        self.hub.ring(Hint({queued.lane: queued.rank}))
        return _found(id, self._access.run(read.job(id)))

    async def arerun(self, id: int) -> JobRecord:
        """Re-run a job like ``rerun``."""
        queued = await self._access.arun(steer.rerun(id))
        self.hub.ring(Hint({queued.lane: queued.rank}))
        return _found(id, await self._access.arun(read.job(id)))

    def job_result(self, job: Job[R], timeout: float | None) -> R:
        """Wait for a handle's job and return its value."""
        waiting.wait(self._access.opened().store, job.id, timeout)
        return value_of(job, self.job_refresh(job))

    async def job_aresult(self, job: Job[R], timeout: float | None) -> R:  # noqa: ASYNC109
        """Wait for a handle's job and return its value."""
        await waiting.await_end((await self._access.aopened()).async_store, job.id, timeout)
        return value_of(job, await self.job_arefresh(job))

    def job_refresh(self, job: Job[Any]) -> JobRecord:
        """Read a handle's job."""
        return _found(job.id, self._access.run(read.job(job.id)))

    async def job_arefresh(self, job: Job[Any]) -> JobRecord:
        """Read a handle's job."""
        return _found(job.id, await self._access.arun(read.job(job.id)))

    def job_cancel(self, job: Job[Any]) -> JobRecord:
        """Cancel a handle's job."""
        return self.cancel(job.id)

    async def job_acancel(self, job: Job[Any]) -> JobRecord:
        """Cancel a handle's job."""
        return await self.acancel(job.id)

    def job_rerun(self, job: Job[Any]) -> JobRecord:
        """Re-run a handle's job."""
        return self.rerun(job.id)

    async def job_arerun(self, job: Job[Any]) -> JobRecord:
        """Re-run a handle's job."""
        return await self.arerun(job.id)

    # Queues, workers, counts

    def counts(self) -> dict[str, int]:
        """Count jobs by state; waiting states stop counting at 100,000 each."""
        return _by_state(self.queue_counts())

    async def acounts(self) -> dict[str, int]:
        """Count jobs by state like ``counts``."""
        return _by_state(await self.aqueue_counts())

    def queue_counts(self) -> Counts:
        """Count jobs by (queue, state)."""
        return self._access.run(read.counts())

    async def aqueue_counts(self) -> Counts:
        """Count jobs by (queue, state)."""
        return await self._access.arun(read.counts())

    def queues(self) -> list[QueueRecord]:
        """List the queues."""
        return self._access.run(read.queues())

    async def aqueues(self) -> list[QueueRecord]:
        """List the queues."""
        return await self._access.arun(read.queues())

    def pause_queue(self, name: str, reason: str | None = None) -> None:
        """Stop workers from taking jobs of a queue; what runs goes on."""
        self._access.run(steer.pause_queue(name, reason))

    async def apause_queue(self, name: str, reason: str | None = None) -> None:
        """Pause a queue like ``pause_queue``."""
        await self._access.arun(steer.pause_queue(name, reason))

    def resume_queue(self, name: str) -> None:
        """Let workers take jobs of a queue again."""
        self._access.run(steer.resume_queue(name))
        self.hub.ring(Hint(cancel=True))

    async def aresume_queue(self, name: str) -> None:
        """Resume a queue like ``resume_queue``."""
        await self._access.arun(steer.resume_queue(name))
        self.hub.ring(Hint(cancel=True))

    def workers(self) -> list[WorkerRecord]:
        """List the workers that have not ended."""
        return self._access.run(worker_ops.workers())

    async def aworkers(self) -> list[WorkerRecord]:
        """List the workers that have not ended."""
        return await self._access.arun(worker_ops.workers())

    # The store

    def health(self) -> int:
        """Return the store's clock (microseconds); raises StoreUnavailable or ConfigError."""
        return self._access.run(read.ping())

    async def ahealth(self) -> int:
        """Return the store's clock like ``health``."""
        return await self._access.arun(read.ping())

    def schema_status(self) -> SchemaStatus:
        """Tell how far the store's schema is, without changing it."""
        return self._access.backend().store.schema_status()

    def migrate(self) -> tuple[Migration, ...]:
        """Bring the store's schema up to date; returns what was applied."""
        return self._access.backend().store.migrate()

    def schema_sql(self) -> str:
        """Return the SQL that ``migrate`` runs on an empty store."""
        return self._access.backend().store.schema_sql()

    def check_store(self) -> list[str]:
        """Return what is wrong with the store's files or schema; empty when all is well."""
        return self._access.backend().store.check()

    def close(self) -> None:
        """Close every connection; the next use opens them again."""
        self._access.close()

    async def aclose(self) -> None:
        """Close every connection, also those of this loop."""
        await self._access.aclose()

    # Workers

    def running(self, **settings: object) -> AbstractContextManager[None]:
        """Run a worker in a thread for as long as the ``with`` block lasts.

        The keyword arguments are settings, such as ``concurrency=4`` or ``queues="mail"``.
        """
        self._access.opened()
        return embedded.in_thread(self._worker_maker(settings))

    def arunning(self, **settings: object) -> AbstractAsyncContextManager[None]:
        """Run a worker on this loop for as long as the ``async with`` block lasts."""
        return embedded.on_loop(self._worker_maker(settings), self._access.aopened)

    def drain(self, **settings: object) -> None:
        """Run everything that may run now, then return."""
        self._access.opened()
        embedded.to_the_end(self._worker_maker(settings, burst=True))

    async def adrain(self, **settings: object) -> None:
        """Run everything that may run now, then return."""
        await self._access.aopened()
        await self._worker_maker(settings, burst=True)().run()

    def run_worker(self, *, burst: bool = False, name: str | None = None) -> int:
        """Run a worker as this program until a signal ends it; returns the exit code."""
        self._access.opened()
        return embedded.as_program(self._worker_maker({}, burst=burst, name=name))

    def _worker_maker(
        self, overrides: Mapping[str, object], *, burst: bool = False, name: str | None = None
    ) -> Callable[[], Worker]:
        settings = self.settings
        if overrides:
            settings = load_effective({**self._overrides, **overrides}).settings
        options = WorkerOptions(
            name=name or f"{socket.gethostname()}-{os.getpid()}",
            queues=settings.queues,
            concurrency=settings.concurrency,
            poll_seconds=settings.poll_seconds,
            lease_seconds=settings.lease_seconds,
            shutdown_seconds=settings.shutdown_seconds,
            retention=settings.retention,
            retry_delays=settings.retry_delays,
            max_payload=settings.max_payload,
        )

        def make() -> Worker:
            kit = self._access.backend().worker_kit(self.registry, self.hub)
            return Worker(kit, options, burst=burst)

        return make

    def _enqueuer(self) -> Enqueuer | None:
        return self

    def _handle(self, record: JobRecord) -> Job[Any]:
        known = record.task in self.registry
        signature = self.registry.get(record.task).signature if known else None
        return Job(self, record.id, record.state, record=record, signature=signature)


def _found(id: int, record: JobRecord | None) -> JobRecord:
    if record is None:
        raise JobNotFound(f"there is no job {id}")
    return record


def _page(
    state: str | None = None,
    queue_name: str | None = None,
    task: str | None = None,
    limit: int = 50,
    before: int | None = None,
) -> Operation[Page]:
    wanted = requests.job_filter(state, queue_name, task, before)
    deadline = time.monotonic() + LIST_SECONDS
    return read.jobs(wanted, limit, lambda: time.monotonic() < deadline)


def _by_state(counts: Counts) -> dict[str, int]:
    totals = {str(state): 0 for state in State}
    for (_queue, state), n in counts.items():
        totals[state] += n
    return totals


def _one_connection(calls: Sequence[Call[Any]], on: object | None) -> object | None:
    """Return the connection for all calls; they are stored together, so there can be but one."""
    given = [call.options.on for call in calls if call.options.on is not None]
    if on is None and given:
        on = given[0]
    if any(other is not on for other in given):
        raise InvalidArguments("calls of one enqueue_many name different connections in on=")
    return on
