"""What people do to a job: cancel, re-run, delete."""

from __future__ import annotations

from jobpipe import errors
from jobpipe.app.views import JobView, job_view
from jobpipe.http.endpoint import Answer, Call, Endpoint
from jobpipe.model.role import Role


async def cancel(call: Call) -> Answer:
    return Answer(value=job_view(await call.app.acancel(call.path["id"])))


async def rerun(call: Call) -> Answer:
    return Answer(value=job_view(await call.app.arerun(call.path["id"])))


async def delete(call: Call) -> Answer:
    await call.app.adelete(call.path["id"])
    return Answer(value=None, status=204)


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/v1/jobs/{id:int}/cancel",
        role=Role.OPERATOR,
        handle=cancel,
        summary="Cancel a job that waits, or ask one that runs to stop",
        answer=JobView,
        errors=(errors.JobNotFound, errors.InvalidTransition),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/jobs/{id:int}/rerun",
        role=Role.OPERATOR,
        handle=rerun,
        summary="Run a job that has ended once more",
        answer=JobView,
        errors=(errors.JobNotFound, errors.InvalidTransition),
        is_new_work=True,
    ),
    Endpoint(
        method="DELETE",
        path="/api/v1/jobs/{id:int}",
        role=Role.OPERATOR,
        handle=delete,
        summary="Delete a job that has ended, with its history and its log",
        status=204,
        errors=(errors.JobNotFound, errors.InvalidTransition),
    ),
)
