"""Lets concurrent enqueues of one event loop share a statement and a commit.

While one statement is under way the next calls gather. Nobody is answered before the commit that
holds his job, so the promise is the same as for an enqueue of one's own.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Sequence

from jobpipe.errors import JobpipeError
from jobpipe.model.job import Enqueued, NewJob

GATHER_MAX = 1_000
"""Most jobs of one statement."""

StoreJobs = Callable[[Sequence[NewJob]], Awaitable[list[Enqueued]]]

_Waiting = tuple[NewJob, asyncio.Future[Enqueued]]


class Gatherer:
    """Gathers jobs per event loop and stores them together."""

    def __init__(self, store_jobs: StoreJobs) -> None:
        self._store_jobs = store_jobs
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = (
            weakref.WeakKeyDictionary()
        )

    async def enqueue(self, job: NewJob) -> Enqueued:
        """Store the job together with whatever else is enqueued on this loop just now."""
        loop = asyncio.get_running_loop()
        line = self._loops.get(loop)
        if line is None:
            line = self._loops[loop] = _Line(self._store_jobs)
        return await line.enqueue(job, loop)


class _Line:
    """The jobs that wait on one loop."""

    def __init__(self, store_jobs: StoreJobs) -> None:
        self._store_jobs = store_jobs
        self._waiting: list[_Waiting] = []
        self._storing: asyncio.Task[None] | None = None

    async def enqueue(self, job: NewJob, loop: asyncio.AbstractEventLoop) -> Enqueued:
        answer: asyncio.Future[Enqueued] = loop.create_future()
        self._waiting.append((job, answer))
        if self._storing is None:
            self._storing = loop.create_task(self._store_all())
        return await answer

    async def _store_all(self) -> None:
        while self._waiting:
            group = self._waiting[:GATHER_MAX]
            del self._waiting[:GATHER_MAX]
            await self._store(group)
        self._storing = None  # a task leads to its loop, which nothing here may keep

    async def _store(self, group: Sequence[_Waiting]) -> None:
        try:
            answers = await self._store_jobs([job for job, _ in group])
        except JobpipeError as error:
            _fail(group, error)
        except Exception as error:  # one of them is refused: the others shall not suffer for it
            if len(group) == 1:
                _fail(group, error)
            else:
                for half in (group[: len(group) // 2], group[len(group) // 2 :]):
                    await self._store(half)
        else:
            for (_, answer), enqueued in zip(group, answers, strict=True):
                if not answer.done():
                    answer.set_result(enqueued)


def _fail(group: Sequence[_Waiting], error: Exception) -> None:
    for _, answer in group:
        if not answer.done():
            answer.set_exception(error)
