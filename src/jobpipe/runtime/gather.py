"""Lets concurrent enqueues of one process share a statement and a commit.

While one statement is under way the next calls gather: those that await on one event loop, and
those of all threads that block. Nobody is answered before the commit that holds his job, so the
promise is the same as for an enqueue of one's own; and who is alone stores at once by himself.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from jobpipe.errors import JobpipeError, StoreUnavailable
from jobpipe.model.job import Enqueued, NewJob

GATHER_MAX = 1_000
"""Most jobs of one statement."""

T = TypeVar("T")
StoreJobs = Callable[[Sequence[NewJob]], list[Enqueued]]
AsyncStoreJobs = Callable[[Sequence[NewJob]], Awaitable[list[Enqueued]]]

_Waiting = tuple[NewJob, asyncio.Future[Enqueued]]


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
        while self._waiting:
            group = self._waiting[:GATHER_MAX]
            del self._waiting[:GATHER_MAX]
            self._crowded = len(group) > 1
            await self._store(group)
        self._busy = False
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
                for half in _halves(group):
                    await self._store(half)
        else:
            for (_, answer), enqueued in zip(group, answers, strict=True):
                if not answer.done():
                    answer.set_result(enqueued)


def _fail(group: Sequence[_Waiting], error: Exception) -> None:
    for _, answer in group:
        if not answer.done():
            answer.set_exception(error)


class _Seat:
    """A thread's place in the line."""

    __slots__ = ("answer", "error", "job", "leads", "turn")

    def __init__(self, job: NewJob) -> None:
        self.job = job
        self.turn = threading.Lock()
        """Free when the job is stored or refused, or when it is this thread's turn to lead."""
        self.leads = False
        self.answer: Enqueued | None = None
        self.error: BaseException | None = None
        self.turn.acquire()

    def wake(self) -> None:
        """Let the thread go on; twice is fine."""
        if self.turn.locked():
            self.turn.release()


class _ThreadLine:
    """The jobs of threads that block: one of them stores for all, then another one.

    A signal may interrupt a thread anywhere: whoever is about to lead says so to himself first, so
    that the others never wait for somebody who has gone.
    """

    def __init__(self, store_jobs: StoreJobs) -> None:
        self._store_jobs = store_jobs
        self._gate = threading.Lock()
        self._waiting: list[_Seat] = []
        self._leader: int | None = None
        """The thread that stores (0: it is on its way); None means an empty line."""

    def enqueue(self, job: NewJob) -> Enqueued:
        me = threading.get_ident()
        if self._leader == me:  # in the middle of a statement, by a signal or a finalizer
            return self._store_jobs([job])[0]
        is_alone = False
        try:
            with self._gate:
                if self._leader is None:
                    is_alone, self._leader = True, me
            if is_alone:
                return self._store_jobs([job])[0]
        finally:
            if is_alone:
                self._pass_on()
        return self._enqueue_with_others(job, me)

    def _enqueue_with_others(self, job: NewJob, me: int) -> Enqueued:
        seat = _Seat(job)
        try:
            with self._gate:
                self._waiting.append(seat)
                if self._leader is None:
                    seat.leads, self._leader = True, me
            if not seat.leads:
                seat.turn.acquire()
            if seat.leads:
                self._leader = me
                self._store_waiting()
        finally:  # also when a signal interrupts it: the others must not wait for ever
            if seat.leads or seat.answer is None:
                self._leave(seat)
        if seat.answer is None:
            raise seat.error or RuntimeError("a job in line was left out")
        return seat.answer

    def _leave(self, seat: _Seat) -> None:
        with self._gate:
            if seat in self._waiting:
                self._waiting.remove(seat)
            is_leader, seat.leads = seat.leads, False
        if is_leader:
            self._pass_on()

    def _pass_on(self) -> None:
        """Let another thread lead, the one that has waited longest."""
        with self._gate:
            self._leader = 0 if self._waiting else None
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].turn.release()

    def _store_waiting(self) -> None:
        with self._gate:
            group = self._waiting[:GATHER_MAX]
            del self._waiting[:GATHER_MAX]
        try:
            self._store(group)
        except BaseException:
            cut = StoreUnavailable(
                "the thread that stored for others was interrupted; it is unknown whether the"
                " job was stored",
                outcome_unknown=True,
            )
            _refuse([seat for seat in group if seat.answer is None and seat.error is None], cut)
            for seat in group:
                seat.wake()
            raise

    def _store(self, group: Sequence[_Seat]) -> None:
        try:
            answers = self._store_jobs([seat.job for seat in group])
        except JobpipeError as error:
            _refuse(group, error)
        except Exception as error:
            if len(group) == 1:
                _refuse(group, error)
            else:
                for half in _halves(group):
                    self._store(half)
        else:
            for seat, enqueued in zip(group, answers, strict=True):
                seat.answer = enqueued
                seat.wake()


def _refuse(group: Sequence[_Seat], error: BaseException) -> None:
    for seat in group:
        seat.error = error
        seat.wake()


def _halves(group: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    return group[: len(group) // 2], group[len(group) // 2 :]
