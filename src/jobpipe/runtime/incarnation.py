"""One incarnation of a worker: from its row in the store to the end of that row.

When its lease is lost the incarnation is over: what it ran is interrupted, nothing of it is
written any more, and the worker begins anew with another row.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from jobpipe.delivery.hub import Hint
from jobpipe.errors import StoreUnavailable
from jobpipe.model.job import Claimed, Finish
from jobpipe.model.state import FINAL, Reason
from jobpipe.policy.ageing import Ageing
from jobpipe.runtime.attempt import Judge
from jobpipe.runtime.bidding import Bidder
from jobpipe.runtime.calling import Caller
from jobpipe.runtime.claimer import Claimer
from jobpipe.runtime.context import RunningJob
from jobpipe.runtime.demand import Demand, ReadAhead
from jobpipe.runtime.dependencies import Shared
from jobpipe.runtime.duty import Duty
from jobpipe.runtime.ending import UNWIND_SECONDS, Ending
from jobpipe.runtime.executors.process import Processes
from jobpipe.runtime.finisher import Finisher
from jobpipe.runtime.hearing import Hearing
from jobpipe.runtime.lanes import LaneChoice
from jobpipe.runtime.listening import listening
from jobpipe.runtime.options import WorkerKit, WorkerOptions
from jobpipe.runtime.reporter import Reporter
from jobpipe.runtime.seat import Seat, Terms, described, tick_seconds
from jobpipe.runtime.slots import Key, Slots
from jobpipe.runtime.telling import Telling
from jobpipe.runtime.turnover import Turnover
from jobpipe.runtime.upkeep import Upkeep
from jobpipe.store.ops import claim, steer
from jobpipe.store.ops import worker as ops
from jobpipe.store.ops.claim import Held
from jobpipe.store.ops.finish import Finished
from jobpipe.telemetry.events import StoreLost, emit

CONTROL_SECONDS = 0.5
"""How often a worker looks, so that a cancel arrives within a second."""

IDLE_CONTROL_SECONDS = 1.0
"""How often while nothing runs; in any case at each poll."""

AHEAD_WAIT_SECONDS = 0.2
"""Read-ahead that waits for so long between two looks is given back: long jobs hold it up."""

SHORT_US = 50_000
"""Only runs shorter than this count for the read-ahead."""


class Incarnation:
    """All parts of a working worker; made and used on one event loop."""

    def __init__(
        self, kit: WorkerKit, options: WorkerOptions, seat: Seat, worker_id: int, shared: Shared
    ) -> None:
        loop = asyncio.get_running_loop()
        self.worker_id = worker_id
        self.lost = asyncio.Event()
        self.stuck = asyncio.Event()
        """Set when half the slots hold runs that outlived their time-out and cannot be stopped."""
        self.why_lost = ""
        self._kit, self._options, self._loop = kit, options, loop
        self._intake = seat.intake
        self._lanes = LaneChoice(options.queues, Ageing(options.ageing_seconds))
        self._ahead = ReadAhead()
        self._changed = asyncio.Event()
        self._giving_back, self._looks_often = False, True
        self._telling = Telling(kit.hub)
        self.claimer = self._new_claimer()
        self._lease = seat.lease(
            Terms(worker_id, kit, options, self._tell_lost, self._published_frontier)
        )
        bidder = Bidder(kit.store, self.claimer)
        self._upkeep = Upkeep(kit, options, self._lease, bidder, self._ring, self._look_in)
        turnover = Turnover(kit.store, self._upkeep, bidder, options.max_payload)
        self.finisher = Finisher(kit.store, turnover.write, self._written)
        self.reporter = Reporter(kit.store, self.finisher.put, self._refused)
        self.slots = self._new_slots(seat, shared)
        self._ending = Ending(self.slots, self._changed)
        self._control = Duty("reading control", self._read_control)
        self._duties = [self._control, *self._upkeep.duties]
        self._hearing = Hearing(kit, self._take_hint)
        self._claiming: asyncio.Task[None] | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._reporting: asyncio.Task[None] | None = None
        self._listen_no_more: Callable[[], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def _new_slots(self, seat: Seat, shared: Shared) -> Slots:
        kit, options = self._kit, self._options
        children = options.children
        processes = Processes(children) if children is not None else None
        return Slots(
            options.concurrency,
            Judge(kit.registry, options.retry_delays, options.max_payload),
            Caller(kit.registry.hooks, shared, processes=processes),
            self._settled,
            self._freed,
            new_job=lambda claimed: RunningJob(
                claimed, self.reporter, options.speech, kit.transactions
            ),
            started=seat.started,
        )

    def _new_claimer(self) -> Claimer:
        return Claimer(
            self._kit.store,
            self.worker_id,
            self._lanes,
            poll_seconds=self._options.poll_seconds,
            demand=self._demand,
            put=self._put,
            telling=self._telling,
        )

    @classmethod
    async def register(
        cls, kit: WorkerKit, options: WorkerOptions, seat: Seat, shared: Shared
    ) -> Incarnation:
        """Enter the worker in the store and make its parts; raises StoreUnavailable."""
        lease_us = round(options.lease_seconds * 1e6)
        worker_id = await kit.store.run(ops.register(described(options, seat), lease_us))
        return cls(kit, options, seat, worker_id, shared)

    async def start(self) -> None:
        """Begin to work."""
        self._lease.start()
        await self._read_control()
        await self._hearing.start()
        self._claiming = self._spawn(self.claimer.run())
        self._finishing = self._spawn(self.finisher.run())
        self._reporting = self._spawn(self.reporter.run())
        self._listen_no_more = listening.begin(prints=self._options.speech.prints)
        self._spawn(self._tick())
        for duty in self._duties:
            self._spawn(duty.run())

    async def idle(self) -> None:
        """Return when nothing is left that may run now."""
        while True:
            await self.claimer.idle.wait()
            if self._is_busy():
                self._changed.clear()
                await self._changed.wait()
                continue
            await self._drained()
            claims = self.claimer.claims
            await self._read_control()
            await self._upkeep.bring_back()
            self.claimer.look_fully()
            await self.claimer.idle.wait()
            if not self._is_busy() and self.claimer.claims == claims:
                return

    async def run_out(self) -> None:
        """Take no more jobs, and return when all that were taken have ended."""
        await self._stop_claiming()
        while self._is_busy():
            self._changed.clear()
            await self._changed.wait()

    def _is_busy(self) -> bool:
        is_writing = not (self.reporter.is_drained and self.finisher.is_drained)
        return self.slots.is_busy or self._giving_back or is_writing

    async def _drained(self) -> None:
        await self.reporter.drained()
        await self.finisher.drained()

    async def stop(self, grace_seconds: float, hurry: asyncio.Event) -> int:
        """Let running jobs end within the grace (or until ``hurry``), give back the rest.

        Returns how many were given back.
        """
        given_back = 0
        try:
            await self._stop_claiming()
            unstarted = self.slots.take_waiting()
            given_back += await self.claimer.give_back([held_by(claimed) for claimed in unstarted])
            await self._ending.by_themselves(grace_seconds, hurry)
            await self._ending.interrupted("stop")
            await self._outcomes_written()
            held = await self._kit.store.run(claim.held(self.worker_id))
            given_back += await self.claimer.give_back(held, started=True)
            await self._kit.store.run(ops.end_worker(self.worker_id))
        except (StoreUnavailable, TimeoutError) as error:
            emit(StoreLost(doing="stopping (the lease will end by itself)", why=str(error)))
        finally:
            await self._close()
        return given_back

    async def abandon(self) -> list[Finish]:
        """End at once: the lease is lost, so nothing more begins, and what runs is dropped.

        Returns the outcomes of what had ended and is not written yet: the store decides whether
        they still count.
        """
        self.claimer.close()
        if self._claiming is not None:
            self._claiming.cancel()
        self.slots.take_waiting()
        await self._ending.interrupted("lease")
        await self._close()
        return [*self.reporter.take_held(), *self.finisher.take_unwritten()]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._part_ended)
        self._tasks.add(task)
        return task

    def _part_ended(self, task: asyncio.Task[None]) -> None:
        """A part never ends by itself: if one does, this incarnation cannot be trusted."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._lose(f"a part of the worker failed: {type(error).__name__}: {error}")

    async def _tick(self) -> None:
        while True:
            self._lease.tick()
            await asyncio.sleep(tick_seconds(self._options.lease_seconds))

    async def _read_control(self) -> float:
        began = time.monotonic()
        longest = min(IDLE_CONTROL_SECONDS, self._options.poll_seconds)
        question = self.claimer.question(began + longest)
        since, after = self._upkeep.ask(), question.after if question else {}
        try:
            control = await self._kit.store.run(ops.control(self.worker_id, since, after))
        except Exception:  # nobody asks in the claimer's place; it tells if the store is away
            self.claimer.look()
            raise
        took = time.monotonic() - began
        if self._lanes.know(control.lanes, control.paused):
            self.claimer.look_fully()
        self.claimer.frontier.adopt(control.frontier)
        for key in control.cancels:
            self.slots.request_cancel(key)
        if self.slots.stuck * 2 >= self.slots.count:
            self.stuck.set()
        is_news = self.claimer.know(control.known)
        if is_news or self.slots.is_held_up(AHEAD_WAIT_SECONDS):
            await self._give_back_ahead()
        if question is not None:
            self.claimer.answered(question, control.ready)
        self._upkeep.looked(since, control, took)
        self._looks_often = self.slots.is_busy
        return min(CONTROL_SECONDS, longest) if self._looks_often else longest

    def _look_often(self) -> None:
        """Something runs again, and may have to be cancelled before the next look is due."""
        if not self._looks_often:
            self._looks_often = True
            self._look_in(CONTROL_SECONDS)

    def _look_in(self, seconds: float) -> None:
        self._loop.call_later(seconds, self._control.soon)

    async def _give_back_ahead(self) -> None:
        ahead = self.slots.take_waiting()
        self._giving_back = True  # until it is done, they are neither here nor in the queue
        try:
            await self.claimer.give_back([held_by(claimed) for claimed in ahead])
            self._intake.gave_back(len(ahead))
        except BaseException:  # they are still ours: nobody else would run them
            self.slots.put(ahead)
            raise
        finally:
            self._giving_back = False
            self._changed.set()

    def _demand(self) -> Demand:
        is_full = self.finisher.is_full or self.reporter.is_full
        if is_full or self.slots.stuck * 2 >= self.slots.count:
            return Demand(0, 0)
        return self._intake.bound(Demand(self.slots.free, self._ahead.room(time.monotonic())))

    def _put(self, claims: Sequence[Claimed]) -> None:
        self._intake.took(len(claims))
        self._telling.claimed(claims)
        self._look_often()
        self.slots.put(claims)

    def _settled(self, outcome: Finish) -> None:
        if outcome.duration_us < SHORT_US:
            self._ahead.finished += 1
        self.reporter.settle(outcome)

    def _refused(self, key: Key) -> None:
        """The store takes no more from this attempt: it is over."""
        if (attempt := self.slots.running.get(key)) is not None:
            attempt.job.lose()

    def _freed(self) -> None:
        self._changed.set()
        if self._demand().is_due:
            self.claimer.look_for_more()

    def _written(self, batch: Sequence[Finish], taken: Sequence[Finished]) -> None:
        self._telling.finished(batch, taken, self.claimer.records.held)
        self.claimer.ended(batch)
        delays = [end.delay_us for end in batch if end.delay_us is not None]
        if delays:
            self._upkeep.falls_due(min(delays))
        for end in taken:
            if end.cancel_requested and end.state not in FINAL:
                cancelling = asyncio.create_task(self._cancel(end.id))
                self._tasks.add(cancelling)
                cancelling.add_done_callback(self._tasks.discard)
        self._changed.set()
        self.claimer.look_if_waiting()

    async def _cancel(self, id: int) -> None:
        """The attempt ended without success after a cancel request: the job ends cancelled."""
        try:
            await self._kit.store.run(steer.cancel(id, Reason.BY_USER))
            self._telling.something()
        except Exception as error:  # the promoter cancels it when it falls due
            emit(StoreLost(doing=f"cancelling job {id}", why=str(error)))

    def _take_hint(self, hint: Hint) -> None:
        is_unnamed = hint.is_look and not hint.lanes
        is_told_by_look = is_unnamed and not self._looks_often  # its lane may be a new one
        if hint.control or is_told_by_look:
            self._control.soon()
        if hint.due_in_us is not None:
            self._upkeep.falls_due(hint.due_in_us)
        if hint.gates:
            self._upkeep.admit()
        if hint.is_look and not (is_told_by_look and self.claimer.may_be_asked_for()):
            self.claimer.look(hint)

    def _ring(self, hint: Hint) -> None:
        self._kit.hub.ring(hint)

    def _published_frontier(self) -> dict[Any, int]:
        if not self._kit.store.capabilities.frontier:
            return {}
        return self.claimer.frontier.published()

    def _tell_lost(self, why: str) -> None:
        with suppress(RuntimeError):  # the loop may be closed by now
            self._loop.call_soon_threadsafe(self._lose, why)

    def _lose(self, why: str) -> None:
        self.why_lost = self.why_lost or why
        self.lost.set()

    async def _stop_claiming(self) -> None:
        self.claimer.close()
        if self._claiming is not None:
            await asyncio.wait([self._claiming], timeout=UNWIND_SECONDS)

    async def _outcomes_written(self) -> None:
        """Wait until all is written; parts cancelled with the whole loop write no more."""
        drained = asyncio.ensure_future(self._drained())
        ends = {drained, *filter(None, (self._finishing, self._reporting))}
        seconds = self._options.lease_seconds
        done, _ = await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        drained.cancel()
        if not done:
            raise TimeoutError(f"outcomes could not be written within {seconds:g} s")

    async def _close(self) -> None:
        await self._lease.stop()
        await self._hearing.stop()
        if self._listen_no_more is not None:
            self._listen_no_more()
        tasks = list(self._tasks)
        for task in tasks:
            task.remove_done_callback(self._part_ended)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.slots.close()


def held_by(claimed: Claimed) -> Held:
    """Return what the store knows of a claim."""
    return Held(claimed.id, claimed.token, claimed.rank, claimed.claim_id)
