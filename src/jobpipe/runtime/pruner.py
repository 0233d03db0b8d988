"""Deletes final jobs that were kept long enough, and folds the counters.

One worker at a time does it, in small steps from where the last walk stopped.
"""

from __future__ import annotations

from jobpipe.model.gate import GateName
from jobpipe.model.state import State
from jobpipe.policy.duration import MAX_SPAN_US, UNITS_US
from jobpipe.policy.retention import Retention
from jobpipe.store.ops import audit, gates, operate, upkeep
from jobpipe.store.ops.forget import prune_empty_flows
from jobpipe.store.port import AsyncStore

PRUNE_EVERY_SECONDS = 60.0
ROLLUP_EVERY_SECONDS = 10.0
AUDIT_KEEP_US = 90 * UNITS_US["d"]
"""As long as failed jobs are kept: who looks into one finds who touched it."""

STEP = 1_000
"""Jobs looked at in one transaction; between two, other work has its turn."""


class Pruner:
    """Prunes by the retention, when a look has told that a minute has passed."""

    def __init__(self, store: AsyncStore, retention: Retention) -> None:
        self._store = store
        self._keep_us = {
            State.SUCCEEDED: retention.succeeded_us,
            State.CANCELLED: retention.cancelled_us,
            State.FAILED: retention.failed_us,
        }

    async def once(self) -> None:
        every_us = round(PRUNE_EVERY_SECONDS * 1e6)
        position = await self._store.run(upkeep.take_duty("prune", every_us))
        if position is not None:
            position = await self._walk(position)
            while position:
                position = await self._walk(position)
            await self._prune_others(every_us)
            for forget in (audit.prune_audit, operate.prune_operations):
                while await self._store.run(forget(AUDIT_KEEP_US, STEP)) == STEP:
                    pass

    async def _prune_others(self, least_us: int) -> None:
        ages = [MAX_SPAN_US if span is None else span for span in self._keep_us.values()]
        longest, shortest = max(ages), min(ages)
        await self._store.run(upkeep.prune_workers(max(longest, least_us), max(shortest, least_us)))
        while await self._store.run(prune_empty_flows(max(shortest, least_us), STEP)) == STEP:
            pass
        after: GateName | None = gates.FIRST
        while after is not None:
            _, after = await self._store.run(gates.prune_gates(STEP, after))

    async def _walk(self, position: int) -> int:
        pruned = await self._store.run(upkeep.prune(position, STEP, self._keep_us))
        return pruned.position


class Rollup:
    """Folds the counters that every batch of outcomes appends to."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store

    async def once(self) -> None:
        every_us = round(ROLLUP_EVERY_SECONDS * 1e6)
        if await self._store.run(upkeep.take_duty("rollup", every_us)) is not None:
            await self._store.run(upkeep.rollup())
