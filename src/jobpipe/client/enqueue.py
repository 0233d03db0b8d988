"""Enqueues over HTTP: what a service is sent of a call, and under which key.

A request whose answer is lost is sent again. For that each job carries an idempotency key; where
the caller gives none, one is made up that begins with ``auto:``.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from http.client import CREATED
from inspect import Parameter
from typing import Any, Literal

import msgspec

from jobpipe.app.ask import Exchange, Request
from jobpipe.app.asks import API
from jobpipe.app.records import time_us
from jobpipe.app.views import SECOND_US, JobView, time_text
from jobpipe.model.job import Enqueued
from jobpipe.model.state import State
from jobpipe.tasks import wire
from jobpipe.tasks.gates import in_json
from jobpipe.tasks.task import Call
from jobpipe.tasks.unique import Unique

MADE_UP = "auto:"
"""What keys begin with that no caller gave."""


class StoredId(msgspec.Struct, frozen=True):
    """One job of the answer to many."""

    id: int


class Stored(msgspec.Struct, frozen=True):
    """The answer to many: only their ids are of use."""

    jobs: list[StoredId]


def enqueued(calls: Sequence[Call[Any]]) -> Exchange[list[Enqueued]]:
    """Have the service store the calls, all or none."""
    if not calls:
        return []
    for call in calls:
        call.check_alone()
    mark = f"{MADE_UP}{secrets.token_hex(16)}"
    if len(calls) == 1:
        body = job_body(calls[0], mark)
        job: JobView
        status, job = yield _post("/jobs", body, JobView, tells_status=True)
        return [Enqueued(job.id, job.state, status == CREATED, time_us(job.created_at) or 0)]
    jobs = [job_body(call, f"{mark}:{number}") for number, call in enumerate(calls)]
    answer: Stored = yield _post("/jobs/bulk", {"jobs": jobs}, Stored)
    return [Enqueued(each.id, State.QUEUED, True, 0) for each in answer.jobs]


def _post(path: str, body: Any, answer: Any, *, tells_status: bool = False) -> Request:
    return Request(
        method="POST",
        path=f"{API}{path}",
        body=body,
        answer=answer,
        tells_status=tells_status,
        repeatable=True,
    )


def job_body(call: Call[Any], key: str | None) -> dict[str, Any]:
    """Return what a service is sent of a call; ``key`` counts if the call has none.

    Only what the call says goes there: for the rest the service's own task and settings count.
    """
    options = call.options
    said = {
        "task": call.spec.name,
        "args": _args(call),
        "queue": options.queue,
        "priority": options.priority,
        "run_at": time_text(options.run_at),
        "delay_seconds": _seconds(options.delay_us),
        "max_attempts": options.max_attempts,
        "timeout_seconds": _seconds(options.timeout_us),
        "expires_in_seconds": _seconds(options.expires_in_us),
        "tags": _raw(options.tags),
        "meta": _raw(options.meta),
        "tenant": options.tenant,
        "unique": _unique(options.unique),
        "group": _group(in_json(options.group)),
        "concurrency": in_json(options.concurrency),
        "rate": in_json(options.rate),
        "idempotency_key": options.idempotency_key or key,
    }
    return {name: value for name, value in said.items() if value is not None}


def _args(call: Call[Any]) -> Any:
    """Return the arguments as a call in JSON gives them: all by place, or by name.

    Where a task takes both, what goes by place is named too.
    """
    executor: str = call.spec.executor
    if executor == "remote":  # whoever runs it knows what they mean
        return _raw(call.args)
    given: dict[str, Any] = wire.read(call.args)
    positional, named = call.signature.spread(given)
    if positional and not named:
        return positional
    kinds = {each.name: each.kind for each in call.signature.parameters}
    said: dict[str, Any] = {}
    for name, value in given.items():
        said |= value if kinds[name] is Parameter.VAR_KEYWORD else {name: value}
    return said


def _seconds(span_us: int | None) -> float | None:
    return None if span_us is None else span_us / SECOND_US


def _group(gates: list[dict[str, Any]] | bool | None) -> object:
    return gates[0] if isinstance(gates, list) else gates


def _unique(wanted: Unique | Literal[False] | None) -> object:
    """Return what is said of it; the service fills in the rest, and the key from the arguments."""
    return wanted.said() or True if wanted else wanted


def _raw(text: str | None) -> msgspec.Raw | None:
    return None if text is None else msgspec.Raw(text.encode())
