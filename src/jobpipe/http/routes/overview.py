"""Tasks, workers, counts and load at a glance."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from jobpipe import errors
from jobpipe.app.audit_views import AuditView
from jobpipe.app.overview import Overview
from jobpipe.app.task_views import TaskDetail, TaskView, task_view
from jobpipe.app.views import PageView, WorkerView, worker_view
from jobpipe.http.endpoint import Answer, Call, Endpoint
from jobpipe.http.paging import PageSize, page_cursor
from jobpipe.http.problems import Problem
from jobpipe.model.role import Role


async def list_tasks(call: Call) -> Answer:
    return Answer(value=PageView(items=[task_view(task) for task in call.app.registry]))


async def show_task(call: Call) -> Answer:
    try:
        return Answer(value=await call.app.atask_detail(call.path["name"]))
    except errors.UnknownTask as error:
        raise Problem(404, error.code, str(error), help=error.help) from None


async def list_workers(call: Call) -> Answer:
    return Answer(value=PageView(items=[worker_view(w) for w in await call.app.aworkers()]))


async def count_jobs(call: Call) -> Answer:
    return Answer(value=await call.app.acounts())


async def read_audit(call: Call) -> Answer:
    query: AuditQuery = call.query
    before = page_cursor(query.cursor)
    views = await call.app.aaudit(before=before, limit=query.limit, job_id=query.job_id)
    last = str(views[-1].id) if len(views) == query.limit else None
    return Answer(value=PageView(items=views, next_cursor=last))


async def show_load(call: Call) -> Answer:
    return Answer(value=await call.app.load_watch().alook())


class AuditQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which rows of the audit, newest first."""

    job_id: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    limit: PageSize = 100
    cursor: str | None = None


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/audit",
        role=Role.OPERATOR,
        handle=read_audit,
        summary="Read who changed what, newest first",
        query=AuditQuery,
        answer=PageView[AuditView],
        errors=(errors.InvalidArguments,),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/tasks",
        role=Role.VIEWER,
        handle=list_tasks,
        summary="List the tasks that the application declares",
        answer=PageView[TaskView],
    ),
    Endpoint(
        method="GET",
        path="/api/v1/tasks/{name:path}",
        role=Role.VIEWER,
        handle=show_task,
        summary="Show a task with the JSON Schema of its arguments",
        answer=TaskDetail,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/workers",
        role=Role.VIEWER,
        handle=list_workers,
        summary="List the workers that have not ended",
        answer=PageView[WorkerView],
    ),
    Endpoint(
        method="GET",
        path="/api/v1/counts",
        role=Role.VIEWER,
        handle=count_jobs,
        summary="Count jobs by state; waiting states stop counting at 100,000",
        answer=dict[str, int],
    ),
    Endpoint(
        method="GET",
        path="/api/v1/stats",
        role=Role.VIEWER,
        handle=show_load,
        summary="Queues with what waits, workers, slow and failing tasks",
        answer=Overview,
    ),
)
