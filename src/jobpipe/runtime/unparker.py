"""Brings parked jobs back that this worker can take, or a program elsewhere can.

While workers with older code live, they may take such a job first and park it again. So it rests
after each time, longer and longer, and in the end whoever can take it has it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from jobpipe.delivery.hub import Hint
from jobpipe.model.state import Reason
from jobpipe.model.takes import Takes
from jobpipe.runtime.telling import hint_of
from jobpipe.store.ops import upkeep
from jobpipe.store.port import AsyncStore

EVERY_SECONDS = 1.0
UNPARK_MAX = 1_000

PROGRAMS_MAX = 100
"""Most programs with other tasks whose last look is remembered."""

AT_START = (Reason.UNKNOWN_TASK, Reason.INCOMPATIBLE, Reason.UNDECODABLE)
"""New code may take what older code could not."""

LATER = (Reason.UNKNOWN_TASK, Reason.INCOMPATIBLE)
"""Parked by a worker with other tasks or versions; what this code cannot decode stays parked."""

Ring = Callable[[Hint], None]


class Unparker:
    """Looks for such jobs at the worker's start, then every second while any are parked."""

    def __init__(self, store: AsyncStore, takes: Callable[[], Iterable[Takes]], ring: Ring) -> None:
        """``takes`` returns what the worker can run."""
        self._store = store
        self._takes = takes
        self._ring = ring
        self._is_new = True
        """It has not looked at all of them yet."""
        self._after = 0
        self._is_due = False
        self._rests_until = 0.0

    def note(self, has_parked: bool) -> bool:
        """Take over what a look has found; tell whether there may be something to bring back."""
        if not has_parked:
            self._is_new = False
        self._is_due = has_parked and time.monotonic() >= self._rests_until
        return self._is_due

    async def once(self) -> float | None:
        """Bring back what may be, if a look has found any; then wait for the next one."""
        if not self._is_due:
            return None
        found = await self._store.run(
            upkeep.find_parked(
                list(self._takes()),
                AT_START if self._is_new else LATER,
                UNPARK_MAX,
                after=self._after,
                anew=self._is_new,
            )
        )
        if found:
            back = await self._store.run(upkeep.unpark(found))
            self._ring(hint_of(back.queued, back.ended))
            if back.blocked:
                self._ring(Hint(gates=True))
        if len(found) == UNPARK_MAX:
            self._after = found[-1]
            return 0.0
        self._after, self._is_new, self._is_due = 0, False, False
        self._rests_until = time.monotonic() + EVERY_SECONDS
        return None


class Unparkers:
    """One for each set of tasks that programs elsewhere name when they ask for jobs."""

    def __init__(self, store: AsyncStore, ring: Ring) -> None:
        self._store = store
        self._ring = ring
        self._has_parked = False
        self._known: dict[frozenset[str], Unparker] = {}

    def note(self, has_parked: bool) -> None:
        """Take over what a look has found."""
        self._has_parked = has_parked

    async def bring_back(self, tasks: frozenset[str]) -> None:
        """Bring back parked jobs of these tasks, unless that was done a moment ago."""
        unparker = self._known.pop(tasks, None)
        if unparker is None:
            takes = [Takes(task) for task in tasks]
            unparker = Unparker(self._store, lambda: takes, self._ring)
        self._known[tasks] = unparker  # the last one now
        while len(self._known) > PROGRAMS_MAX:
            del self._known[next(iter(self._known))]
        if unparker.note(self._has_parked):
            while await unparker.once() == 0.0:
                continue
