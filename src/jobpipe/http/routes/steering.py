"""What people do to a job: change, cancel, re-run, delete."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from jobpipe import errors
from jobpipe.app.views import JobView, job_view
from jobpipe.http.endpoint import Answer, Call, Endpoint
from jobpipe.http.problems import Problem
from jobpipe.http.routes.jobs import one_job
from jobpipe.http.versions import IF_MATCH, aware, wanted_version, with_tag
from jobpipe.model.role import Role

REFUSALS = (errors.JobNotFound, errors.InvalidTransition, errors.PreconditionFailed)


class JobBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to change of a job that waits; what is left out stays."""

    priority: int | None = None
    queue: str | None = None
    run_at: datetime | None = None
    """Earliest start; one that has passed means now."""
    args: dict[str, Any] | None = None
    """Arguments by name; those that are not named stay."""


async def change(call: Call) -> Answer:
    wanted: JobBody = call.body
    if wanted == JobBody():
        raise Problem(
            422, "invalid_body", "nothing is to change: give args, priority, queue or run_at"
        )
    record = await call.app.apatch(
        call.path["id"],
        priority=wanted.priority,
        queue_name=wanted.queue,
        run_at=aware(wanted.run_at),
        args=wanted.args,
        if_version=wanted_version(call),
    )
    return with_tag(job_view(record))


class CancelBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why a job is cancelled; the body may be left out."""

    reason: Literal["by_user", "by_deploy"] = "by_user"


async def cancel(call: Call) -> Answer:
    wanted: CancelBody = call.body
    record = await call.app.acancel(call.path["id"], wanted_version(call), reason=wanted.reason)
    return with_tag(job_view(record))


async def rerun(call: Call) -> Answer:
    return with_tag(job_view(await call.app.arerun(call.path["id"], wanted_version(call))))


async def delete(call: Call) -> Answer:
    await call.app.adelete(call.path["id"], wanted_version(call))
    return Answer(value=None, status=204)


ENDPOINTS = (
    Endpoint(
        method="PATCH",
        path="/api/v1/jobs/{id:int}",
        role=Role.OPERATOR,
        handle=change,
        summary="Move a job that waits, or give it other arguments",
        body=JobBody,
        body_max=one_job,
        headers=IF_MATCH,
        answer=JobView,
        errors=(
            *REFUSALS,
            errors.InvalidArguments,
            errors.UnknownTask,
            errors.PayloadTooLarge,
        ),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/jobs/{id:int}/cancel",
        role=Role.OPERATOR,
        handle=cancel,
        summary="Cancel a job that waits, or ask one that runs to stop",
        body=CancelBody,
        is_body_optional=True,
        headers=IF_MATCH,
        answer=JobView,
        errors=REFUSALS,
    ),
    Endpoint(
        method="POST",
        path="/api/v1/jobs/{id:int}/rerun",
        role=Role.OPERATOR,
        handle=rerun,
        summary="Run a job that has ended once more",
        headers=IF_MATCH,
        answer=JobView,
        errors=REFUSALS,
        is_new_work=True,
    ),
    Endpoint(
        method="DELETE",
        path="/api/v1/jobs/{id:int}",
        role=Role.OPERATOR,
        handle=delete,
        summary="Delete a job that has ended, with its history and its log",
        headers=IF_MATCH,
        status=204,
        errors=REFUSALS,
    ),
)
