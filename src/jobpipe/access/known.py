"""What a process that enqueues knows of the limits of queues: read again once a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from msgspec.structs import replace

from jobpipe.model.gate import GateKind, Wish
from jobpipe.model.job import NewJob
from jobpipe.model.marks import GATED, STARTS
from jobpipe.store.ops.enqueue import Bounds
from jobpipe.store.ops.queue import QueueLimits, gates_of

FRESH_SECONDS = 0.9
"""So that a limit counts everywhere within a second."""


class KnownLimits:
    """The limits of queues, as of the last read; one caller at a time reads them again."""

    def __init__(self, usual: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.bounds = Bounds(usual)
        self._gates: dict[str, tuple[Wish, ...]] = {}
        self._clock = clock
        self._read_at = float("-inf")

    def take_turn(self) -> bool:
        """Tell whether the caller is to read the limits anew."""
        now = self._clock()
        if now - self._read_at < FRESH_SECONDS:
            return False
        self._read_at = now
        return True

    def learn(self, limits: Mapping[str, QueueLimits]) -> None:
        """Take over what was read."""
        own = {
            name: each.max_queued for name, each in limits.items() if each.max_queued is not None
        }
        self.bounds = Bounds(self.bounds.usual, own)
        gates = {name: gates_of(name, each) for name, each in limits.items()}
        self._gates = {name: wishes for name, wishes in gates.items() if wishes}

    def forget(self) -> None:
        """Let the next caller read anew: the last read failed, or was of another store."""
        self._read_at = float("-inf")

    def with_gates(self, jobs: list[NewJob]) -> list[NewJob]:
        """Return the jobs, those of limited queues with the gates that they are to pass."""
        if not self._gates:
            return jobs
        return [_gated(job, self._gates.get(job.queue, ())) for job in jobs]


def _gated(job: NewJob, wishes: tuple[Wish, ...]) -> NewJob:
    if not wishes:
        return job
    starts = STARTS if any(wish.kind is GateKind.RATE for wish in wishes) else 0
    return replace(job, marks=(job.marks or 0) | GATED | starts, wishes=(*job.wishes, *wishes))
