"""Queues: how full they are; pause and resume them, set their limits."""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType

from jobpipe import errors
from jobpipe.app.queue_asks import QueueChange
from jobpipe.app.views import PageView, QueueView, queue_views
from jobpipe.http.endpoint import Answer, Call, Endpoint
from jobpipe.http.problems import Problem
from jobpipe.http.versions import aware
from jobpipe.model.role import Role


class QueueBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to change of a queue; what is left out stays."""

    paused: bool | UnsetType = UNSET
    reason: str | None = None
    """Why it is paused."""
    until: datetime | None = None
    """When the pause ends by itself."""
    max_queued: int | UnsetType | None = UNSET
    """How many of its jobs may wait; null takes the bound away."""
    concurrency: int | UnsetType | None = UNSET
    """How many of its jobs may be queued or running at a time, over all processes."""
    rate: str | UnsetType | None = UNSET
    """How many of its jobs may start in a span of time: ``100/1m``, ``5/s``."""
    burst: int | None = None
    """Of the rate: how many may start at once."""


async def list_queues(call: Call) -> Answer:
    views = queue_views(await call.app.aqueues(), await call.app.aqueue_counts())
    return Answer(value=PageView(items=views))


async def change_queue(call: Call) -> Answer:
    name, wanted = call.path["name"], call.body
    if wanted == QueueBody():
        raise Problem(422, "invalid_body", "nothing is to change: give `paused` or a limit")
    change = QueueChange(
        paused=wanted.paused,
        reason=wanted.reason,
        until=aware(wanted.until),
        max_queued=wanted.max_queued,
        concurrency=wanted.concurrency,
        rate=wanted.rate,
        burst=wanted.burst,
    )
    await call.app.achange_queue(name, change)
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
        summary="Pause or resume a queue, set its limits",
        body=QueueBody,
        answer=QueueView,
        errors=(errors.InvalidArguments,),
    ),
)
