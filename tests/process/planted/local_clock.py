"""A sweeper judges the leases of others by the clock of its own machine."""

from __future__ import annotations

from jobpipe.clock import wall_clock
from jobpipe.model.worker import WorkerRecord
from jobpipe.runtime.sweeper import Sweeper


def has_expired(self: Sweeper, other: WorkerRecord) -> bool:
    return other.lease_until < wall_clock()


def plant() -> None:
    Sweeper._is_dead = has_expired  # type: ignore[method-assign]
