"""The verbs of an application but for those that enqueue: each in a pair, one line each."""

from __future__ import annotations

from jobpipe.verbs.claims import Claims
from jobpipe.verbs.events import Events
from jobpipe.verbs.flows import Flows
from jobpipe.verbs.gates import Gates
from jobpipe.verbs.jobs import StoredJobs
from jobpipe.verbs.operations import Operations
from jobpipe.verbs.tasks import Catalogue
from jobpipe.verbs.tenants import Tenants
from jobpipe.verbs.whole import Whole


class Verbs(StoredJobs, Operations, Flows, Gates, Whole, Tenants, Catalogue, Claims, Events):
    """All verbs that need no more than what an application has been told."""

    def close(self) -> None:
        """End what watches, and close every connection; the next use opens them again."""
        self._stop_watching_now()
        super().close()

    async def aclose(self) -> None:
        """End what watches on this loop, and close every connection."""
        await self._stop_watching()
        await super().aclose()
