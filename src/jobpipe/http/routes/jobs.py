"""Jobs: enqueue them, list them, look at one."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.structs import asdict

from jobpipe import errors
from jobpipe.app.explain import ExplainView
from jobpipe.app.log_views import LogView, log_page
from jobpipe.app.views import AttemptView, JobView, PageView, attempt_views, job_view, page_view
from jobpipe.application import Jobpipe
from jobpipe.http.endpoint import Answer, Call, Endpoint
from jobpipe.http.paging import PAGE_MAX, PageSize, log_cursor, page_cursor
from jobpipe.http.problems import Problem
from jobpipe.http.reading import utf_8
from jobpipe.http.versions import aware, is_known, quoted, with_tag
from jobpipe.model.job import AttemptRecord, JobRecord
from jobpipe.model.role import Role
from jobpipe.model.state import State

ENVELOPE = 64 * 1024
"""Bytes of a body beside the arguments and the metadata of its job."""
BULK_BYTES = 32 * 1024 * 1024
BULK_JOBS = 10_000
"""Most of one bulk."""
SLICE = 100
"""How many jobs of a bulk are checked before others have their turn."""
LONGEST_WAIT = 60

Span = Annotated[float, Meta(ge=0, le=315_360_000)]
Wait = Annotated[float, Meta(ge=0, le=LONGEST_WAIT)]


class UniqueBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """What makes jobs one and the same; what is left out is as the task says, or the default."""

    key: str | None = None
    """With ``{name}`` for an argument; default: the task and all its arguments."""
    scope: Literal["waiting", "live"] | None = None
    for_seconds: float | None = None
    """Instead of a scope: so long from the enqueue on."""
    answer: Literal["return", "replace", "refuse"] | None = None


class ConcurrencyBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """So many jobs of a key at a time."""

    n: int
    key: str | None = None
    """With ``{name}`` for an argument; default: the name of the task."""


class RateBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """So many starts of a key in a span of time."""

    n: int
    per: float = 1.0
    """The span, in seconds."""
    burst: int | None = None
    """How many may start at once; default: what comes in a tenth of a second."""
    key: str | None = None
    """With ``{name}`` for an argument; default: the name of the task."""


class GroupBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Jobs of a key run one at a time, in order."""

    key: str
    """With ``{name}`` for an argument."""
    on_failure: Literal["skip", "block", "fail"] = "skip"


class NewJobBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """One request to run a task."""

    task: str
    args: dict[str, Any] | list[Any] = {}
    """By parameter name, or by position."""
    queue: str | None = None
    priority: int | None = None
    run_at: datetime | None = None
    """Earliest start, with its offset from UTC; not together with ``delay_seconds``."""
    delay_seconds: Span | None = None
    max_attempts: int | None = None
    timeout_seconds: float | None = None
    tags: list[str] | None = None
    meta: dict[str, Any] | None = None
    expires_in_seconds: Span | None = None
    tenant: str | None = None
    """Whose job it is: the tenants of a queue share it."""
    idempotency_key: str | None = None
    unique: str | bool | UniqueBody | None = None
    """A key, true for the task and all its arguments, false for none, or an object."""
    group: str | bool | GroupBody | None = None
    """A key: its jobs run one at a time, in order; false for none."""
    concurrency: int | bool | ConcurrencyBody | list[ConcurrencyBody] | None = None
    """How many jobs of the task, or of each key, run at a time; false for no bound."""
    rate: str | bool | RateBody | list[RateBody] | None = None
    """How many jobs of the task start in a time, such as 100/m, or of each key; false for all."""


class BulkBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """Many requests, stored all or none."""

    jobs: Annotated[list[NewJobBody], Meta(max_length=BULK_JOBS)]


class JobId(Struct, frozen=True):
    """The id of a stored job."""

    id: int


class BulkView(Struct, frozen=True):
    """The stored jobs, in the order of the requests."""

    jobs: list[JobId]


class JobsQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which jobs a list shows, newest first."""

    state: State | None = None
    queue: str | None = None
    task: str | None = None
    """A name, or how it begins with ``*`` at the end."""
    tag: str | None = None
    group: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    q: str | None = None
    """The same in words: ``state:failed queue:mail task:mail.* tag:eu``."""
    limit: PageSize = 50
    cursor: str | None = None
    """``next_cursor`` of the page before."""


class JobQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """How long to wait for a final state; the answer is the job as it stands then."""

    wait_seconds: Wait = 0


class LogQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which lines of a log."""

    token: int | None = None
    """Only the attempt with this token."""
    limit: PageSize = PAGE_MAX
    cursor: str | None = None


async def enqueue(call: Call) -> Answer:
    wanted: NewJobBody = call.body
    key = _key(call, wanted.idempotency_key)
    job = await call.app.aenqueue_named(wanted.task, wanted.args, **options_of(wanted, key))
    view = job_view(job.record or await call.app.job_arefresh(job))
    location = f"{call.root}/api/v1/jobs/{job.id}"
    return Answer(
        value=view,
        status=201 if job.created else 200,
        headers={"Location": location, "ETag": quoted(view)},
    )


async def enqueue_bulk(call: Call) -> Answer:
    wanted: BulkBody = call.body
    calls = []
    for start in range(0, len(wanted.jobs), SLICE):
        calls += [
            call.app.call_named(each.task, each.args, **options_of(each, each.idempotency_key))
            for each in wanted.jobs[start : start + SLICE]
        ]
        await asyncio.sleep(0)
    ids = await call.app.aenqueue_many(calls)
    return Answer(value=BulkView([JobId(id) for id in ids]), status=201)


async def list_jobs(call: Call) -> Answer:
    query: JobsQuery = call.query
    page = await call.app.ajob_page(
        state=query.state,
        queue_name=query.queue,
        task=query.task,
        tag=query.tag,
        group=query.group,
        created_after=aware(query.created_after),
        created_before=aware(query.created_before),
        q=query.q,
        limit=query.limit,
        before=page_cursor(query.cursor),
    )
    return Answer(value=page_view(page))


async def show_job(call: Call) -> Answer:
    id, query = call.path["id"], call.query
    if query.wait_seconds:
        with suppress(errors.WaitTimeout):
            await call.condition.unless_stopping(call.app.await_for(id, query.wait_seconds))
    view = await call.app.ajob_view(id)
    if is_known(call, quoted(view)):
        return Answer(value=None, status=304, headers={"ETag": quoted(view)})
    return with_tag(view)


async def explain(call: Call) -> Answer:
    return Answer(value=await call.app.aexplain(call.path["id"]))


async def list_attempts(call: Call) -> Answer:
    return Answer(value=PageView(items=attempt_views(*await _with_history(call))))


async def list_log(call: Call) -> Answer:
    id, query = call.path["id"], call.query
    after = log_cursor(query.cursor)
    lines = await call.app.alogs(id, after=after, limit=query.limit, token=query.token)
    record, history = await _with_history(call)
    return Answer(value=log_page(record, history, lines, query.limit))


async def _with_history(call: Call) -> tuple[JobRecord, list[AttemptRecord]]:
    job = await call.app.ajob(call.path["id"])
    assert job.record is not None  # a handle that was looked up has been read
    return job.record, await call.app.aattempts(job.id)


def options_of(wanted: NewJobBody, key: str | None) -> dict[str, Any]:
    """Return the options of a request, as ``using`` takes them; raises Problem."""
    if wanted.run_at is not None and wanted.delay_seconds is not None:
        raise Problem(422, "invalid_body", "run_at and delay_seconds exclude each other")
    run_after: datetime | timedelta | None = aware(wanted.run_at)
    if wanted.delay_seconds is not None:
        run_after = timedelta(seconds=wanted.delay_seconds)
    options = {
        "queue_name": wanted.queue,
        "priority": wanted.priority,
        "run_after": run_after,
        "max_attempts": wanted.max_attempts,
        "timeout": wanted.timeout_seconds,
        "tags": wanted.tags,
        "meta": wanted.meta,
        "expires_in": wanted.expires_in_seconds,
        "tenant": wanted.tenant,
        "idempotency_key": key,
        "unique": _plain(wanted.unique),
        "group": _plain(wanted.group),
        "concurrency": _plain(wanted.concurrency),
        "rate": _plain(wanted.rate),
    }
    return {name: value for name, value in options.items() if value is not None}


def _plain(wanted: object) -> object:
    """Return what ``using`` takes: objects as mappings."""
    if isinstance(wanted, list):
        return [_plain(each) for each in wanted]
    return asdict(wanted) if isinstance(wanted, Struct) else wanted


def _key(call: Call, in_body: str | None) -> str | None:
    in_header = utf_8(call.headers.get("idempotency-key"))
    if in_header is not None and in_body is not None and in_header != in_body:
        raise Problem(422, "invalid_body", "the header Idempotency-Key and the field differ")
    return in_body if in_header is None else in_header


def one_job(app: Jobpipe) -> int:
    return 2 * app.settings.max_payload + ENVELOPE


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/api/v1/jobs",
        role=Role.PRODUCER,
        handle=enqueue,
        summary="Enqueue a job",
        body=NewJobBody,
        body_max=one_job,
        headers={"Idempotency-Key": "Repeated, it gives the same job; as the field of that name."},
        answer=JobView,
        status=201,
        also={200: "The key was used before, or its unique key is held: the job that has it."},
        errors=(
            errors.UnknownTask,
            errors.InvalidArguments,
            errors.PayloadTooLarge,
            errors.DuplicateKey,
            errors.QueueFull,
        ),
        is_new_work=True,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/jobs",
        role=Role.VIEWER,
        handle=list_jobs,
        summary="List jobs, newest first",
        query=JobsQuery,
        answer=PageView[JobView],
        errors=(errors.InvalidArguments,),
    ),
    Endpoint(
        method="POST",
        path="/api/v1/jobs/bulk",
        role=Role.PRODUCER,
        handle=enqueue_bulk,
        summary="Enqueue many jobs, all or none",
        body=BulkBody,
        body_max=BULK_BYTES,
        answer=BulkView,
        status=201,
        errors=(
            errors.UnknownTask,
            errors.InvalidArguments,
            errors.PayloadTooLarge,
            errors.DuplicateKey,
            errors.QueueFull,
        ),
        is_new_work=True,
    ),
    Endpoint(
        method="GET",
        path="/api/v1/jobs/{id:int}",
        role=Role.VIEWER,
        handle=show_job,
        summary="Show a job, or wait for its end",
        query=JobQuery,
        headers={"If-None-Match": "The ETag that is known: 304 while it is still that."},
        answer=JobView,
        also={304: "It is as it was."},
        errors=(errors.JobNotFound,),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/jobs/{id:int}/explain",
        role=Role.VIEWER,
        handle=explain,
        summary="Tell why a job is not running, and when it may",
        answer=ExplainView,
        errors=(errors.JobNotFound,),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/jobs/{id:int}/attempts",
        role=Role.VIEWER,
        handle=list_attempts,
        summary="List the attempts of a job, oldest first",
        answer=PageView[AttemptView],
        errors=(errors.JobNotFound,),
    ),
    Endpoint(
        method="GET",
        path="/api/v1/jobs/{id:int}/logs",
        role=Role.VIEWER,
        handle=list_log,
        summary="Read the log of a job",
        query=LogQuery,
        answer=PageView[LogView],
        errors=(errors.JobNotFound, errors.InvalidArguments),
    ),
)
