"""The job that the running code works for: ``current_job()``."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Protocol

from jobpipe.model.job import Claimed
from jobpipe.model.report import Checkpoint, LogLine, Progress
from jobpipe.tasks import wire


class Voice(Protocol):
    """Takes what a running job says; never blocks, and may be called from any thread."""

    def line(self, line: LogLine) -> None: ...

    def progress(self, progress: Progress) -> None: ...

    def checkpoint(self, checkpoint: Checkpoint) -> None: ...


class RunningJob:
    """A task's view of its own job; the same object in every thread and task below it."""

    def __init__(self, claimed: Claimed, voice: Voice | None = None) -> None:
        self._voice = voice
        self.id: int = claimed.id
        self.task: str = claimed.task
        self.queue_name: str = claimed.queue
        self.priority: int = claimed.priority
        self.attempt: int = claimed.attempt
        """Number of this attempt, from 1."""
        self.max_attempts: int = claimed.max_attempts
        self.token: int = claimed.token
        """The fencing number of this attempt: later attempts have higher ones."""
        self._meta = claimed.meta
        self._cancel_requested = False

    def __repr__(self) -> str:
        return f"<RunningJob {self.id} {self.task} attempt {self.attempt}>"

    @property
    def meta(self) -> dict[str, Any]:
        """What was stored with the job by ``using(meta=...)``."""
        return wire.read(self._meta) if self._meta else {}

    def cancel_requested(self) -> bool:
        """Tell whether somebody asked to cancel the job, or its attempt may not go on.

        A thread is never stopped from outside: a long one asks here and raises ``Cancel``.
        """
        return self._cancel_requested

    def request_cancel(self) -> None:
        """Note the request (for the worker)."""
        self._cancel_requested = True


running_job: ContextVar[RunningJob] = ContextVar("jobpipe_running_job")


def current_job() -> RunningJob:
    """Return the job that this code runs for; raises LookupError outside of a task."""
    try:
        return running_job.get()
    except LookupError:
        raise LookupError("current_job() was called outside of a running task") from None
