"""The slots of a worker: tasks that live as long as it does and take attempts from one line.

An attempt makes no task and no timer of its own. A run that outlives its time-out keeps its slot
until it ends (a thread cannot be stopped), but its job goes on without it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from jobpipe.model.job import Claimed, Finish
from jobpipe.runtime.attempt import Attempt, Judge, Prepared
from jobpipe.runtime.calling import Caller
from jobpipe.runtime.context import RunningJob
from jobpipe.runtime.deadlines import Deadlines
from jobpipe.runtime.runner import Runner
from jobpipe.tasks.hooks import Hook

CANCEL_GRACE_SECONDS = 5.0
"""How long a run that was stopped may take to end before its job goes on without it."""

Key = tuple[int, int]


class Started(Protocol):
    """Where it is noted which slot runs what, for whoever looks after this process has died."""

    def begin(self, slot: int, key: Key) -> None: ...

    def end(self, slot: int) -> None: ...


class Slots:
    """Runs attempts, at most ``count`` at once.

    ``settle`` receives each outcome once; ``freed`` is called when a slot has room again.
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
        self.waiting: deque[Attempt] = deque()
        self._freed_at = time.monotonic()
        self._judge = judge
        self._settle_outcome = settle
        self._freed = freed
        self._new_job = new_job
        self._started = started
        self._runner = Runner(judge, caller)
        self._deadlines = Deadlines(asyncio.get_running_loop())
        self._tasks: dict[Key, tuple[asyncio.Task[None], Prepared]] = {}
        self._busy = 0
        self._closing = False
        self._stuck = 0
        self._more = asyncio.Semaphore(0)
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
        """Tell whether attempts wait and no slot has become free for so long."""
        all_taken = self._busy == self.count
        return all_taken and bool(self.waiting) and time.monotonic() - self._freed_at > seconds

    @property
    def is_stopping(self) -> bool:
        """Tell whether a run is still under way that can be stopped."""
        return any(
            prepared.can_be_stopped or self.running[key].decided
            for key, (_, prepared) in self._tasks.items()
            if not self.running[key].settled
        )

    @property
    def has_unsettled(self) -> bool:
        """Tell whether a run is under way that its job still waits for."""
        return any(not attempt.settled for attempt in self.running.values())

    @property
    def stuck(self) -> int:
        """How many slots hold a run whose job went on without it."""
        return self._stuck

    def put(self, claimed: Claimed) -> None:
        """Start the attempt as soon as a slot is free."""
        self.waiting.append(Attempt(claimed, self._new_job(claimed)))
        self._more.release()

    def take_waiting(self) -> list[Attempt]:
        """Return the attempts that have not started; they will not start here any more."""
        unstarted = list(self.waiting)
        self.waiting.clear()
        for attempt in unstarted:
            attempt.settled = True
        return unstarted

    def request_cancel(self, key: Key) -> None:
        """Cancel the attempt: what can be stopped is; a thread may ask and stop itself."""
        for attempt in self.waiting:
            if (attempt.claimed.id, attempt.claimed.token) == key:
                attempt.job.request_cancel()
        attempt_running = self.running.get(key)
        if attempt_running is not None and attempt_running.why_stopped is None:
            self.interrupt(attempt_running, "cancel")

    def interrupt(self, attempt: Attempt, why: str) -> None:
        """Stop the attempt as far as it can be stopped."""
        attempt.job.request_cancel()
        if attempt.decided and why in ("cancel", "timeout"):
            return  # too late: hooks hear of the outcome already
        attempt.why_stopped = why
        found = self._tasks.get((attempt.claimed.id, attempt.claimed.token))
        if attempt.concluding is not None:
            attempt.concluding.cancel()
        elif found is not None and (found[1].can_be_stopped or attempt.decided):
            found[0].cancel()

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

    async def _serve(self, slot: int) -> None:
        while True:
            await self._more.acquire()
            if not self.waiting:
                continue
            attempt = self.waiting.popleft()
            self._busy += 1
            if self._started is not None:  # already decoding its arguments may kill the process
                self._started.begin(slot, (attempt.claimed.id, attempt.claimed.token))
            try:
                await self._run(attempt)
            finally:
                if self._started is not None:
                    self._started.end(slot)
                self._busy -= 1
                self._freed_at = time.monotonic()
                self._freed()

    async def _run(self, attempt: Attempt) -> None:
        prepared = self._judge.prepare(attempt)
        if isinstance(prepared, Finish):
            self._settle(attempt, prepared)
            return
        key = (attempt.claimed.id, attempt.claimed.token)
        task = asyncio.current_task()
        assert task is not None
        self.running[key] = attempt
        self._tasks[key] = (task, prepared)
        try:
            begin = partial(self._begin, attempt, prepared)
            outcome = await self._runner.run(attempt, prepared, begin)
            if attempt.concluding is not None:
                await asyncio.wait([attempt.concluding])
        finally:
            del self.running[key], self._tasks[key]
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

    def _begin(self, attempt: Attempt, prepared: Prepared) -> None:
        attempt.started_ns = time.monotonic_ns()
        if attempt.claimed.timeout_us is not None:
            attempt.deadline = self._deadlines.add(
                attempt.claimed.timeout_us / 1e6, lambda: self._time_out(attempt, prepared)
            )

    def _time_out(self, attempt: Attempt, prepared: Prepared) -> None:
        if attempt.settled or attempt.decided or attempt.why_stopped not in (None, "cancel"):
            return
        self.interrupt(attempt, "timeout")
        grace = CANCEL_GRACE_SECONDS if prepared.can_be_stopped else 0.0
        self._deadlines.add(grace, lambda: self._go_on_without(attempt, prepared))

    def _go_on_without(self, attempt: Attempt, prepared: Prepared) -> None:
        key = (attempt.claimed.id, attempt.claimed.token)
        if attempt.settled or attempt.decided or key not in self.running:
            return
        outcome = self._judge.timeout(attempt, prepared.task)
        hooks = self._runner.hooks.of(prepared.task, outcome)
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
