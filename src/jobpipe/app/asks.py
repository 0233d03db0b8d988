"""Every ask about stored jobs, queues and workers: what a store runs, what a service is sent.

What is asked for is checked here, so that store and service refuse it alike.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

from jobpipe.app import overview as overviews
from jobpipe.app import records, requests
from jobpipe.app.ask import Ask, Asked, Exchange, Method, Request, one, then
from jobpipe.app.log_views import LogView
from jobpipe.app.overview import Overview
from jobpipe.app.views import (
    AttemptView,
    JobView,
    PageView,
    QueueView,
    TaskView,
    WorkerView,
    task_view,
)
from jobpipe.delivery.hub import Hint
from jobpipe.errors import InvalidTransition, JobNotFound
from jobpipe.model.job import AttemptRecord, JobRecord
from jobpipe.model.report import LogRecord
from jobpipe.model.state import FINAL, Reason, State
from jobpipe.model.worker import WorkerRecord
from jobpipe.store.ops import inspect, read, steer
from jobpipe.store.ops import worker as worker_ops
from jobpipe.store.ops.claim import Queued
from jobpipe.store.ops.read import Counts, Page, QueueRecord
from jobpipe.store.port import Operation
from jobpipe.tasks.registry import Registry

LIST_SECONDS = 0.2
"""Longest search of one page of jobs."""

LOG_LINES = 1_000
"""Most lines of a page of a log, unless said otherwise."""

SERVICE_PAGE = 1_000
"""Most items that a service puts on one page."""

API = "/api/v1"

CONTROL = Hint(control=True)
QUEUES = Request(path=f"{API}/queues", answer=PageView[QueueView])


# Jobs


def job(id: int) -> Asked[JobRecord]:
    """Read a job; raises JobNotFound."""
    id = requests.job_id(id)
    return Ask(
        operation=read.job(id),
        value=lambda record: found(id, record),
        exchange=one(_job(id), records.job),
    )


def jobs(
    state: str | None = None,
    queue_name: str | None = None,
    task: str | None = None,
    limit: int = 50,
    before: int | None = None,
) -> Asked[Page]:
    """Read a page of jobs, newest first; raises InvalidArguments for a wrong filter."""
    wanted = requests.job_filter(state, queue_name, task, before, limit)
    deadline = time.monotonic() + LIST_SECONDS

    def exchange() -> Exchange[Page]:
        shown: list[JobRecord] = []
        cursor = None if before is None else str(before)
        while True:
            size = min(SERVICE_PAGE, limit - len(shown))
            query = {"state": state, "queue": queue_name, "task": task, "cursor": cursor}
            answer = PageView[JobView]
            view = yield Request(path=f"{API}/jobs", query={**query, "limit": size}, answer=answer)
            page = records.page(view)
            shown += page.jobs
            cursor = view.next_cursor
            if cursor is None or len(shown) >= limit or page.looked_down_to is not None:
                return Page(shown, page.next_before, page.looked_down_to)

    operation = read.jobs(wanted, limit, lambda: time.monotonic() < deadline)
    return Ask(operation=operation, exchange=exchange)


def attempts(id: int) -> Asked[list[AttemptRecord]]:
    """Read the recorded attempts of a job, oldest first."""
    id = requests.job_id(id)

    def exchange() -> Exchange[list[AttemptRecord]]:
        try:
            shown = yield _job(id, "GET", "/attempts", answer=PageView[AttemptView])
        except JobNotFound:
            return []
        return records.attempts(shown)

    return Ask(operation=read.attempts(id), exchange=exchange)


def logs(
    id: int, after: tuple[int, int] | None, limit: int, token: int | None
) -> Asked[list[LogRecord]]:
    """Read a page of a job's log, in order; raises JobNotFound."""
    operation = requests.read_log(id, after, limit, token)

    def exchange() -> Exchange[list[LogRecord]]:
        shown: list[LogRecord] = []
        cursor = None if after is None else f"{after[0]}:{after[1]}"
        while True:
            size = min(SERVICE_PAGE, limit - len(shown))
            query = {"token": token, "limit": size, "cursor": cursor}
            view = yield Request(
                path=f"{API}/jobs/{id}/logs", query=query, answer=PageView[LogView]
            )
            shown += [records.log_line(line) for line in view.items]
            cursor = view.next_cursor
            if cursor is None or len(shown) >= limit:
                return shown

    return Ask(operation=operation, exchange=exchange)


def cancel(id: int) -> Asked[JobRecord]:
    """Cancel a waiting job, or ask a running one to stop; comes to the job as it stands then."""
    id = requests.job_id(id)
    return Ask(
        operation=then(steer.cancel(id, Reason.BY_USER), lambda _state: read.job(id)),
        value=lambda results: found(id, results[1]),
        hint=lambda _results: CONTROL,
        exchange=one(
            Request(method="POST", path=f"{API}/jobs/{id}/cancel", answer=JobView), records.job
        ),
    )


def rerun(id: int) -> Asked[JobRecord]:
    """Run an ended job once more; comes to the job as it stands then."""
    id = requests.job_id(id)

    def hint(results: tuple[Queued, JobRecord | None]) -> Hint:
        queued = results[0]
        return Hint({queued.lane: queued.rank})

    return Ask(
        operation=then(steer.rerun(id), lambda _queued: read.job(id)),
        value=lambda results: found(id, results[1]),
        hint=hint,
        exchange=one(
            Request(method="POST", path=f"{API}/jobs/{id}/rerun", answer=JobView), records.job
        ),
    )


def delete(id: int) -> Asked[None]:
    """Delete an ended job; raises JobNotFound, InvalidTransition."""
    id = requests.job_id(id)
    return Ask(
        operation=steer.delete_job(id),
        value=lambda state: _check_ended(id, state),
        exchange=one(
            Request(method="DELETE", path=f"{API}/jobs/{id}", answer=None), lambda _: None
        ),
    )


def deletable(id: int) -> Asked[int]:
    """Come to the id of a job that ``delete`` would delete; raises what that would raise."""
    id = requests.job_id(id)

    def value(state: State | None) -> int:
        _check_ended(id, state)
        return id

    return Ask(
        operation=read.state_of(id),
        value=value,
        exchange=one(_job(id), lambda view: value(view.state)),
    )


# Queues, workers, the whole


def queues() -> Asked[list[QueueRecord]]:
    """List the queues."""
    return Ask(operation=read.queues(), exchange=one(QUEUES, records.queues))


def queue_counts() -> Asked[Counts]:
    """Count jobs by (queue, state)."""
    return Ask(operation=read.counts(), exchange=one(QUEUES, records.counts))


def pause_queue(name: str, reason: str | None) -> Asked[None]:
    """Stop workers from taking jobs of a queue."""
    return _change_queue(requests.pause(name, reason), name, {"paused": True, "reason": reason})


def resume_queue(name: str) -> Asked[None]:
    """Let workers take jobs of a queue again."""
    return _change_queue(requests.resume(name), name, {"paused": False})


def tasks(registry: Registry) -> Asked[list[TaskView]]:
    """Show the tasks that are declared, here or by the service."""
    return Ask(
        operation=None,
        value=lambda _nothing: [task_view(task) for task in registry],
        exchange=one(
            Request(path=f"{API}/tasks", answer=PageView[TaskView]), lambda page: page.items
        ),
    )


def task_names() -> Asked[list[str]]:
    """List the tasks of the newest jobs; of a service, those that it declares."""
    return Ask(
        operation=inspect.task_names(),
        exchange=one(
            Request(path=f"{API}/tasks", answer=PageView[TaskView]),
            lambda page: [task.name for task in page.items],
        ),
    )


def overview() -> Asked[Overview]:
    """Look at queues, workers, slow and failing tasks."""
    return Ask(
        operation=overviews.look(),
        exchange=one(Request(path=f"{API}/stats", answer=Overview), lambda view: view),
    )


def workers() -> Asked[list[WorkerRecord]]:
    """List the workers that have not ended."""
    return Ask(
        operation=worker_ops.workers(),
        exchange=one(
            Request(path=f"{API}/workers", answer=PageView[WorkerView]),
            lambda page: [records.worker(view) for view in page.items],
        ),
    )


def clock() -> Asked[int]:
    """Read the store's clock (microseconds)."""
    return Ask(
        operation=read.ping(),
        exchange=one(Request(path="/readyz", answer=dict[str, Any]), records.clock),
    )


def found(id: int, record: JobRecord | None) -> JobRecord:
    """Return the record of a job; raises JobNotFound when there is none."""
    if record is None:
        raise JobNotFound(f"there is no job {id}")
    return record


def _job(id: int, method: Method = "GET", part: str = "", **rest: Any) -> Request:
    return Request(method=method, path=f"{API}/jobs/{id}{part}", **{"answer": JobView, **rest})


def _change_queue(operation: Operation[None], name: str, body: dict[str, Any]) -> Asked[None]:
    request = Request(
        method="PATCH",
        path=f"{API}/queues/{quote(name)}",
        body=body,
        answer=QueueView,
        repeatable=True,
    )
    return Ask(
        operation=operation,
        hint=lambda _nothing: CONTROL,
        exchange=one(request, lambda _view: None),
    )


def _check_ended(id: int, state: State | None) -> None:
    if state is None:
        raise JobNotFound(f"there is no job {id}")
    if state not in FINAL:
        raise InvalidTransition(
            f"job {id} is {state}; only a job that has ended can be deleted",
            help=f"Cancel it first: jobpipe job cancel {id}",
        )
