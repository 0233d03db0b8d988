"""Brings parked jobs back whose task this worker knows."""

from __future__ import annotations

import time
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
    """Looks for such jobs at the worker's start, then every second while any are parked."""

    def __init__(self, store: AsyncStore, registry: Registry, ring: Callable[[Hint], None]) -> None:
        self._store = store
        self._registry = registry
        self._ring = ring
        self._reasons: tuple[Reason, ...] = AT_START
        self._is_due = False
        self._rests_until = 0.0

    def note(self, has_parked: bool) -> bool:
        """Take over what a look has found; tell whether there may be something to bring back."""
        if not has_parked:
            self._reasons = LATER
        self._is_due = has_parked and time.monotonic() >= self._rests_until
        return self._is_due

    async def once(self) -> float | None:
        """Bring back what may be, if a look has found any; then wait for the next one."""
        if not self._is_due:
            return None
        tasks = [task.name for task in self._registry]
        found = await self._store.run(upkeep.find_parked(tasks, self._reasons, UNPARK_MAX))
        if found:
            queued = await self._store.run(upkeep.unpark(found))
            self._ring(hint_of(queued))
        if len(found) == UNPARK_MAX:
            return 0.0
        self._reasons, self._is_due = LATER, False
        self._rests_until = time.monotonic() + EVERY_SECONDS
        return None
