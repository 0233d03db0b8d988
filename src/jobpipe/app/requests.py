"""What fronts ask for, turned into values: calls by name, filters by words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from inspect import Parameter
from typing import Any

import msgspec

from jobpipe.errors import InvalidArguments, JobNotFound
from jobpipe.model.audit import AuditRecord
from jobpipe.model.job import MAX_PRIORITY, MIN_PRIORITY, JobRecord
from jobpipe.model.report import LogRecord
from jobpipe.model.state import Reason
from jobpipe.store.ops import audit, report
from jobpipe.store.ops.steer import Arguments, Patch
from jobpipe.store.port import Operation
from jobpipe.tasks.codec import Undecodable, decode_args, show
from jobpipe.tasks.options import micros, refusal
from jobpipe.tasks.registry import DeclaredTask
from jobpipe.tasks.remote import RemoteTask
from jobpipe.tasks.signature import Signature
from jobpipe.tasks.spec import QUEUE_ALLOWED, is_queue, is_whole
from jobpipe.tasks.task import Call

CANCEL_REASONS = (Reason.BY_USER, Reason.BY_DEPLOY)
"""What people may give as the reason of a cancel."""

ONLY_BY_PLACE = (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL)
BY_PLACE = (*ONLY_BY_PLACE, Parameter.POSITIONAL_OR_KEYWORD)

MAX_ID = 2**63 - 1
MAX_TOKEN = 2**62
MAX_LINE = 2**31 - 1
MAX_PAGE = 1_000_000
"""Most jobs, or lines of a log, that one list may hold."""


def call_by_json(
    task: DeclaredTask, args: Mapping[str, Any] | Sequence[Any], options: Mapping[str, Any]
) -> Call[Any]:
    """Return a checked call of plain JSON arguments, by name or by position.

    What a task takes by position alone may be named too; of ``*args`` it is a list.

    Raises InvalidArguments when they do not fit the task's signature or its types.
    """
    if isinstance(task, RemoteTask):
        return task.using(**options).call_by_json(args)
    by_place, by_name = places_of(task.signature, args) if isinstance(args, Mapping) else (args, {})
    named = task.signature.bind(tuple(by_place), by_name)
    try:
        text = msgspec.json.encode(named).decode()
        positional, keyword = decode_args(task.signature, text)
    except (Undecodable, TypeError, ValueError, RecursionError) as error:
        raise InvalidArguments(str(error)) from None
    return task.using(**options).call(*positional, **keyword)


def places_of(
    signature: Signature, args: Mapping[str, Any]
) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Split arguments that were all named: some parameters take theirs by place alone."""
    if not any(each.kind in ONLY_BY_PLACE for each in signature.parameters):
        return (), args
    places: list[Any] = []
    rest = dict(args)
    for each in signature.parameters:
        if each.name not in rest or each.kind not in BY_PLACE:
            break
        value = rest.pop(each.name)
        if each.kind is not Parameter.VAR_POSITIONAL:
            places.append(value)
        elif isinstance(value, list):
            places += value
        else:
            raise InvalidArguments(
                f"task {signature.task}: {each.name} takes a list, not {show(value)}"
            )
    return places, rest


def job_id(id: object) -> int:
    """Return the id of a job; raises InvalidArguments for no number, JobNotFound beyond all ids."""
    if not isinstance(id, int) or isinstance(id, bool):
        raise InvalidArguments(
            f"the id of a job is a whole number, not {show(id)}", help="Pass the id as an int."
        )
    if not 0 < id <= MAX_ID:
        raise JobNotFound(f"there is no job {show(id)}")
    return id


def read_log(
    id: object, after: tuple[int, int] | None, limit: int, token: int | None
) -> Operation[list[LogRecord]]:
    """Return what reads a job's log; raises InvalidArguments naming the first wrong word."""
    if after is not None and not _is_line(after):
        raise refusal("after", after, "the token and the number of a line")
    if not is_whole(limit, 1, MAX_PAGE):
        raise refusal("limit", limit, f"a whole number from 1 to {MAX_PAGE}")
    if token is not None and not is_whole(token, 1, MAX_TOKEN):
        raise refusal("token", token, "the token of an attempt")
    return report.read_log(job_id(id), after or (0, 0), limit, token)


def _is_line(value: object) -> bool:
    if not isinstance(value, tuple) or len(value) != 2:
        return False
    return is_whole(value[0], 0, MAX_TOKEN) and is_whole(value[1], 0, MAX_LINE)


def patch(
    priority: int | None,
    queue_name: str | None,
    run_at: datetime | None,
    args: Callable[[JobRecord], Arguments] | None = None,
) -> Patch:
    """Return what is to change of a job; raises InvalidArguments naming the first wrong word."""
    if priority is None and queue_name is None and run_at is None and args is None:
        raise InvalidArguments(
            "nothing is to change", help="Give a priority, a queue_name, a run_at or args."
        )
    if priority is not None and not is_whole(priority, MIN_PRIORITY, MAX_PRIORITY):
        raise refusal("priority", priority, f"a whole number {MIN_PRIORITY}..{MAX_PRIORITY}")
    if queue_name is not None and not is_queue(queue_name):
        raise refusal("queue_name", queue_name, QUEUE_ALLOWED)
    return Patch(priority=priority, queue=queue_name, run_at=moment("run_at", run_at), args=args)


def moment(option: str, value: object) -> int | None:
    """Return a time in microseconds since 1970, or None; raises InvalidArguments."""
    if value is None:
        return None
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise refusal(option, value, "a datetime with a tzinfo")
    return micros(value)


def cancel_reason(reason: object) -> Reason:
    """Return why somebody cancels a job; raises InvalidArguments."""
    for each in CANCEL_REASONS:
        if reason == each:
            return each
    raise refusal("reason", reason, " or ".join(CANCEL_REASONS))


def read_audit(before: int | None, limit: int, job_id: int | None) -> Operation[list[AuditRecord]]:
    """Return what reads the audit; raises InvalidArguments naming the first wrong word."""
    if before is not None and not is_whole(before, 1, MAX_ID):
        raise refusal("before", before, "the id of a row")
    if not is_whole(limit, 1, MAX_PAGE):
        raise refusal("limit", limit, f"a whole number from 1 to {MAX_PAGE}")
    if job_id is not None and not is_whole(job_id, 1, MAX_ID):
        raise refusal("job_id", job_id, "the id of a job")
    return audit.audit(before, limit, job_id)
