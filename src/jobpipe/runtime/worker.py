"""A worker on an event loop: it claims, runs and finishes jobs, and does every duty of the store.

Any one worker alone keeps everything going; none of them leads. It is a chain of incarnations:
when one loses its lease, the next begins.
"""

from __future__ import annotations

import asyncio
from typing import Any

from jobpipe.errors import ConfigError
from jobpipe.model.job import Finish
from jobpipe.runtime.finisher import BATCH_MAX, write_late
from jobpipe.runtime.incarnation import Incarnation
from jobpipe.runtime.lifespan import Lifespans
from jobpipe.runtime.options import WorkerKit, WorkerOptions
from jobpipe.runtime.seat import Alone, Seat
from jobpipe.runtime.telling import Telling
from jobpipe.store.ops import claim
from jobpipe.store.ops import worker as ops
from jobpipe.telemetry.events import (
    LeaseEnded,
    SlotsStuck,
    StoreLost,
    WorkerStarted,
    WorkerStopped,
    WorkerStopping,
    emit,
)

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Bounds of the wait between two tries to begin anew while the store is away, in seconds."""


class Worker:
    """Works until it is told to stop, or (``burst``) until nothing is left that may run now."""

    def __init__(
        self,
        kit: WorkerKit,
        options: WorkerOptions,
        *,
        burst: bool = False,
        seat: Seat | None = None,
    ) -> None:
        self.exhausted = False
        """It stopped because half its slots hold runs that cannot be stopped."""
        self.ready = asyncio.Event()
        self._kit = kit
        self._options = options
        self._burst = burst
        self._seat = seat or Alone()
        self._current: Incarnation | None = None
        self._is_idle = False
        """It stops since nothing is left that may run now."""
        self._lifespans = Lifespans(kit.registry.hooks.lifespans)
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._over: list[int] = []
        self._unwritten: list[Finish] = []

    def stop(self) -> None:
        """Stop in good order; called again, stop at once."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    def look(self) -> None:
        """Look at once at everything that is queued."""
        if self._current is not None:
            self._current.claimer.look_fully()

    async def run(self) -> None:
        """Work until the end; raises StoreUnavailable or ConfigError when it cannot begin."""
        try:
            async with self._lifespans:
                incarnation: Incarnation | None = await self._begin()
                while incarnation is not None:
                    incarnation = await self._live(incarnation)
        finally:
            await self._kit.transactions.close()
            await self._kit.store.close()
            self._kit.close()

    async def _begin(self) -> Incarnation:
        incarnation = await Incarnation.register(
            self._kit, self._options, self._seat, self._lifespans.values
        )
        try:
            await incarnation.start()
        except BaseException:
            await incarnation.abandon()
            raise
        queues = ", ".join(queue.name for queue in self._options.queues)
        emit(
            WorkerStarted(
                worker=self._options.name,
                worker_id=incarnation.worker_id,
                slots=self._options.concurrency,
                queues=queues,
            )
        )
        self._current = incarnation
        self._seat.ready()
        self.ready.set()
        return incarnation

    async def _live(self, incarnation: Incarnation) -> Incarnation | None:
        """Work as this incarnation; return the next one, None at the end."""
        try:
            await self._first_of(incarnation)
        except BaseException:  # it would go on, and keep its lease, with nobody to stop it
            await incarnation.stop(0.0, self._hurry)
            raise
        if incarnation.lost.is_set():
            emit(LeaseEnded(worker=self._options.name, why=incarnation.why_lost))
            self._unwritten += await incarnation.abandon()
            self._over.append(incarnation.worker_id)
            return None if self._stopping.is_set() else await self._begin_anew()
        if not self._is_idle:
            self._seat.retiring()
        if incarnation.stuck.is_set():
            slots = incarnation.slots
            emit(SlotsStuck(worker=self._options.name, stuck=slots.stuck, slots=slots.count))
            self.exhausted = True
        emit(
            WorkerStopping(
                worker=self._options.name,
                running=len(incarnation.slots.running),
                grace_seconds=self._options.shutdown_seconds,
            )
        )
        given_back = await incarnation.stop(self._options.shutdown_seconds, self._hurry)
        emit(WorkerStopped(worker=self._options.name, given_back=given_back))
        return None

    async def _first_of(self, incarnation: Incarnation) -> None:
        """Wait until it is to stop, lost its lease, is exhausted, has retired, or is idle."""
        ends: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(self._stopping.wait()),
            asyncio.ensure_future(incarnation.lost.wait()),
            asyncio.ensure_future(incarnation.stuck.wait()),
            asyncio.ensure_future(self._retired(incarnation)),
        ]
        if self._burst:
            ends.append(asyncio.ensure_future(self._idle(incarnation)))
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        for end in done:
            end.result()

    async def _retired(self, incarnation: Incarnation) -> None:
        """Return when it takes no more jobs and has run those that it took."""
        await self._seat.intake.retiring.wait()
        self._seat.retiring()
        await incarnation.run_out()

    async def _idle(self, incarnation: Incarnation) -> None:
        await incarnation.idle()
        self._is_idle = not self._seat.intake.retiring.is_set()

    async def _begin_anew(self) -> Incarnation | None:
        pause = SHORTEST_PAUSE
        while not self._stopping.is_set():
            try:
                await self._give_back_former()
                return await self._begin()
            except ConfigError:
                raise
            except Exception as error:  # whatever it is, a worker is better late than never
                if pause == SHORTEST_PAUSE:
                    emit(StoreLost(doing="beginning anew", why=str(error)))
            try:
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            except TimeoutError:
                pause = min(pause * 2, LONGEST_PAUSE)
        return None

    async def _give_back_former(self) -> None:
        """What former incarnations ended counts, if it still may; what they hold is given back."""
        telling = Telling(self._kit.hub)
        while self._unwritten:
            await write_late(self._kit.store, self._unwritten[:BATCH_MAX])
            telling.something()
            del self._unwritten[:BATCH_MAX]
        while self._over:
            held = await self._kit.store.run(claim.held(self._over[-1]))
            if held:
                telling.queued(await self._kit.store.run(claim.give_back(held, started=True)))
                telling.came_to_gates()
            await self._kit.store.run(ops.end_worker(self._over[-1]))
            self._over.pop()
