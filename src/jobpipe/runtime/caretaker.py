"""Keeps a store in order without running a job: what a service does beside answering.

It has a row among the workers, with no slot, so that its lease tells others that it lives, and so
that it notices when nobody could write. Its look also asks for those who wait for jobs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from jobpipe.delivery.hub import Hint
from jobpipe.errors import StoreUnavailable
from jobpipe.runtime.bidding import Bidder
from jobpipe.runtime.duty import Duty
from jobpipe.runtime.handout import Handout
from jobpipe.runtime.hearing import Hearing
from jobpipe.runtime.options import WorkerKit, WorkerOptions
from jobpipe.runtime.seat import Alone, Terms, described, tick_seconds
from jobpipe.runtime.upkeep import Upkeep
from jobpipe.store.ops import worker as ops
from jobpipe.telemetry.events import LeaseEnded, StoreLost, emit

LOOK_SECONDS = 1.0
"""Longest time between two looks; the poll may shorten it."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Bounds of the wait between two tries to begin anew while the store is away, in seconds."""


class Caretaker:
    """Does every duty of the store until it is stopped; one post after the other."""

    def __init__(self, kit: WorkerKit, options: WorkerOptions, handout: Handout) -> None:
        self.ready = asyncio.Event()
        self.is_at_work = False
        """It holds a post now: what falls due is promoted, and what the dead held is taken back."""
        self._kit = kit
        self._options = options
        self._handout = handout
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Stop, and let nobody wait for jobs any longer; twice is fine."""
        self._handout.close()
        self._stopping.set()

    async def run(self) -> None:
        """Work until the end; raises StoreUnavailable or what else keeps it from its first post."""
        pause = SHORTEST_PAUSE
        try:
            while not self._stopping.is_set():
                try:
                    await self._hold_post()
                    pause = SHORTEST_PAUSE
                except Exception as error:  # whatever it is, nobody else may do the duties
                    if not self.ready.is_set():
                        raise
                    if pause == SHORTEST_PAUSE:
                        emit(StoreLost(doing="beginning anew", why=str(error)))
                    with suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._stopping.wait()
                    pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            await self._kit.transactions.close()
            await self._kit.store.close()
            self._kit.close()

    async def _hold_post(self) -> None:
        """Work until it is stopped, or its lease is lost."""
        about = described(self._options, Alone())
        lease_us = round(self._options.lease_seconds * 1e6)
        post = _Post(
            await self._kit.store.run(ops.register(about, lease_us)),
            self._kit,
            self._options,
            self._handout,
        )
        try:
            await post.start()
            self.is_at_work = True
            self.ready.set()
            ends = [asyncio.ensure_future(each.wait()) for each in (self._stopping, post.lost)]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for end in ends:
                    end.cancel()
        finally:
            self.is_at_work = False
            await post.close()
        if post.lost.is_set():
            emit(LeaseEnded(worker=self._options.name, why=post.why_lost))


class _Post:
    """One incarnation: from its row to the end of that row."""

    def __init__(
        self, worker_id: int, kit: WorkerKit, options: WorkerOptions, handout: Handout
    ) -> None:
        self.lost = asyncio.Event()
        self.why_lost = ""
        self._worker_id, self._kit, self._options = worker_id, kit, options
        self._handout = handout
        self._loop = asyncio.get_running_loop()
        self._lease = Alone().lease(
            Terms(worker_id, kit, options, self._tell_lost, self._published_frontier)
        )
        nobody_claims = Bidder(kit.store, None)
        self._upkeep = Upkeep(kit, options, self._lease, nobody_claims, kit.hub.ring, self._look_in)
        self._looking = Duty("looking", self._look)
        self._unparking = Duty("unparking", self._unpark)
        self._hearing = Hearing(kit, self._take_hint)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._lease.start()
        await self._look()
        await self._hearing.start()
        self._spawn(self._tick())
        for duty in (self._looking, self._unparking, *self._upkeep.duties):
            self._spawn(duty.run())

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._lease.stop()
        await self._hearing.stop()
        with suppress(StoreUnavailable):  # then the lease ends by itself
            await self._kit.store.run(ops.end_worker(self._worker_id))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._part_ended)
        self._tasks.append(task)

    def _part_ended(self, task: asyncio.Task[None]) -> None:
        """A part never ends by itself: if one does, this post cannot be trusted."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._lose(f"a part of it failed: {type(error).__name__}: {error}")

    async def _tick(self) -> None:
        while True:
            self._lease.tick()
            await asyncio.sleep(tick_seconds(self._options.lease_seconds))

    async def _look(self) -> float:
        began = time.monotonic()
        asked = self._handout.question()
        since, after = self._upkeep.ask(), asked.after if asked else {}
        control = await self._kit.store.run(ops.control(self._worker_id, since, after))
        self._handout.looked(control, asked)
        self._upkeep.looked(since, control, time.monotonic() - began)
        if control.has_parked:
            self._unparking.soon()
        return min(LOOK_SECONDS, self._options.poll_seconds)

    async def _unpark(self) -> None:
        await self._handout.unpark()

    def _look_in(self, seconds: float) -> None:
        self._loop.call_later(seconds, self._looking.soon)

    def _take_hint(self, hint: Hint) -> None:
        if hint.control or (hint.is_look and not hint.lanes):
            self._looking.soon()
        if hint.due_in_us is not None:
            self._upkeep.falls_due(hint.due_in_us)
        if hint.gates:
            self._upkeep.admit()
        self._handout.hint(hint)

    def _published_frontier(self) -> dict[Any, int]:
        if not self._kit.store.capabilities.frontier:
            return {}
        return self._handout.frontier.published()

    def _tell_lost(self, why: str) -> None:
        with suppress(RuntimeError):  # the loop may be closed by now
            self._loop.call_soon_threadsafe(self._lose, why)

    def _lose(self, why: str) -> None:
        self.why_lost = self.why_lost or why
        self.lost.set()
