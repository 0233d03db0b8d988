"""Lets concurrent enqueues of one process share a statement and a commit.

While one statement is under way the next calls gather: those that await on one event loop, and
those of all threads that block. Nobody is answered before the commit that holds his job, so the
promise is the same as for an enqueue of one's own; and who is alone stores at once by himself.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import weakref
from collections.abc import Awaitable, Callable, Generator, Sequence
from concurrent.futures import Future
from contextlib import suppress

from jobpipe.errors import JobpipeError, StoreUnavailable
from jobpipe.model.job import Enqueued, NewJob

GATHER_MAX = 1_000
"""Most jobs of one statement."""

IDLE_SECONDS = 5.0
"""How long the thread of a crowd waits for another one."""

StoreJobs = Callable[[Sequence[NewJob]], list[Enqueued]]
AsyncStoreJobs = Callable[[Sequence[NewJob]], Awaitable[list[Enqueued]]]

_Waiting = tuple[NewJob, asyncio.Future[Enqueued] | Future[Enqueued]]


class Gatherer:
    """Gathers jobs per event loop, and those of threads, and stores them together."""

    def __init__(self, store_jobs: StoreJobs, async_store_jobs: AsyncStoreJobs) -> None:
        self._store_jobs = store_jobs
        self._async_store_jobs = async_store_jobs
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Line] = (
            weakref.WeakKeyDictionary()
        )
        self._threads = _ThreadLine(store_jobs)
        self._process = os.getpid()

    def enqueue(self, job: NewJob) -> Enqueued:
        """Store the job together with whatever else the threads of this process enqueue."""
        if self._process != os.getpid():  # who stood in line stayed with the parent
            self._threads, self._process = _ThreadLine(self._store_jobs), os.getpid()
        return self._threads.enqueue(job)

    async def aenqueue(self, job: NewJob) -> Enqueued:
        """Store the job together with whatever else is enqueued on this loop just now."""
        loop = asyncio.get_running_loop()
        line = self._loops.get(loop)
        if line is None:
            line = self._loops[loop] = _Line(self._async_store_jobs)
        return await line.enqueue(job, loop)


class _Line:
    """The jobs that wait on one loop."""

    def __init__(self, store_jobs: AsyncStoreJobs) -> None:
        self._store_jobs = store_jobs
        self._waiting: list[_Waiting] = []
        self._busy = False
        self._crowded = False
        """Several came at once the last time: the first of the next ones waits for the others."""
        self._storing: asyncio.Task[None] | None = None

    async def enqueue(self, job: NewJob, loop: asyncio.AbstractEventLoop) -> Enqueued:
        if self._busy or self._crowded:
            answer: asyncio.Future[Enqueued] = loop.create_future()
            self._waiting.append((job, answer))
            if not self._busy:
                self._begin(loop)
            return await answer
        self._busy = True
        try:
            return (await self._store_jobs([job]))[0]
        finally:
            self._busy = False
            if self._waiting:
                self._begin(loop)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._busy = True
        self._storing = loop.create_task(self._store_all())

    async def _store_all(self) -> None:
        group: list[_Waiting] = []
        try:
            while self._waiting:
                group = self._waiting[:GATHER_MAX]
                del self._waiting[:GATHER_MAX]
                self._crowded = len(group) > 1
                await self._store(group)
        finally:  # also when somebody cancels all tasks of the loop
            cut = StoreUnavailable("cancelled while it was being stored", outcome_unknown=True)
            _fail(group, cut)
            self._busy = False
            self._storing = None  # a task leads to its loop, which nothing here may keep
            if self._waiting:
                self._begin(asyncio.get_running_loop())

    async def _store(self, group: Sequence[_Waiting]) -> None:
        steps = _steps(group)
        with suppress(StopIteration):
            jobs = next(steps)
            while True:
                try:
                    answers = await self._store_jobs(jobs)
                except Exception as error:
                    jobs = steps.throw(error)
                else:
                    jobs = steps.send(answers)


class _ThreadLine:
    """The jobs of threads that block: who finds nobody storing stores his own, and what comes
    meanwhile is stored together by a thread of the line's own.

    A signal may interrupt a thread that stores for itself, never the one that stores for others.
    """

    def __init__(self, store_jobs: StoreJobs) -> None:
        self._store_jobs = store_jobs
        self._place = threading.RLock()
        """Held by whoever stores; free again however its block is left."""
        self._storing: int | None = None
        """The thread that stores just now."""
        self._gate = threading.RLock()
        """Guards the start and the end of the line's own thread."""
        self._waiting: queue.SimpleQueue[tuple[NewJob, Future[Enqueued]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def enqueue(self, job: NewJob) -> Enqueued:
        me = threading.get_ident()
        if self._storing == me:  # a signal's handler, or a finalizer, in the middle of a statement
            return self._store_jobs([job])[0]
        if self._storing or not self._waiting.empty():  # a hint: a wrong one costs time alone
            return self._hand_over(job).result()
        with self._place:
            self._storing = me
            try:
                return self._store_jobs([job])[0]
            finally:
                self._storing = None

    def _hand_over(self, job: NewJob) -> Future[Enqueued]:
        answer: Future[Enqueued] = Future()
        with self._gate:
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="jobpipe-gatherer", daemon=True)
                thread.start()
                self._thread = thread
            self._waiting.put((job, answer))
        return answer

    def _work(self) -> None:
        while True:
            try:
                group: list[_Waiting] = [self._waiting.get(timeout=IDLE_SECONDS)]
            except queue.Empty:
                if self._may_end():
                    return
                continue
            with self._place:  # whoever comes while it waits for that is stored too
                while len(group) < GATHER_MAX and not self._waiting.empty():
                    group.append(self._waiting.get())
                self._storing = threading.get_ident()
                self._store(group)
                self._storing = None

    def _store(self, group: Sequence[_Waiting]) -> None:
        steps = _steps(group)
        with suppress(StopIteration):
            jobs = next(steps)
            while True:
                try:
                    answers = self._store_jobs(jobs)
                except Exception as error:
                    jobs = steps.throw(error)
                else:
                    jobs = steps.send(answers)

    def _may_end(self) -> bool:
        with self._gate:
            if self._waiting.empty():
                self._thread = None
            return self._thread is None


def _steps(group: Sequence[_Waiting]) -> Generator[list[NewJob], list[Enqueued], None]:
    """Yield what is to be stored together, and answer those who wait.

    What the store refuses is tried by halves: nobody shall suffer for another one's job.
    """
    try:
        answers = yield [job for job, _ in group]
    except JobpipeError as error:
        _fail(group, error)
        return
    except Exception as error:
        if len(group) == 1:
            _fail(group, error)
            return
    else:
        for (_, answer), enqueued in zip(group, answers, strict=True):
            if not answer.done():
                answer.set_result(enqueued)
        return
    middle = len(group) // 2
    yield from _steps(group[:middle])
    yield from _steps(group[middle:])


def _fail(group: Sequence[_Waiting], error: Exception) -> None:
    for _, answer in group:
        if not answer.done():
            answer.set_exception(error)
