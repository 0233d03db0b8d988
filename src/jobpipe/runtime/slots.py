"""The slots of a worker: tasks that live as long as it does and take attempts from one line.

An attempt makes no task and no timer of its own; a slot runs one after the other without going
back to the loop in between, until its turn is over. A run that outlives its time-out keeps its
slot until it ends (a thread cannot be stopped), but its job goes on without it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from jobpipe.model.job import Claimed, Finish
from jobpipe.runtime.attempt import Attempt, Judge
from jobpipe.runtime.calling import Caller
from jobpipe.runtime.context import RunningJob
from jobpipe.runtime.deadlines import Deadlines
from jobpipe.runtime.runner import Runner
from jobpipe.tasks.hooks import Hook

CANCEL_GRACE_SECONDS = 5.0
"""How long a run that was stopped may take to end before its job goes on without it."""

TURN_NS = 1_000_000
"""How long the slots may begin attempts before the loop looks after everything else."""

Key = tuple[int, int]


class Started(Protocol):
    """Where it is noted which slot runs what, for whoever looks after this process has died."""

    def begin(self, slot: int, key: Key) -> None: ...

    def end(self, slot: int) -> None: ...


class Slots:
    """Runs attempts, at most ``count`` at once.

    ``settle`` receives each outcome once; ``freed`` is called when a slot rests.
    """

    def __init__(
        self,
        count: int,
        judge: Judge,
        caller: Caller,
        settle: Callable[[Finish], None],
        freed: Callable[[], None],
        *,
        new_job: Callable[[Claimed], RunningJob] = RunningJob,
        started: Started | None = None,
    ) -> None:
        self.count = count
        self.running: dict[Key, Attempt] = {}
        self.waiting: deque[Claimed] = deque()
        self._ended_ns = self._marked_ns = time.monotonic_ns()
        self._mark: Claimed | None = None
        """Waited as the last one when somebody asked whether the slots are held up."""
        self._judge = judge
        self._settle_outcome = settle
        self._freed = freed
        self._new_job = new_job
        self._started = started
        self._runner = Runner(judge, caller)
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines(self._loop)
        self._turn_ends_ns = 0
        """When the slots let the loop go on; 0: none has begun an attempt in this turn of it."""
        self._busy = 0
        self._closing = False
        self._stuck = 0
        self._wakes = asyncio.Semaphore(0)
        self._woken = 0
        """How many slots have been woken and have not begun yet."""
        self._slots: set[asyncio.Task[None]] = set()
        for slot in range(count):
            self._open_slot(slot)

    @property
    def free(self) -> int:
        """How many attempts could start at once; below zero when more wait than that."""
        return self.count - self._busy - len(self.waiting)

    @property
    def is_busy(self) -> bool:
        """Tell whether anything runs, or waits for a slot."""
        return bool(self._busy or self.waiting)

    def is_held_up(self, seconds: float) -> bool:
        """Tell whether attempts wait and no slot has become free for so long, or what waited when
        this was asked so long ago still does."""
        if self._busy < self.count or not self.waiting:
            return False
        now = time.monotonic_ns()
        if all(waits is not self._mark for waits in self.waiting):
            self._mark, self._marked_ns = self.waiting[-1], now
        return now - min(self._ended_ns, self._marked_ns) > seconds * 1e9

    @property
    def is_stopping(self) -> bool:
        """Tell whether a run is still under way that can be stopped."""
        return any(
            attempt.callee.can_be_stopped or attempt.decided
            for attempt in self.running.values()
            if not attempt.settled
        )

    @property
    def has_unsettled(self) -> bool:
        """Tell whether a run is under way that its job still waits for."""
        return any(not attempt.settled for attempt in self.running.values())

    @property
    def stuck(self) -> int:
        """How many slots hold a run whose job went on without it."""
        return self._stuck

    def put(self, claims: Sequence[Claimed]) -> None:
        """Start attempts as soon as slots are free."""
        self.waiting.extend(claims)
        self._wake(len(claims))

    def take_waiting(self) -> list[Claimed]:
        """Return what has not started; it will not start here any more."""
        unstarted = list(self.waiting)
        self.waiting.clear()
        return unstarted

    def request_cancel(self, key: Key) -> None:
        """Cancel the attempt: what can be stopped is; a thread may ask and stop itself."""
        attempt = self.running.get(key)
        if attempt is None:
            self._cancel_waiting(key)
        elif attempt.why_stopped is None:
            self.interrupt(attempt, "cancel")

    def _cancel_waiting(self, key: Key) -> None:
        for claimed in self.waiting:
            if (claimed.id, claimed.token) == key:
                self.waiting.remove(claimed)
                attempt = Attempt(claimed, self._new_job(claimed))
                self._settle(attempt, self._judge.unstarted(attempt))
                self._freed()
                return

    def interrupt(self, attempt: Attempt, why: str) -> None:
        """Stop the attempt as far as it can be stopped."""
        attempt.job.request_cancel()
        if attempt.decided and why in ("cancel", "timeout"):
            return  # too late: hooks hear of the outcome already
        attempt.why_stopped = why
        if attempt.concluding is not None:
            attempt.concluding.cancel()
        elif attempt.slot is not None and (attempt.callee.can_be_stopped or attempt.decided):
            attempt.slot.cancel()

    def abandon(self, attempt: Attempt) -> None:
        """Let the job go on without this run; its slot stays taken until the run ends."""
        attempt.job.fall_silent()
        if not attempt.settled:
            attempt.settled = True
            self._stuck += 1

    async def close(self) -> None:
        """End the slots; whatever still runs in a thread is left to itself."""
        self._closing = True
        self._deadlines.close()
        self._runner.close()
        slots = list(self._slots)
        for slot in slots:
            slot.cancel()
        await asyncio.gather(*slots, return_exceptions=True)
        await self._runner.closed()

    def _open_slot(self, number: int) -> None:
        slot = asyncio.create_task(self._serve(number))
        self._slots.add(slot)
        slot.add_done_callback(partial(self._slot_ended, number))

    def _slot_ended(self, number: int, slot: asyncio.Task[None]) -> None:
        """Open another for a slot that a task's own code cancelled."""
        self._slots.discard(slot)
        if not self._closing and slot.cancelled():
            self._open_slot(number)
            self._wake(len(self.waiting))

    def _wake(self, slots: int) -> None:
        """Wake so many slots, and never more than rest: a wake that nobody waits for would be
        heard later, again and again, without the loop going on in between."""
        for _ in range(min(slots, self.count - self._busy - self._woken)):
            self._woken += 1
            self._wakes.release()

    async def _serve(self, slot: int) -> None:
        while True:
            await self._wakes.acquire()
            self._woken -= 1
            self._busy += 1
            try:
                await self._work(slot)
            finally:
                self._busy -= 1
                self._freed()

    async def _work(self, slot: int) -> None:
        """Run what waits until nothing does, or the loop has to go on."""
        started, task = self._started, asyncio.current_task()
        assert task is not None
        now = time.monotonic_ns()
        while self.waiting and self._is_turn(now):
            claimed = self.waiting.popleft()
            key = claimed.id, claimed.token
            if started is not None:  # already decoding its arguments may kill the process
                started.begin(slot, key)
            try:
                await self._run(Attempt(claimed, self._new_job(claimed)), task)
            finally:
                if started is not None:
                    started.end(slot)
                now = self._ended_ns = time.monotonic_ns()

    def _is_turn(self, now: int) -> bool:
        """Tell whether an attempt may begin before the loop has looked after everything else."""
        if not self._turn_ends_ns:
            self._turn_ends_ns = now + TURN_NS
            self._loop.call_soon(self._end_turn)
        return now < self._turn_ends_ns

    def _end_turn(self) -> None:
        """Begin a new turn with one slot; should it have to wait, the next turn wakes another."""
        self._turn_ends_ns = 0
        if self.waiting:
            self._wake(1)

    async def _run(self, attempt: Attempt, task: asyncio.Task[None]) -> None:
        outcome = self._judge.prepare(attempt)
        if outcome is not None:
            self._settle(attempt, outcome)
            return
        key, attempt.slot = attempt.key, task
        self.running[key] = attempt
        try:
            outcome = await self._runner.run(attempt, self._begin)
            if attempt.concluding is not None:
                await asyncio.wait([attempt.concluding])
        finally:
            del self.running[key]
            attempt.slot = None
            if attempt.deadline is not None:
                self._deadlines.cancel(attempt.deadline)
            attempt.job.fall_silent()
        if attempt.settled:
            self._stuck -= 1
        elif outcome is not None:
            self._settle(attempt, outcome)
        if task.cancelling() and attempt.why_stopped is None:
            # Its own code cancelled the task that runs it; the next job shall not suffer for it.
            raise asyncio.CancelledError
        while task.cancelling():
            task.uncancel()

    def _settle(self, attempt: Attempt, outcome: Finish) -> None:
        if not attempt.settled:
            attempt.settled = True
            self._settle_outcome(outcome)

    def _begin(self, attempt: Attempt) -> None:
        attempt.job.started_ns = time.monotonic_ns()
        if attempt.claimed.timeout_us is not None:
            attempt.deadline = self._deadlines.add(
                attempt.claimed.timeout_us / 1e6, partial(self._time_out, attempt)
            )

    def _time_out(self, attempt: Attempt) -> None:
        if attempt.settled or attempt.decided or attempt.why_stopped not in (None, "cancel"):
            return
        self.interrupt(attempt, "timeout")
        grace = CANCEL_GRACE_SECONDS if attempt.callee.can_be_stopped else 0.0
        self._deadlines.add(grace, partial(self._go_on_without, attempt))

    def _go_on_without(self, attempt: Attempt) -> None:
        if attempt.settled or attempt.decided or attempt.key not in self.running:
            return
        outcome = self._judge.timeout(attempt)
        hooks = self._runner.hooks.of(attempt.callee.task, outcome)
        if hooks:
            attempt.decided = True
            attempt.concluding = asyncio.create_task(self._conclude(attempt, hooks, outcome))
        else:
            self._leave(attempt, outcome)

    async def _conclude(self, attempt: Attempt, hooks: Sequence[Hook], outcome: Finish) -> None:
        try:
            await self._runner.hooks.run(attempt, hooks, attempt.failure)
        finally:
            self._leave(attempt, outcome)

    def _leave(self, attempt: Attempt, outcome: Finish) -> None:
        if not attempt.settled:
            self.abandon(attempt)
            self._settle_outcome(outcome)
