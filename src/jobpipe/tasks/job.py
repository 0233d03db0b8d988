"""The handle of a stored job: what ``enqueue`` returns and ``jp.job(id)`` finds.

A handle remembers what it read last and asks the application for everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, Protocol, Self, TypeVar

from jobpipe.model.job import Enqueued, JobRecord, just_stored
from jobpipe.model.state import State
from jobpipe.tasks import wire
from jobpipe.tasks.codec import decode_result
from jobpipe.tasks.signature import Signature

R = TypeVar("R")


class JobVerbs(Protocol):
    """What an application does for its handles, in pairs."""

    def job_result(self, job: Job[R], timeout: float | None) -> R: ...
    async def job_aresult(self, job: Job[R], timeout: float | None) -> R: ...  # noqa: ASYNC109
    def job_refresh(self, job: Job[Any]) -> JobRecord: ...
    async def job_arefresh(self, job: Job[Any]) -> JobRecord: ...
    def job_cancel(self, job: Job[Any]) -> JobRecord: ...
    async def job_acancel(self, job: Job[Any]) -> JobRecord: ...
    def job_rerun(self, job: Job[Any]) -> JobRecord: ...
    async def job_arerun(self, job: Job[Any]) -> JobRecord: ...
    def job_patch(self, job: Job[Any], changes: Mapping[str, Any]) -> JobRecord: ...
    async def job_apatch(self, job: Job[Any], changes: Mapping[str, Any]) -> JobRecord: ...


class Job(Generic[R]):
    """One stored request to run a task; ``R`` is the type of its result."""

    __slots__ = ("_record", "_signature", "_state", "_stored", "_verbs", "created", "id")

    def __init__(
        self,
        verbs: JobVerbs,
        id: int,
        state: State,
        *,
        record: JobRecord | None = None,
        signature: Signature | None = None,
        stored: Enqueued | None = None,
    ) -> None:
        self.id = id
        self.created = stored is None or stored.created
        """False when an earlier request with the same key, idempotency or unique, made the job."""
        self._stored = stored
        self._verbs = verbs
        self._state = state
        self._record = record
        self._signature = signature

    def __repr__(self) -> str:
        return f"<Job {self.id} {self._state}>"

    @property
    def state(self) -> State:
        """The state as last read; ``refresh()`` reads it anew."""
        return self._state

    @property
    def record(self) -> JobRecord | None:
        """All columns as last read; at first as they were stored, if this call stored them."""
        stored = self._stored
        if self._record is None and stored is not None and stored.job is not None:
            self._record = just_stored(stored.job, stored)
        return self._record

    @property
    def attempt(self) -> int:
        """How many attempts have been charged, as last read."""
        return self.record.attempt if self.record else 0

    @property
    def error(self) -> dict[str, Any] | None:
        """The last failure (``type``, ``message``, ``traceback``), as last read."""
        return self._read(self.record.error) if self.record else None

    @property
    def tags(self) -> list[str]:
        """The tags, as last read."""
        return (self._read(self.record.tags) if self.record else None) or []

    @property
    def meta(self) -> dict[str, Any]:
        """The metadata, as last read."""
        return (self._read(self.record.meta) if self.record else None) or {}

    @property
    def group(self) -> str | None:
        """The group in whose order it runs."""
        return self.record.group if self.record else None

    def result(self, timeout: float | None = None) -> R:
        """Wait until the job is final and return its result.

        Raises JobFailed, JobCancelled, or WaitTimeout after ``timeout`` seconds.
        """
        return self._verbs.job_result(self, timeout)

    async def aresult(self, timeout: float | None = None) -> R:  # noqa: ASYNC109
        """Wait like ``result``, without blocking the event loop."""
        return await self._verbs.job_aresult(self, timeout)

    def refresh(self) -> Self:
        """Read the job anew."""
        return self.seen(self._verbs.job_refresh(self))

    async def arefresh(self) -> Self:
        """Read the job anew, without blocking the event loop."""
        return self.seen(await self._verbs.job_arefresh(self))

    def cancel(self) -> Self:
        """Cancel the job if it waits; ask it to stop if it runs."""
        return self.seen(self._verbs.job_cancel(self))

    async def acancel(self) -> Self:
        """Cancel like ``cancel``, without blocking the event loop."""
        return self.seen(await self._verbs.job_acancel(self))

    def rerun(self) -> Self:
        """Run a final job once more: same id, attempts from 0, history kept.

        Raises JobNotFound; InvalidTransition when it has not ended, when another job holds its
        unique key, or when what it comes after has not ended as it has to.
        """
        return self.seen(self._verbs.job_rerun(self))

    async def arerun(self) -> Self:
        """Re-run like ``rerun``, without blocking the event loop."""
        return self.seen(await self._verbs.job_arerun(self))

    def patch(
        self,
        *,
        args: Mapping[str, Any] | None = None,
        priority: int | None = None,
        queue_name: str | None = None,
        run_at: datetime | None = None,
    ) -> Self:
        """Change the job while it waits; what is None stays, and so does what ``args`` leave out.

        Raises InvalidTransition when it does not wait; for ``args`` InvalidArguments, and
        UnknownTask where nobody can check them.
        """
        return self.seen(self._verbs.job_patch(self, _named(args, priority, queue_name, run_at)))

    async def apatch(
        self,
        *,
        args: Mapping[str, Any] | None = None,
        priority: int | None = None,
        queue_name: str | None = None,
        run_at: datetime | None = None,
    ) -> Self:
        """Change the job like ``patch``, without blocking the event loop."""
        changes = _named(args, priority, queue_name, run_at)
        return self.seen(await self._verbs.job_apatch(self, changes))

    def seen(self, record: JobRecord) -> Self:
        """Remember what was read (for the application)."""
        self._record, self._state = record, record.state
        return self

    def decode(self, text: str | None) -> R:
        """Return a stored result as the type that the task declares (for the application)."""
        result: R = decode_result(self._signature, "null" if text is None else text)
        return result

    @staticmethod
    def _read(text: str | None) -> Any:
        return None if text is None else wire.read(text)


def _named(
    args: Mapping[str, Any] | None,
    priority: int | None,
    queue_name: str | None,
    run_at: datetime | None,
) -> dict[str, Any]:
    return {"args": args, "priority": priority, "queue_name": queue_name, "run_at": run_at}
