"""Where a full walk would take long, a claimer finds in slices what all claims have passed."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from jobpipe.config.values import read_queues
from jobpipe.delivery.hub import Hub
from jobpipe.model.job import Lane, NewJob
from jobpipe.model.worker import NewWorker
from jobpipe.policy.frontier import SLICE_SECONDS, Walk
from jobpipe.runtime.claimer import Claimer
from jobpipe.runtime.demand import Demand
from jobpipe.runtime.lanes import LaneChoice
from jobpipe.runtime.telling import Telling
from jobpipe.store.ops.enqueue import enqueue
from jobpipe.store.ops.worker import register
from jobpipe.store.postgres import dialect
from jobpipe.store.postgres.async_driver import PostgresAsyncStore
from jobpipe.store.postgres.driver import PostgresStore

LOW, HIGH = Lane("low", 0), Lane("high", 5)
LANES = (HIGH, LOW)


class Noted:
    """A store that notes the operations it runs."""

    def __init__(self, store: PostgresAsyncStore) -> None:
        self._store = store
        self.capabilities = store.capabilities
        self.asked: list[str] = []

    async def run(self, operation: Any) -> Any:
        self.asked.append(operation.name)
        return await self._store.run(operation)


async def until_full(claimer: Claimer) -> None:
    """Wait for the turn of a full walk: fifty times as long as the last slice took."""
    frontier = claimer.frontier
    while frontier.next_walk(LANES, time.monotonic()) is not Walk.FULL:  # noqa: ASYNC110 - a clock
        await asyncio.sleep(0.01)


def test_a_claimer_finds_in_slices_what_was_left_behind(postgres_url: str) -> None:
    known = dialect.load("jobpipe")
    blocking = PostgresStore(postgres_url, known)
    blocking.migrate()
    blocking.run(enqueue([NewJob(task="t", args="{}", queue="low") for _ in range(5)]))
    (late,) = blocking.run(enqueue([NewJob(task="t", args="{}", queue="high", priority=5)]))
    new = NewWorker(name="w", host="h", pid=1, pid_started="0", slots=1, queues=["*"])
    worker = blocking.run(register(new, 15_000_000))
    blocking.close()

    async def main() -> None:
        store = Noted(PostgresAsyncStore(postgres_url, known))
        claimer = Claimer(
            store,
            worker,
            LaneChoice(read_queues("*")),
            poll_seconds=1.0,
            demand=lambda: Demand(10, 0),
            put=lambda job: None,
            telling=Telling(Hub()),
        )
        for lane in LANES:
            claimer.frontier.claimed(lane, 3_000)
        long_ago = time.monotonic() - 1_000
        claimer.frontier.walked_fully(LANES, long_ago, long_ago + 10 * SLICE_SECONDS)
        found = []
        for _ in range(2):
            await until_full(claimer)
            found += [job.id for job in await claimer._walks.claim(LANES, 4)]
        assert store.asked == ["left_behind", "claim"] * 2
        assert found[0] == late.id
        assert len(found) == 6
        store.asked.clear()
        await until_full(claimer)
        assert await claimer._walks.claim(LANES, 4) == []
        assert store.asked[0] == "left_behind"
        assert [after for after, _ in claimer.frontier.next_slice(LANES).values()] == [1_000] * 2
        await store._store.close()

    asyncio.run(main())
