"""Queues: how full they are; pause and resume them."""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from jobpipe import errors
from jobpipe.app.views import PageView, QueueView, queue_views
from jobpipe.http.endpoint import Answer, Call, Endpoint
from jobpipe.http.problems import Problem
from jobpipe.model.role import Role


class QueueBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to change of a queue."""

    paused: bool | UnsetType = UNSET
    reason: str | None = None
    """Why it is paused."""


async def list_queues(call: Call) -> Answer:
    views = queue_views(await call.app.aqueues(), await call.app.aqueue_counts())
    return Answer(value=PageView(items=views))


async def change_queue(call: Call) -> Answer:
    name, wanted = call.path["name"], call.body
    if wanted.paused is UNSET:
        raise Problem(422, "invalid_body", "nothing is to change: give `paused`")
    if wanted.paused:
        await call.app.apause_queue(name, wanted.reason)
    elif wanted.reason is not None:
        raise Problem(422, "invalid_body", "a reason belongs to a pause")
    else:
        await call.app.aresume_queue(name)
    views = queue_views(await call.app.aqueues(), await call.app.aqueue_counts())
    unknown = QueueView(name=name, paused=False, reason=None, paused_at=None)  # and so not paused
    return Answer(value=next((view for view in views if view.name == name), unknown))


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/api/v1/queues",
        role=Role.VIEWER,
        handle=list_queues,
        summary="List the queues, and how many jobs of each stand in each state",
        answer=PageView[QueueView],
    ),
    Endpoint(
        method="PATCH",
        path="/api/v1/queues/{name:path}",
        role=Role.OPERATOR,
        handle=change_queue,
        summary="Pause or resume a queue",
        body=QueueBody,
        answer=QueueView,
        errors=(errors.InvalidArguments,),
    ),
)
