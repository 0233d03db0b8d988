"""Brings parked jobs back whose task this worker knows."""

from __future__ import annotations

from collections.abc import Callable

from jobpipe.delivery.hub import Hint
from jobpipe.model.state import Reason
from jobpipe.runtime.promoter import hint_of
from jobpipe.store.ops import upkeep
from jobpipe.store.port import AsyncStore
from jobpipe.tasks.registry import Registry

EVERY_SECONDS = 1.0
UNPARK_MAX = 1_000

AT_START = (Reason.UNKNOWN_TASK, Reason.INCOMPATIBLE, Reason.UNDECODABLE)
"""New code may take what older code could not."""

LATER = (Reason.UNKNOWN_TASK,)
"""Parked by a worker with other tasks; what this code cannot decode stays parked."""


class Unparker:
    """Looks for such jobs at the worker's start, then every second."""

    def __init__(self, store: AsyncStore, registry: Registry, ring: Callable[[Hint], None]) -> None:
        self._store = store
        self._registry = registry
        self._ring = ring
        self._reasons: tuple[Reason, ...] = AT_START

    async def once(self) -> float:
        tasks = [task.name for task in self._registry]
        found = await self._store.run(upkeep.find_parked(tasks, self._reasons, UNPARK_MAX))
        if found:
            queued = await self._store.run(upkeep.unpark(found))
            self._ring(hint_of(queued))
        if len(found) < UNPARK_MAX:
            self._reasons = LATER
            return EVERY_SECONDS
        return 0.0
