"""Takes back what dead workers held.

A worker is dead when its lease has ended by the store's clock; on this host already when its
process is gone (of a supervised one its supervisor's, which takes it along and until then buries
it itself), on SQLite when nobody holds its lock file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from jobpipe.failpoint import failpoint
from jobpipe.model.worker import WorkerRecord
from jobpipe.runtime import identity
from jobpipe.runtime.telling import Telling
from jobpipe.store.ops import worker as ops
from jobpipe.store.ops.worker import Control
from jobpipe.store.port import AsyncStore
from jobpipe.telemetry.events import WorkerSwept, emit

GRACE_SECONDS = 0.5
"""A lease must be seen to have ended for so long: where many write at once a living worker may
renew it a little late, and however often others look they shall not catch it then."""


class Sweeper:
    """Judges the other workers at each look, and sweeps when one is dead."""

    def __init__(
        self,
        store: AsyncStore,
        *,
        is_dead_by_lock: Callable[[int], bool],
        forget_lock: Callable[[int], None],
        heartbeat_was_late: Callable[[], bool],
        telling: Telling,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._host = identity.host()
        self._is_dead_by_lock = is_dead_by_lock
        self._forget_lock = forget_lock
        self._heartbeat_was_late = heartbeat_was_late
        self._telling = telling
        self._clock = clock
        self._worker_id = 0
        self._dead: list[int] = []
        self._expired = False
        self._expired_since: dict[int, float] = {}
        self._is_due = False

    def note(self, control: Control) -> bool:
        """Take over what a look has found; tell whether there is something to sweep."""
        others, self._worker_id = control.others, control.worker
        self._dead = [other.id for other in others if self._is_dead(other)]
        self._expired = self._lasts(others) and not self._heartbeat_was_late()
        self._is_due = bool(self._dead) or self._expired or control.has_orphans
        return self._is_due

    async def once(self) -> None:
        """Sweep what was noted, if anything was; then wait for the next look."""
        if not self._is_due:
            return
        failpoint("sweep.before")
        only_known = not self._expired
        sweep = ops.sweep(self._dead, only_known=only_known, by=self._worker_id)
        for swept in await self._store.run(sweep):
            n, ended = len(swept.queued), swept.failed
            emit(WorkerSwept(worker=swept.worker, queued=n, blocked=swept.blocked, failed=ended))
            self._forget_lock(swept.worker_id)
            self._telling.queued(swept.queued, swept.ended)
            if swept.blocked:
                self._telling.came_to_gates()
            self._telling.something()  # what it did last and had not told yet
        self._is_due = False

    def _lasts(self, others: Sequence[WorkerRecord]) -> bool:
        """Tell whether a lease that has ended was not renewed since."""
        now, before = self._clock(), self._expired_since
        self._expired_since = {o.id: before.get(o.id, now) for o in others if o.expired}
        return any(now - since >= GRACE_SECONDS for since in self._expired_since.values())

    def _is_dead(self, other: WorkerRecord) -> bool:
        if self._is_dead_by_lock(other.id):
            return True
        if other.host != self._host:
            return False
        if other.supervisor_pid is not None:  # as long as it lives, it knows best what was lost
            return identity.is_dead(other.supervisor_pid, other.supervisor_started)
        return identity.is_dead(other.pid, other.pid_started)
