"""Carries out what somebody ordered about many jobs, slice by slice."""

from __future__ import annotations

from jobpipe.errors import StoreUnavailable
from jobpipe.failpoint import failpoint
from jobpipe.runtime.telling import Telling
from jobpipe.store.ops import operate as ops
from jobpipe.store.port import AsyncStore

BUSY_SECONDS = 0.05
"""Pause when other workers carry out just now whatever there is."""


class Operator:
    """Takes every operation a slice further, until none is left that nobody else holds."""

    def __init__(self, store: AsyncStore, telling: Telling) -> None:
        self._store = store
        self._telling = telling
        self.is_busy = False
        """Others carried out all there is when it was asked to."""

    async def once(self) -> float | None:
        """Carry out one slice of each; return the seconds until the next, None if none is left."""
        steps = [await self._advance(id) for id in await self._store.run(ops.running())]
        self.is_busy = bool(steps) and not any(steps)
        if not steps:
            return None
        return BUSY_SECONDS if self.is_busy else 0.0

    async def _advance(self, id: int) -> bool:
        """Carry out a slice; a fault of the operation itself ends it, so that it hinders nobody."""
        failpoint("operate.before")
        try:
            step = await self._store.run(ops.advance(id))
        except StoreUnavailable:
            raise
        except Exception as error:
            await self._store.run(ops.fail(id, f"{type(error).__name__}: {error}"))
            raise
        if step is None:
            return False
        failpoint("operate.after")
        self._telling.queued(step.queued)
        self._telling.changed(step.changed)
        self._telling.timed()
        if step.has_marked:
            self._telling.came_to_gates()
        return True
