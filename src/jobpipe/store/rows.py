"""Rows of the store become values here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import starmap
from typing import Any

from jobpipe.model.job import AttemptRecord, Claimed, JobRecord
from jobpipe.model.report import LogRecord, ProgressRecord
from jobpipe.model.state import Reason, State
from jobpipe.store.port import Row, Rows


def claimed(found: Rows) -> list[Claimed]:
    """The columns stand in the order of the fields."""
    return list(starmap(Claimed, values(found)))


def values(found: Rows) -> Iterable[Iterable[Any]]:
    """Return what stands in the columns of each row, in their order: to ask for many by name takes
    long.

    psycopg alone gives them as dicts.
    """
    if not (found and isinstance(found[0], dict)):
        return found
    dicts: Any = found
    return [row.values() for row in dicts]


def job(row: Row) -> JobRecord:
    return JobRecord(
        id=row["id"],
        task=row["task"],
        args=row["args"],
        queue=row["queue"],
        priority=row["priority"],
        state=State(row["state"]),
        reason=_reason(row["reason"]),
        attempt=row["attempt"],
        max_attempts=row["max_attempts"],
        losses=row["losses"],
        reruns=row["reruns"],
        token=row["token"],
        created_at=row["created_at"],
        run_at=row["run_at"],
        due_at=row["due_at"],
        queued_at=row["queued_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        expires_at=row["expires_at"],
        cancel_requested_at=row["cancel_requested_at"],
        timeout_us=row["timeout_us"],
        result=row["result"],
        error=row["error"],
        tags=row["tags"],
        meta=row["meta"],
        idempotency_key=row["idempotency_key"],
        version=row["version"] or 1,
        marks=row["marks"],
        group=row["group_key"],
        tenant=row["tenant"],
        unique_key=row["unique_key"],
        blocked_on=row["blocked_on"],
        worker=row["worker"],
        worker_pid=row["worker_pid"],
        progress=_progress(row),
    )


def attempt(row: Row) -> AttemptRecord:
    return AttemptRecord(
        job_id=row["job_id"],
        token=row["token"],
        number=row["number"],
        outcome=row["outcome"],
        reason=_reason(row["reason"]),
        worker=row["worker"],
        host=row["host"],
        pid=row["pid"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        error=row["error"],
    )


def log_record(row: Row) -> LogRecord:
    return LogRecord(
        token=row["token"],
        number=row["number"],
        at=row["at"],
        level=row["level"],
        logger=row["logger"],
        message=row["message"],
        fields=row["fields"],
    )


def _progress(row: Row) -> ProgressRecord | None:
    if row["progress_at"] is None:
        return None
    return ProgressRecord(
        done=row["progress_done"],
        total=row["progress_total"],
        note=row["progress_note"],
        at=row["progress_at"],
    )


def _reason(word: str | None) -> Reason | None:
    return None if word is None else Reason(word)
