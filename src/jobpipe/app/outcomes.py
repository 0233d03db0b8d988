"""What a final job gives to whoever waited for it: its value, or the error that tells why not."""

from __future__ import annotations

from typing import TypeVar

from jobpipe.errors import JobCancelled, JobFailed
from jobpipe.model.job import JobRecord
from jobpipe.model.state import State
from jobpipe.tasks.job import Job

R = TypeVar("R")


def value_of(job: Job[R], record: JobRecord) -> R:
    """Return the result of a job that has succeeded; raises JobFailed or JobCancelled."""
    job.seen(record)
    if record.state is State.SUCCEEDED:
        return job.decode(record.result)
    if record.state is State.CANCELLED:
        raise JobCancelled(f"job {record.id} ({record.task}) was cancelled: {record.reason}")
    error = job.error or {}
    what = f": {error['type']}: {error['message']}" if "type" in error else ""
    raise JobFailed(f"job {record.id} ({record.task}) failed ({record.reason}){what}")
