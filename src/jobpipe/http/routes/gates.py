"""Gates and pauses of tasks: what stands in the way of jobs, and what operators set of it."""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType

from jobpipe import errors
from jobpipe.app.gate_asks import GateChange
from jobpipe.app.gate_views import TASK, GateView
from jobpipe.app.views import PageView
from jobpipe.http.endpoint import Answer, Call, Endpoint
from jobpipe.http.paging import PageSize
from jobpipe.http.problems import Problem
from jobpipe.http.versions import aware
from jobpipe.model.role import Role


class TaskBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Whether a task is to be paused."""

    paused: bool
    reason: str | None = None
    """Why it is paused."""
    until: datetime | None = None
    """When the pause ends by itself."""


class GateBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to change of a gate; what is left out stays."""

    paused: bool | UnsetType = UNSET
    reason: str | None = None
    """Why it is paused."""
    until: datetime | None = None
    """When the pause ends by itself."""
    limit: int | str | UnsetType | None = UNSET
    """Of concurrency a number, of a rate ``100/1m``, of a group ``skip``, ``block`` or ``fail``;
    null: what the jobs say counts again."""
    burst: int | None = None
    """Of a rate: how many may start at once."""


class GateQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which gates, by kind and key."""

    kind: str | None = None
    """``group``, ``concurrency`` or ``rate``; ``task``: tasks that are paused."""
    limit: PageSize = 100
    cursor: str | None = None


async def list_gates(call: Call) -> Answer:
    query: GateQuery = call.query
    page = await call.app.agate_page(query.kind, limit=query.limit, cursor=query.cursor)
    return Answer(value=PageView(items=page.gates, next_cursor=page.next_cursor))


async def change_gate(call: Call) -> Answer:
    wanted: GateBody = call.body
    if wanted == GateBody():
        raise Problem(422, "invalid_body", "nothing is to change: give `paused` or `limit`")
    change = GateChange(
        paused=wanted.paused,
        reason=wanted.reason,
        until=aware(wanted.until),
        limit=wanted.limit,
        burst=wanted.burst,
    )
    return Answer(value=await call.app.achange_gate(call.path["kind"], call.path["key"], change))


async def change_task(call: Call) -> Answer:
    wanted: TaskBody = call.body
    change = GateChange(paused=wanted.paused, reason=wanted.reason, until=aware(wanted.until))
    return Answer(value=await call.app.achange_gate(TASK, call.path["name"], change))


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/gates",
        role=Role.VIEWER,
        handle=list_gates,
        summary="List gates with who holds them and who waits, and the tasks that are paused",
        query=GateQuery,
        answer=PageView[GateView],
        errors=(errors.InvalidArguments,),
    ),
    Endpoint(
        method="PATCH",
        path="/api/v1/gates/{kind}/{key:path}",
        role=Role.OPERATOR,
        handle=change_gate,
        summary="Pause, resume or limit a key",
        body=GateBody,
        answer=GateView,
        errors=(errors.InvalidArguments,),
    ),
    Endpoint(
        method="PATCH",
        path="/api/v1/tasks/{name:path}",
        role=Role.OPERATOR,
        handle=change_task,
        summary="Pause or resume a task",
        body=TaskBody,
        answer=GateView,
        errors=(errors.InvalidArguments,),
    ),
)
