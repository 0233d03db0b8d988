"""Views of a service, turned back into the records that a store would have answered with.

What is shown suffices to show it again. What no view tells (the times that only a store needs,
the pid of a job's worker) is empty.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from jobpipe.app.audit_views import AuditView
from jobpipe.app.log_views import LogView
from jobpipe.app.views import (
    SECOND_US,
    AttemptView,
    JobView,
    PageView,
    QueueView,
    WorkerView,
)
from jobpipe.model.audit import AuditRecord
from jobpipe.model.job import AttemptRecord, JobRecord
from jobpipe.model.report import LogRecord, ProgressRecord
from jobpipe.model.state import State
from jobpipe.model.worker import WorkerRecord
from jobpipe.store.ops.read import Counts, Page, QueueRecord
from jobpipe.tasks import wire

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def job(view: JobView) -> JobRecord:
    """Return the record of a job."""
    waits = view.state in (State.SCHEDULED, State.RETRYING)
    return JobRecord(
        id=view.id,
        task=view.task,
        args=_text(view.args) or "{}",
        queue=view.queue,
        priority=view.priority,
        state=view.state,
        reason=view.reason,
        attempt=view.attempt,
        max_attempts=view.max_attempts,
        losses=view.losses,
        reruns=view.reruns,
        token=view.token,
        created_at=time_us(view.created_at) or 0,
        run_at=time_us(view.run_at),
        due_at=time_us(view.run_at) if waits else None,
        queued_at=time_us(view.queued_at),
        started_at=time_us(view.started_at),
        finished_at=time_us(view.finished_at),
        expires_at=time_us(view.expires_at),
        cancel_requested_at=time_us(view.cancel_requested_at),
        timeout_us=_span_us(view.timeout_seconds),
        result=_text(view.result),
        error=_text(view.error),
        tags=_text(view.tags or None),
        meta=_text(view.meta or None),
        idempotency_key=view.idempotency_key,
        version=view.version,
        group=view.group,
        tenant=view.tenant,
        unique_key=view.unique_key,
        blocked_on=view.blocked_on,
        position=view.position,
        worker=view.worker,
        worker_pid=None,
        progress=None if view.progress is None else ProgressRecord(**view.progress, at=0),
    )


def page(view: PageView[JobView]) -> Page:
    """Return a page of jobs."""
    before = None if view.next_cursor is None else int(view.next_cursor)
    return Page([job(each) for each in view.items], before, view.looked_down_to)


def attempts(view: PageView[AttemptView]) -> list[AttemptRecord]:
    """Return the history of a job.

    An attempt that runs, or succeeded at once, is shown without standing in the history: that one
    has no host.
    """
    return [
        attempt(each)
        for each in view.items
        if each.host is not None or each.outcome not in (State.RUNNING, State.SUCCEEDED)
    ]


def attempt(view: AttemptView) -> AttemptRecord:
    """Return the record of one run of a job."""
    return AttemptRecord(
        job_id=view.job_id,
        token=view.token,
        number=view.number,
        outcome=view.outcome,
        reason=view.reason,
        worker=view.worker,
        host=view.host,
        pid=view.pid,
        started_at=time_us(view.started_at),
        finished_at=time_us(view.finished_at),
        error=_text(view.error),
    )


def log_line(view: LogView) -> LogRecord:
    """Return the record of a line of a log."""
    named = logging.getLevelNamesMapping().get(view.level.upper())
    level = int(view.level.rpartition(" ")[2]) if named is None else named
    return LogRecord(
        token=view.token,
        number=view.number,
        at=time_us(view.time) or 0,
        level=level,
        logger=view.logger,
        message=view.message,
        fields=_text(view.fields),
    )


def queues(view: PageView[QueueView]) -> list[QueueRecord]:
    """Return the queues."""
    return [
        QueueRecord(
            each.name,
            time_us(each.paused_at),
            each.reason,
            each.paused_by,
            time_us(each.paused_until),
            each.max_queued,
            each.concurrency,
            each.rate,
        )
        for each in view.items
    ]


def counts(view: PageView[QueueView]) -> Counts:
    """Return the counts of jobs by (queue, state)."""
    return {
        (each.name, state): getattr(each, state.value) for each in view.items for state in State
    }


def audit(view: AuditView) -> AuditRecord:
    """Return a row of the audit."""
    return AuditRecord(
        id=view.id,
        at=time_us(view.time) or 0,
        who=view.who,
        via=view.via,
        action=view.action,
        job_id=view.job_id,
        queue=view.queue,
        before=_text(view.before),
        after=_text(view.after),
        request_id=view.request_id,
    )


def worker(view: WorkerView) -> WorkerRecord:
    """Return the record of a worker."""
    return WorkerRecord(
        id=view.id,
        name=view.name,
        host=view.host,
        pid=view.pid,
        pid_started="",
        slots=view.slots,
        queues=_text(view.queues) or "[]",
        started_at=time_us(view.started_at) or 0,
        seen_at=time_us(view.seen_at) or 0,
        lease_until=time_us(view.lease_until) or 0,
        expired=view.expired,
        supervisor_pid=view.supervisor_pid,
    )


def clock(view: Mapping[str, Any]) -> int:
    """Return the time on the store's clock."""
    return time_us(view["time"]) or 0


def time_us(text: str | None) -> int | None:
    """Return a time as views tell it in microseconds since 1970, or None."""
    if text is None:
        return None
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
    except ValueError:  # beyond the year 9999: told as a number
        return int(text.partition(" ")[0])


def _span_us(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * SECOND_US)


def _text(value: Any) -> str | None:
    """Return the JSON text of a value; a lone surrogate is kept as its escape."""
    if value is None:
        return None
    try:
        return wire.encode(value).decode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
