"""What had ended when a worker lost its lease is written late, and the store decides about it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import TypeVar

from jobpipe import Jobpipe, State
from jobpipe.errors import StoreUnavailable
from jobpipe.runtime.incarnation import Incarnation
from jobpipe.runtime.worker import Worker
from jobpipe.store.ops import worker as ops
from jobpipe.store.port import AsyncStore, Operation
from tests.conformance.app.site import ENOUGH_SECONDS, Site

T = TypeVar("T")


class NoFinish:
    """A store that cannot be reached whenever an outcome is to be written."""

    def __init__(self, store: AsyncStore) -> None:
        self.capabilities = store.capabilities
        self.broken = True
        self.tried = asyncio.Event()
        self._store = store

    async def run(self, operation: Operation[T]) -> T:
        if operation.name == "finish" and self.broken:
            self.tried.set()
            raise StoreUnavailable("away for this")
        return await self._store.run(operation)

    async def close(self) -> None:
        await self._store.close()


async def lose_the_lease(
    jp: Jobpipe, meanwhile: Callable[[int, AsyncStore], Awaitable[None]]
) -> None:
    """Run a worker that ends a job, cannot write that, loses its lease, and begins anew."""
    worker: Worker = jp._worker_maker({})()
    store = NoFinish(worker._kit.store)
    worker._kit = dataclasses.replace(worker._kit, store=store)
    begun: asyncio.Queue[Incarnation] = asyncio.Queue()
    begin = worker._begin

    async def tell() -> Incarnation:
        incarnation = await begin()
        begun.put_nowait(incarnation)
        return incarnation

    worker._begin = tell  # type: ignore[method-assign]
    async with asyncio.timeout(ENOUGH_SECONDS):
        running = asyncio.create_task(worker.run())
        first = await begun.get()
        await store.tried.wait()
        first.claimer.close()  # what is taken back shall not be claimed before it hears of it
        await meanwhile(first.worker_id, store)
        first._lose("the test says so")
        store.broken = False
        await begun.get()
        worker.stop()
        await running


def test_it_counts_when_nobody_has_taken_the_job_over(site: Site, jp: Jobpipe) -> None:
    runs = []

    @jp.task
    async def once() -> str:
        runs.append(1)
        return "done"

    async def nothing(_worker: int, _store: AsyncStore) -> None:
        """The lease is only in doubt."""

    job = site.enqueue(once)
    asyncio.run(lose_the_lease(jp, nothing))
    assert (site.seen(job).state, site.seen(job).token, runs) == (State.SUCCEEDED, 1, [1])
    assert site.result(job) == "done"


def test_it_is_refused_when_the_job_was_taken_back(site: Site, jp: Jobpipe) -> None:
    runs = []

    @jp.task(max_attempts=9)
    async def counted() -> int:
        runs.append(1)
        return len(runs)

    async def sweep(worker: int, store: AsyncStore) -> None:
        assert [swept.worker_id for swept in await store.run(ops.sweep([worker]))] == [worker]

    job = site.enqueue(counted)
    asyncio.run(lose_the_lease(jp, sweep))
    site.drain(jp)
    assert (site.seen(job).state, site.seen(job).token, runs) == (State.SUCCEEDED, 2, [1, 1])
    assert site.result(job) == 2
