"""What an application does about stored jobs, queues and its store: one verb a pair of lines.

Each verb names the operation it runs; the awaited twin runs the same one.
"""

from __future__ import annotations

import time
from typing import Any, TypedDict, TypeVar, Unpack

from jobpipe.access import Access
from jobpipe.app import requests
from jobpipe.app.outcomes import value_of
from jobpipe.app.overview import LoadWatch
from jobpipe.app.views import JobView, job_view
from jobpipe.delivery.hub import Hint, Hub
from jobpipe.errors import InvalidTransition, JobNotFound
from jobpipe.model.job import AttemptRecord, JobRecord
from jobpipe.model.report import LogRecord
from jobpipe.model.state import FINAL, Reason, State
from jobpipe.model.worker import WorkerRecord
from jobpipe.runtime import waiting
from jobpipe.store.migrations import Migration, SchemaStatus
from jobpipe.store.ops import inspect, read, steer
from jobpipe.store.ops import worker as worker_ops
from jobpipe.store.ops.read import Counts, Page, QueueRecord
from jobpipe.store.port import Operation
from jobpipe.tasks.job import Job
from jobpipe.tasks.registry import Registry

R = TypeVar("R")

LIST_SECONDS = 0.2
"""Longest search of one page of jobs."""

LOG_LINES = 1_000
"""Most lines of a page of a log, unless said otherwise."""


class JobFilters(TypedDict, total=False):
    """Which jobs a list shows; what is left out does not matter."""

    state: State | str | None
    queue_name: str | None
    task: str | None
    limit: int
    """Most jobs of the page, 50 unless said otherwise."""
    before: int | None
    """Only jobs with a lower id: the last one of the page before."""


class Verbs:
    """The verbs of an application that need no more than its store, its hub and its tasks."""

    registry: Registry
    hub: Hub
    _access: Access

    # Jobs

    def job(self, id: int) -> Job[Any]:
        """Return the handle of a job; raises JobNotFound."""
        return self._handle(_found(id, self._access.run(read.job(requests.job_id(id)))))

    async def ajob(self, id: int) -> Job[Any]:
        """Return the handle of a job; raises JobNotFound."""
        return self._handle(_found(id, await self._access.arun(read.job(requests.job_id(id)))))

    def job_view(self, id: int) -> JobView:
        """Return all that is shown of a job; raises JobNotFound."""
        return job_view(_found(id, self._access.run(read.job(requests.job_id(id)))))

    async def ajob_view(self, id: int) -> JobView:
        """Return all that is shown of a job; raises JobNotFound."""
        return job_view(_found(id, await self._access.arun(read.job(requests.job_id(id)))))

    def jobs(self, **filters: Unpack[JobFilters]) -> list[Job[Any]]:
        """Return jobs, newest first; filters as in ``JobFilters``."""
        return [self._handle(record) for record in self.job_page(**filters).jobs]

    async def ajobs(self, **filters: Unpack[JobFilters]) -> list[Job[Any]]:
        """Return jobs, newest first; filters as in ``JobFilters``."""
        return [self._handle(record) for record in (await self.ajob_page(**filters)).jobs]

    def job_page(self, **filters: Unpack[JobFilters]) -> Page:
        """Return a page of jobs, newest first; raises InvalidArguments for a wrong filter."""
        return self._access.run(_page(**filters))

    async def ajob_page(self, **filters: Unpack[JobFilters]) -> Page:
        """Return a page of jobs like ``job_page``."""
        return await self._access.arun(_page(**filters))

    def attempts(self, id: int) -> list[AttemptRecord]:
        """Return the recorded attempts of a job, oldest first."""
        return self._access.run(read.attempts(requests.job_id(id)))

    async def aattempts(self, id: int) -> list[AttemptRecord]:
        """Return the recorded attempts of a job, oldest first."""
        return await self._access.arun(read.attempts(requests.job_id(id)))

    def logs(
        self,
        id: int,
        after: tuple[int, int] | None = None,
        limit: int = LOG_LINES,
        token: int | None = None,
    ) -> list[LogRecord]:
        """Return a page of a job's log, in order; raises JobNotFound.

        ``after`` is the (token, number) of the last line of the page before; ``token`` asks for
        the lines of one attempt.
        """
        return self._access.run(requests.read_log(id, after, limit, token))

    async def alogs(
        self,
        id: int,
        after: tuple[int, int] | None = None,
        limit: int = LOG_LINES,
        token: int | None = None,
    ) -> list[LogRecord]:
        """Return a page of a job's log like ``logs``."""
        return await self._access.arun(requests.read_log(id, after, limit, token))

    def cancel(self, id: int) -> JobRecord:
        """Cancel a waiting job, or ask a running one to stop; returns it as it stands then."""
        self._access.run(steer.cancel(requests.job_id(id), Reason.BY_USER))
        self.hub.ring(Hint(control=True))
        return _found(id, self._access.run(read.job(requests.job_id(id))))

    async def acancel(self, id: int) -> JobRecord:
        """Cancel a job like ``cancel``."""
        await self._access.arun(steer.cancel(requests.job_id(id), Reason.BY_USER))
        self.hub.ring(Hint(control=True))
        return _found(id, await self._access.arun(read.job(requests.job_id(id))))

    def rerun(self, id: int) -> JobRecord:
        """Run an ended job once more; returns it as it stands then."""
        queued = self._access.run(steer.rerun(requests.job_id(id)))
        self.hub.ring(Hint({queued.lane: queued.rank}))
        return _found(id, self._access.run(read.job(requests.job_id(id))))

    async def arerun(self, id: int) -> JobRecord:
        """Re-run a job like ``rerun``."""
        queued = await self._access.arun(steer.rerun(requests.job_id(id)))
        self.hub.ring(Hint({queued.lane: queued.rank}))
        return _found(id, await self._access.arun(read.job(requests.job_id(id))))

    def delete(self, id: int) -> None:
        """Delete an ended job with its history and its log.

        Raises JobNotFound; InvalidTransition when it has not ended.
        """
        _deleted(id, self._access.run(steer.delete_job(requests.job_id(id))))

    async def adelete(self, id: int) -> None:
        """Delete a job like ``delete``."""
        _deleted(id, await self._access.arun(steer.delete_job(requests.job_id(id))))

    def deletable(self, id: int) -> int:
        """Return the id of a job that ``delete`` would delete; raises what it would raise."""
        _deleted(id, self._access.run(read.state_of(requests.job_id(id))))
        return id

    async def adeletable(self, id: int) -> int:
        """Return the id of a job like ``deletable``."""
        _deleted(id, await self._access.arun(read.state_of(requests.job_id(id))))
        return id

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
        self._access.run(requests.pause(name, reason))
        self.hub.ring(Hint(control=True))

    async def apause_queue(self, name: str, reason: str | None = None) -> None:
        """Pause a queue like ``pause_queue``."""
        await self._access.arun(requests.pause(name, reason))
        self.hub.ring(Hint(control=True))

    def resume_queue(self, name: str) -> None:
        """Let workers take jobs of a queue again."""
        self._access.run(requests.resume(name))
        self.hub.ring(Hint(control=True))

    async def aresume_queue(self, name: str) -> None:
        """Resume a queue like ``resume_queue``."""
        await self._access.arun(requests.resume(name))
        self.hub.ring(Hint(control=True))

    def task_names(self) -> list[str]:
        """List the tasks of the newest jobs by name."""
        return self._access.run(inspect.task_names())

    async def atask_names(self) -> list[str]:
        """List the tasks of the newest jobs by name."""
        return await self._access.arun(inspect.task_names())

    def load_watch(self) -> LoadWatch:
        """Return what looks at queues, rates, workers and tasks, again and again."""
        return LoadWatch(self._access.run)

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
        store = self._access.backend().store
        problems = store.check()
        if not problems and store.schema_status().pending:
            return ["the schema is missing or old: run `jobpipe db migrate`"]
        return problems

    def close(self) -> None:
        """Close every connection; the next use opens them again."""
        self._access.close()

    async def aclose(self) -> None:
        """Close every connection, also those of this loop."""
        await self._access.aclose()

    def _handle(self, record: JobRecord) -> Job[Any]:
        known = record.task in self.registry
        signature = self.registry.get(record.task).signature if known else None
        return Job(self, record.id, record.state, record=record, signature=signature)


def _found(id: int, record: JobRecord | None) -> JobRecord:
    if record is None:
        raise JobNotFound(f"there is no job {id}")
    return record


def _deleted(id: int, state: State | None) -> None:
    if state is None:
        raise JobNotFound(f"there is no job {id}")
    if state not in FINAL:
        raise InvalidTransition(
            f"job {id} is {state}; only a job that has ended can be deleted",
            help=f"Cancel it first: jobpipe job cancel {id}",
        )


def _page(
    state: str | None = None,
    queue_name: str | None = None,
    task: str | None = None,
    limit: int = 50,
    before: int | None = None,
) -> Operation[Page]:
    wanted = requests.job_filter(state, queue_name, task, before, limit)
    deadline = time.monotonic() + LIST_SECONDS
    return read.jobs(wanted, limit, lambda: time.monotonic() < deadline)


def _by_state(counts: Counts) -> dict[str, int]:
    totals = {str(state): 0 for state in State}
    for (_queue, state), n in counts.items():
        totals[state] += n
    return totals
