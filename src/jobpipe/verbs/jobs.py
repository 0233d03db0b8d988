"""What an application does about stored jobs: each verb asks one thing, in a pair of lines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict, TypeVar, Unpack, cast

from jobpipe.app import asks
from jobpipe.app.ask import Asked
from jobpipe.app.asks import LOG_LINES
from jobpipe.app.explain import ExplainView
from jobpipe.app.filters import JobFilters
from jobpipe.app.outcomes import value_of
from jobpipe.app.views import JobView, job_view
from jobpipe.model.job import AttemptRecord, JobRecord
from jobpipe.model.report import LogRecord
from jobpipe.model.state import Reason
from jobpipe.store.ops.read import Page
from jobpipe.tasks.job import Job
from jobpipe.verbs.asking import Asking

R = TypeVar("R")


class Changes(TypedDict, total=False):
    """What is to change of a job that waits; what is left out stays."""

    priority: int | None
    queue_name: str | None
    run_at: datetime | None
    """Earliest start, aware; one that has passed means now."""
    args: Mapping[str, Any] | None
    """Arguments by name, as plain JSON values; those that are not named stay."""
    if_version: str | None
    """Only if this is still its version (``app.steering.etag``)."""


class StoredJobs(Asking):
    """The verbs about jobs, and those that handles of jobs call."""

    def job(self, id: int) -> Job[Any]:
        """Return the handle of a job; raises JobNotFound."""
        return self._handle(self._ask(asks.job(id)))

    async def ajob(self, id: int) -> Job[Any]:
        """Return the handle of a job; raises JobNotFound."""
        return self._handle(await self._aask(asks.job(id)))

    def job_view(self, id: int) -> JobView:
        """Return all that is shown of a job; raises JobNotFound."""
        return job_view(self._ask(asks.job(id)))

    async def ajob_view(self, id: int) -> JobView:
        """Return all that is shown of a job; raises JobNotFound."""
        return job_view(await self._aask(asks.job(id)))

    def wait_for(self, id: int, timeout: float | None = None) -> Job[Any]:
        """Wait until a job is final and return its handle.

        Raises JobNotFound, or WaitTimeout after ``timeout`` seconds.
        """
        return self._handle(self._access.final(id, timeout))

    async def await_for(self, id: int, timeout: float | None = None) -> Job[Any]:  # noqa: ASYNC109
        """Wait like ``wait_for``, without blocking the event loop."""
        return self._handle(await self._access.afinal(id, timeout))

    def jobs(self, **filters: Unpack[JobFilters]) -> list[Job[Any]]:
        """Return jobs, newest first; filters as in ``JobFilters``."""
        return [self._handle(record) for record in self.job_page(**filters).jobs]

    async def ajobs(self, **filters: Unpack[JobFilters]) -> list[Job[Any]]:
        """Return jobs, newest first; filters as in ``JobFilters``."""
        return [self._handle(record) for record in (await self.ajob_page(**filters)).jobs]

    def job_page(self, **filters: Unpack[JobFilters]) -> Page:
        """Return a page of jobs, newest first; raises InvalidArguments for a wrong filter."""
        return self._ask(asks.jobs(**filters))

    async def ajob_page(self, **filters: Unpack[JobFilters]) -> Page:
        """Return a page of jobs like ``job_page``."""
        return await self._aask(asks.jobs(**filters))

    def attempts(self, id: int) -> list[AttemptRecord]:
        """Return the recorded attempts of a job, oldest first."""
        return self._ask(asks.attempts(id))

    async def aattempts(self, id: int) -> list[AttemptRecord]:
        """Return the recorded attempts of a job, oldest first."""
        return await self._aask(asks.attempts(id))

    def logs(
        self,
        id: int,
        after: tuple[int, int] | None = None,
        limit: int = LOG_LINES,
        token: int | None = None,
    ) -> list[LogRecord]:
        """Return a page of a job's log, in order; raises JobNotFound.

        ``after`` is the (token, number) of the last line of the page before; ``token`` asks for
        the lines of one attempt.
        """
        return self._ask(asks.logs(id, after, limit, token))

    async def alogs(
        self,
        id: int,
        after: tuple[int, int] | None = None,
        limit: int = LOG_LINES,
        token: int | None = None,
    ) -> list[LogRecord]:
        """Return a page of a job's log like ``logs``."""
        return await self._aask(asks.logs(id, after, limit, token))

    def cancel(
        self, id: int, if_version: str | None = None, *, reason: str = Reason.BY_USER
    ) -> JobRecord:
        """Cancel a waiting job, or ask a running one to stop; returns it as it stands then.

        ``reason`` is ``by_user`` or ``by_deploy``: by which it is found later. Raises
        PreconditionFailed when ``if_version`` is no longer its version.
        """
        return self._ask(asks.cancel(id, if_version, reason))

    async def acancel(
        self, id: int, if_version: str | None = None, *, reason: str = Reason.BY_USER
    ) -> JobRecord:
        """Cancel a job like ``cancel``."""
        return await self._aask(asks.cancel(id, if_version, reason))

    def rerun(self, id: int, if_version: str | None = None) -> JobRecord:
        """Run an ended job once more; returns it as it stands then.

        Raises InvalidTransition when it has not ended, when another job holds its unique key, or
        when what it comes after has not ended as it has to; PreconditionFailed when ``if_version``
        is no longer its version.
        """
        return self._ask(asks.rerun(id, if_version))

    async def arerun(self, id: int, if_version: str | None = None) -> JobRecord:
        """Re-run a job like ``rerun``."""
        return await self._aask(asks.rerun(id, if_version))

    def patch(self, id: int, **changes: Unpack[Changes]) -> JobRecord:
        """Move a job that waits to another lane or time, or give it other arguments.

        Returns it as it stands then. Raises JobNotFound, InvalidTransition, PreconditionFailed; for
        arguments InvalidArguments, PayloadTooLarge, and UnknownTask where nobody can check them.
        """
        return self._ask(self._patching(id, changes))

    async def apatch(self, id: int, **changes: Unpack[Changes]) -> JobRecord:
        """Change a job like ``patch``."""
        return await self._aask(self._patching(id, changes))

    def explain(self, id: int) -> ExplainView:
        """Tell why a job is not running, and when it may; raises JobNotFound."""
        return self._ask(asks.explain(id))

    async def aexplain(self, id: int) -> ExplainView:
        """Tell why a job is not running like ``explain``."""
        return await self._aask(asks.explain(id))

    def delete(self, id: int, if_version: str | None = None) -> None:
        """Delete an ended job with its history and its log.

        Raises JobNotFound; InvalidTransition when it has not ended; PreconditionFailed when the
        job's version is no longer ``if_version``.
        """
        self._ask(asks.delete(id, if_version))

    async def adelete(self, id: int, if_version: str | None = None) -> None:
        """Delete a job like ``delete``."""
        await self._aask(asks.delete(id, if_version))

    def deletable(self, id: int) -> int:
        """Return the id of a job that ``delete`` would delete; raises what it would raise."""
        return self._ask(asks.deletable(id))

    async def adeletable(self, id: int) -> int:
        """Return the id of a job like ``deletable``."""
        return await self._aask(asks.deletable(id))

    # What handles call

    def job_result(self, job: Job[R], timeout: float | None) -> R:
        """Wait for a handle's job and return its value."""
        return value_of(job, self._access.final(job.id, timeout))

    async def job_aresult(self, job: Job[R], timeout: float | None) -> R:  # noqa: ASYNC109
        """Wait for a handle's job and return its value."""
        return value_of(job, await self._access.afinal(job.id, timeout))

    def job_refresh(self, job: Job[Any]) -> JobRecord:
        """Read a handle's job."""
        return self._ask(asks.job(job.id))

    async def job_arefresh(self, job: Job[Any]) -> JobRecord:
        """Read a handle's job."""
        return await self._aask(asks.job(job.id))

    def job_cancel(self, job: Job[Any]) -> JobRecord:
        """Cancel a handle's job."""
        return self.cancel(job.id)

    async def job_acancel(self, job: Job[Any]) -> JobRecord:
        """Cancel a handle's job."""
        return await self.acancel(job.id)

    def job_rerun(self, job: Job[Any]) -> JobRecord:
        """Re-run a handle's job."""
        return self.rerun(job.id)

    async def job_arerun(self, job: Job[Any]) -> JobRecord:
        """Re-run a handle's job."""
        return await self.arerun(job.id)

    def job_patch(self, job: Job[Any], changes: Mapping[str, Any]) -> JobRecord:
        """Change a handle's job."""
        return self.patch(job.id, **cast(Changes, changes))

    async def job_apatch(self, job: Job[Any], changes: Mapping[str, Any]) -> JobRecord:
        """Change a handle's job."""
        return await self.apatch(job.id, **cast(Changes, changes))

    def _patching(self, id: int, changes: Changes) -> Asked[JobRecord]:
        max_payload = self.settings.max_payload
        return asks.patch(id, **changes, known=self.registry, max_payload=max_payload)

    def _handle(self, record: JobRecord) -> Job[Any]:
        known = record.task in self.registry
        signature = self.registry.get(record.task).signature if known else None
        return Job(self, record.id, record.state, record=record, signature=signature)
