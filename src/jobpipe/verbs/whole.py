"""What an application does about the whole: workers, counts, how things stand."""

from __future__ import annotations

from jobpipe.app import asks
from jobpipe.app.audit_views import AuditView, audit_view
from jobpipe.app.overview import LoadWatch
from jobpipe.app.task_views import TaskView
from jobpipe.model.state import State
from jobpipe.model.worker import WorkerRecord
from jobpipe.store.ops.read import Counts
from jobpipe.verbs.queues import Queues


class Whole(Queues):
    """The verbs about workers and counts, and those about queues."""

    def counts(self) -> dict[str, int]:
        """Count jobs by state; waiting states stop counting at 100,000 each."""
        return _by_state(self.queue_counts())

    async def acounts(self) -> dict[str, int]:
        """Count jobs by state like ``counts``."""
        return _by_state(await self.aqueue_counts())

    def tasks(self) -> list[TaskView]:
        """Return what is shown of each declared task; of a service, of those that it declares."""
        return self._ask(asks.tasks(self.registry))

    async def atasks(self) -> list[TaskView]:
        """Return what is shown of each declared task like ``tasks``."""
        return await self._aask(asks.tasks(self.registry))

    def task_names(self) -> list[str]:
        """List the tasks of the newest jobs by name; of a service, those that it declares."""
        return self._ask(asks.task_names())

    async def atask_names(self) -> list[str]:
        """List the tasks of the newest jobs like ``task_names``."""
        return await self._aask(asks.task_names())

    def load_watch(self) -> LoadWatch:
        """Return what looks at queues, rates, workers and tasks, again and again."""
        return LoadWatch(lambda: self._ask(asks.overview()), lambda: self._aask(asks.overview()))

    def audit(
        self, *, before: int | None = None, limit: int = 100, job_id: int | None = None
    ) -> list[AuditView]:
        """Return who changed what, newest first; ``before`` is the last id of the page before."""
        return [audit_view(each) for each in self._ask(asks.audit(before, limit, job_id))]

    async def aaudit(
        self, *, before: int | None = None, limit: int = 100, job_id: int | None = None
    ) -> list[AuditView]:
        """Return who changed what like ``audit``."""
        return [audit_view(each) for each in await self._aask(asks.audit(before, limit, job_id))]

    def workers(self) -> list[WorkerRecord]:
        """List the workers that have not ended."""
        return self._ask(asks.workers())

    async def aworkers(self) -> list[WorkerRecord]:
        """List the workers that have not ended."""
        return await self._aask(asks.workers())

    def health(self) -> int:
        """Return the store's clock (microseconds); raises StoreUnavailable or ConfigError."""
        return self._ask(asks.clock())

    async def ahealth(self) -> int:
        """Return the store's clock like ``health``."""
        return await self._aask(asks.clock())

    def close(self) -> None:
        """Close every connection; the next use opens them again."""
        self._access.close()

    async def aclose(self) -> None:
        """Close every connection, also those of this loop."""
        await self._access.aclose()


def _by_state(counts: Counts) -> dict[str, int]:
    totals = {str(state): 0 for state in State}
    for (_queue, state), n in counts.items():
        totals[state] += n
    return totals
