"""Every ask about stored jobs, queues and workers: what a store runs, what a service is sent.

What is asked for is checked here, so that store and service refuse it alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar, Unpack
from urllib.parse import quote

from jobpipe.app import explain as explaining
from jobpipe.app import overview as overviews
from jobpipe.app import records, requests
from jobpipe.app.ask import Ask, Asked, Exchange, Method, Request, one
from jobpipe.app.audit_views import AuditView
from jobpipe.app.changed_args import change_of
from jobpipe.app.explain import ExplainView
from jobpipe.app.filters import PAGE_JOBS, JobFilters, job_filter
from jobpipe.app.log_views import LogView
from jobpipe.app.overview import Overview
from jobpipe.app.steering import steered
from jobpipe.app.task_views import TaskView, task_view
from jobpipe.app.views import AttemptView, JobView, PageView, WorkerView, time_text
from jobpipe.delivery.hub import Hint
from jobpipe.errors import InvalidTransition, JobNotFound
from jobpipe.model.audit import Action, AuditRecord
from jobpipe.model.change import NO_CHANGES, Changes, changes_of
from jobpipe.model.job import AttemptRecord, JobRecord
from jobpipe.model.report import LogRecord
from jobpipe.model.state import FINAL, Reason, State
from jobpipe.model.worker import WorkerRecord
from jobpipe.store.ops import inspect, read, steer
from jobpipe.store.ops import worker as worker_ops
from jobpipe.store.ops.claim import Queued
from jobpipe.store.ops.read import Page
from jobpipe.store.ops.steer import Patched
from jobpipe.tasks.registry import Registry

T = TypeVar("T")

LIST_SECONDS = 0.2
"""Longest search of one page of jobs."""

LOG_LINES = 1_000
"""Most lines of a page of a log, unless said otherwise."""

SERVICE_PAGE = 1_000
"""Most items that a service puts on one page."""

API = "/api/v1"


# Jobs


def job(id: int) -> Asked[JobRecord]:
    """Read a job; raises JobNotFound."""
    id = requests.job_id(id)
    return Ask(
        operation=read.job(id),
        value=lambda record: found(id, record),
        exchange=one(_job(id), records.job),
    )


def jobs(**filters: Unpack[JobFilters]) -> Asked[Page]:
    """Read a page of jobs, newest first; raises InvalidArguments for a wrong filter."""
    wanted = job_filter(**filters)
    limit, before = filters.get("limit", PAGE_JOBS), filters.get("before")
    deadline = time.monotonic() + LIST_SECONDS
    asked = {
        "state": filters.get("state"),
        "queue": filters.get("queue_name"),
        **{name: filters.get(name) for name in ("task", "tag", "group", "q")},
    }
    asked |= {
        name: time_text(requests.moment(name, filters.get(name)))
        for name in ("created_after", "created_before")
    }

    def exchange() -> Exchange[Page]:
        shown: list[JobRecord] = []
        cursor = None if before is None else str(before)
        while True:
            size = min(SERVICE_PAGE, limit - len(shown))
            query = {**asked, "cursor": cursor, "limit": size}
            view = yield Request(path=f"{API}/jobs", query=query, answer=PageView[JobView])
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


def cancel(
    id: int, if_version: str | None = None, reason: str = Reason.BY_USER
) -> Asked[JobRecord]:
    """Cancel a waiting job, or ask a running one to stop; comes to the job as it stands then."""
    id = requests.job_id(id)
    order = steer.cancel(id, requests.cancel_reason(reason))
    body = None if reason == Reason.BY_USER else {"reason": reason}
    return Ask(
        operation=steered(Action.CANCEL, id, order, if_version),
        value=lambda results: found(id, results[1]),
        hint=lambda results: Hint(
            control=True, gates=_is_marked(results[1]), changes=_changes(results[1])
        ),
        exchange=_steering(_job(id, "POST", "/cancel", body=body), if_version),
    )


def rerun(id: int, if_version: str | None = None) -> Asked[JobRecord]:
    """Run an ended job once more; comes to the job as it stands then."""
    id = requests.job_id(id)

    def hint(results: tuple[Queued | None, JobRecord | None]) -> Hint:
        queued, job = results
        lanes = {} if queued is None else {queued.lane: queued.rank}
        return Hint(lanes, gates=_is_marked(job), changes=_changes(job))

    return Ask(
        operation=steered(Action.RERUN, id, steer.rerun(id), if_version),
        value=lambda results: found(id, results[1]),
        hint=hint,
        exchange=_steering(_job(id, "POST", "/rerun"), if_version),
    )


def patch(
    id: int,
    priority: int | None = None,
    queue_name: str | None = None,
    run_at: datetime | None = None,
    args: Mapping[str, Any] | None = None,
    if_version: str | None = None,
    *,
    known: Registry,
    max_payload: int,
) -> Asked[JobRecord]:
    """Change a job that waits; comes to the job as it stands then.

    ``known`` are the tasks whose arguments can be checked here.
    """
    id = requests.job_id(id)
    change = None if args is None else change_of(args, known, max_payload)
    wanted = requests.patch(priority, queue_name, run_at, change)
    said = {"priority": priority, "queue": queue_name, "args": args}
    said["run_at"] = time_text(wanted.run_at)
    body = {name: value for name, value in said.items() if value is not None}

    def hint(results: tuple[Patched, JobRecord | None]) -> Hint:
        patched, job = results
        lanes = {} if patched.queued is None else {patched.queued.lane: patched.queued.rank}
        due_in_us, gates = patched.due_in_us, _is_marked(job)
        return Hint(lanes, due_in_us, gates=gates, changes=_changes(job))

    return Ask(
        operation=steered(Action.PATCH, id, steer.patch(id, wanted), if_version),
        value=lambda results: found(id, results[1]),
        hint=hint,
        exchange=_steering(_job(id, "PATCH", body=body), if_version),
    )


def delete(id: int, if_version: str | None = None) -> Asked[None]:
    """Delete an ended job; raises JobNotFound, InvalidTransition, PreconditionFailed."""
    id = requests.job_id(id)
    request = _versioned(_job(id, "DELETE", answer=None), if_version)
    return Ask(
        operation=steered(
            Action.DELETE, id, steer.delete_job(id), if_version, steer.hold_to_delete
        ),
        value=lambda results: _check_ended(id, results[0]),
        exchange=one(request, lambda _: None),
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


def explain(id: int) -> Asked[ExplainView]:
    """Tell why a job is not running; raises JobNotFound."""
    id = requests.job_id(id)
    return Ask(
        operation=explaining.explain(id),
        value=lambda view: found(id, view),
        exchange=one(_job(id, part="/explain", answer=ExplainView), lambda view: view),
    )


def audit(before: int | None, limit: int, job_id: int | None) -> Asked[list[AuditRecord]]:
    """Read a page of the audit, newest first."""
    query = {"cursor": before, "limit": limit, "job_id": job_id}
    return Ask(
        operation=requests.read_audit(before, limit, job_id),
        exchange=one(
            Request(path=f"{API}/audit", query=query, answer=PageView[AuditView]),
            lambda page: [records.audit(view) for view in page.items],
        ),
    )


# Workers, the whole


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


def found(id: int, record: T | None) -> T:
    """Return what was found of a job; raises JobNotFound when there is none."""
    if record is None:
        raise JobNotFound(f"there is no job {id}")
    return record


def _job(id: int, method: Method = "GET", part: str = "", **rest: Any) -> Request:
    return Request(method=method, path=f"{API}/jobs/{id}{part}", **{"answer": JobView, **rest})


def _steering(request: Request, if_version: str | None) -> Callable[[], Exchange[JobRecord]]:
    return one(_versioned(request, if_version), records.job)


def _versioned(request: Request, if_version: str | None) -> Request:
    if if_version is None:
        return request
    return replace(request, headers={"if-match": f'"{quote(if_version)}"'})


def _changes(record: JobRecord | None) -> Changes:
    """Return what tells those who watch where the job stands."""
    return changes_of([record.id], [(record.queue, record.state)]) if record else NO_CHANGES


def _is_marked(record: JobRecord | None) -> bool:
    """Tell whether somebody minds what became of the job."""
    return record is not None and bool(record.marks)


def _check_ended(id: int, state: State | None) -> None:
    if state is None:
        raise JobNotFound(f"there is no job {id}")
    if state not in FINAL:
        raise InvalidTransition(
            f"job {id} is {state}; only a job that has ended can be deleted",
            help=f"Cancel it first: jobpipe job cancel {id}",
        )
