"""Operations: what is ordered about all jobs that a filter means."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from jobpipe import errors
from jobpipe.app.operation import Operation
from jobpipe.app.operation_views import OperationView, operation_view
from jobpipe.app.views import PageView
from jobpipe.http.endpoint import Answer, Call, Endpoint
from jobpipe.http.paging import PageSize, page_cursor
from jobpipe.http.problems import Problem
from jobpipe.http.versions import aware
from jobpipe.model.role import Role
from jobpipe.policy.query import MAX_LENGTH

ALLOWED = {"cancel": {"reason"}, "move": {"queue", "priority", "run_at"}}
"""Which params an action takes."""


class ParamsBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an action has to know beside the filter; what is left out stays."""

    reason: Literal["by_user", "by_deploy"] | None = None
    """Of a cancel."""
    queue: str | None = None
    """Where a move leads; one of these three at least."""
    priority: int | None = None
    run_at: datetime | None = None


class OperationBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """An order about all jobs that a filter means."""

    action: Literal["cancel", "rerun", "delete", "move"]
    q: Annotated[str, Meta(max_length=MAX_LENGTH)]
    """Which jobs, in words: ``state:failed task:mail.*``."""
    params: ParamsBody = ParamsBody()
    preview: bool = False
    """Only tell what would be done."""


class OperationsQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which operations a list shows, newest first."""

    state: Literal["running", "done", "cancelled", "failed"] | None = None
    limit: PageSize = 50
    cursor: str | None = None
    """``next_cursor`` of the page before."""


async def order_operation(call: Call) -> Answer:
    wanted: OperationBody = call.body
    given = {
        name for name in ParamsBody.__struct_fields__ if getattr(wanted.params, name) is not None
    }
    if surplus := sorted(given - ALLOWED.get(wanted.action, set())):
        raise Problem(422, "invalid_body", f"{wanted.action} takes no {surplus[0]}")
    begun = await _ordered(call, wanted)
    view = operation_view(begun.record)
    if wanted.preview:
        return Answer(value=view)
    location = f"{call.root}/api/v1/operations/{view.id}"
    return Answer(value=view, status=201, headers={"Location": location})


async def _ordered(call: Call, wanted: OperationBody) -> Operation:
    app, params = call.app, wanted.params
    match wanted.action:
        case "cancel":
            reason = params.reason or "by_user"
            return await app.acancel_jobs(wanted.q, reason=reason, preview=wanted.preview)
        case "rerun":
            return await app.arerun_jobs(wanted.q, preview=wanted.preview)
        case "delete":
            return await app.adelete_jobs(wanted.q, preview=wanted.preview)
        case "move":
            return await app.amove_jobs(
                wanted.q,
                queue_name=params.queue,
                priority=params.priority,
                run_at=aware(params.run_at),
                preview=wanted.preview,
            )


async def list_operations(call: Call) -> Answer:
    query: OperationsQuery = call.query
    before = page_cursor(query.cursor)
    found = await call.app.aoperations(state=query.state, before=before, limit=query.limit)
    items = [operation_view(each.record) for each in found]
    cursor = str(items[-1].id) if len(items) == query.limit else None
    return Answer(value=PageView(items=items, next_cursor=cursor))


async def show_operation(call: Call) -> Answer:
    found = await call.app.aoperation(call.path["id"])
    return Answer(value=operation_view(found.record))


async def cancel_operation(call: Call) -> Answer:
    return Answer(value=operation_view(await call.app.operation_acancel(call.path["id"])))


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/v1/operations",
        role=Role.OPERATOR,
        handle=order_operation,
        summary="Cancel, re-run, delete or move all jobs that a filter means",
        description="A worker or the service carries it out, slice by slice; jobs that are stored"
        " later are not touched. A preview counts up to about 10,000 jobs.",
        body=OperationBody,
        answer=OperationView,
        status=201,
        also={200: "A preview: what would be done."},
        errors=(errors.InvalidArguments,),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/operations",
        role=Role.OPERATOR,
        handle=list_operations,
        summary="List operations, newest first",
        query=OperationsQuery,
        answer=PageView[OperationView],
        errors=(errors.InvalidArguments,),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/operations/{id:int}",
        role=Role.OPERATOR,
        handle=show_operation,
        summary="Show an operation: how far it is, and what came of it",
        answer=OperationView,
        errors=(errors.OperationNotFound,),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/operations/{id:int}/cancel",
        role=Role.OPERATOR,
        handle=cancel_operation,
        summary="Stop an operation; what it has done stays done",
        answer=OperationView,
        errors=(errors.OperationNotFound, errors.InvalidTransition),
    ),
)
