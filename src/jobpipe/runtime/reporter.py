"""Gathers what all jobs of a worker say, and writes much of it in one statement.

What an attempt has said is written before its outcome, since afterwards the store refuses it: an
outcome waits here for that, and only then. While the store is away everything waits; beyond a
bound lines are dropped, outcomes never.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from jobpipe.errors import JobpipeError, StoreUnavailable
from jobpipe.model.job import Finish
from jobpipe.model.report import Checkpoint, LogLine, Progress
from jobpipe.runtime.finisher import LONGEST_PAUSE, PENDING_MAX, SHORTEST_PAUSE
from jobpipe.runtime.unwritten import BATCH_ITEMS, Key, Unwritten, in_statements, key_of
from jobpipe.store.ops import report as ops
from jobpipe.store.ops.report import Accepted
from jobpipe.store.port import AsyncStore, Operation
from jobpipe.telemetry.events import LinesDropped, SaidRefused, StoreBack, StoreLost, emit

GATHER_SECONDS = 0.25
"""How long what is said may wait for more; the shortest time between two progresses of a job."""

S = TypeVar("S", LogLine, Progress, Checkpoint)


class Reporter:
    """The voice of all jobs of one worker; made and run on its event loop.

    ``release`` takes outcomes before which nothing is left to write; ``refused`` hears of attempts
    that are over for the store.
    """

    def __init__(
        self,
        store: AsyncStore,
        release: Callable[[Finish], None],
        refused: Callable[[Key], None],
    ) -> None:
        self._store = store
        self._release = release
        self._refused = refused
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self._unwritten = Unwritten()
        self._held: dict[Key, Finish] = {}
        self._awaited: dict[Key, list[Future[None]]] = {}
        self._told = False
        self._said = asyncio.Event()
        self._hurry = asyncio.Event()
        self._written = asyncio.Event()
        self._all_at = float("-inf")

    # From any thread

    def line(self, line: LogLine) -> None:
        """Take a line of a job's log."""
        self._unwritten.add_line(line)
        self._tell()

    def progress(self, progress: Progress) -> None:
        """Take how far a job is."""
        self._unwritten.add_progress(progress)
        self._tell()

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Take a job's state."""
        self._unwritten.add_state(checkpoint)
        self._tell()

    def written(self, job_id: int, token: int) -> Future[None]:
        """Return what ends when all that the attempt has said is written."""
        done: Future[None] = Future()
        try:
            self._loop.call_soon_threadsafe(self._await_written, (job_id, token), done)
        except RuntimeError:  # the loop is closed: the worker is gone
            done.set_result(None)
        return done

    # On the loop

    def _await_written(self, key: Key, done: Future[None]) -> None:
        if self._unwritten.is_owed(key):
            self._awaited.setdefault(key, []).append(done)
            self._wake()
        elif not done.done():
            done.set_result(None)

    def settle(self, outcome: Finish) -> None:
        """Pass the outcome on, after everything that its attempt has said."""
        key = (outcome.id, outcome.token)
        if self._unwritten.is_owed(key):
            self._held[key] = outcome
            self._wake()
        else:
            self._release(outcome)

    @property
    def is_full(self) -> bool:
        """Tell whether so many outcomes wait that nothing new should be claimed."""
        return len(self._held) >= PENDING_MAX

    @property
    def is_drained(self) -> bool:
        return self._unwritten.is_paid and not self._held

    async def drained(self) -> None:
        """Wait until everything that was said is written, and no outcome waits here."""
        while not self.is_drained:
            self._written.clear()
            self._wake()
            await self._written.wait()

    def take_held(self) -> list[Finish]:
        """Return the outcomes that wait here, for the end of a lease."""
        held = list(self._held.values())
        self._held.clear()
        return held

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._said.wait()
            if not self._held:
                with suppress(TimeoutError):
                    async with asyncio.timeout(GATHER_SECONDS):
                        await self._hurry.wait()
            self._said.clear()
            self._hurry.clear()
            self._told = False
            await self._write_waiting()
            self._written.set()
            if not self.is_drained:
                self._said.set()

    def _tell(self) -> None:
        """Have it written soon; at once when enough waits."""
        enough = self._unwritten.lines >= BATCH_ITEMS
        if self._process != os.getpid():  # a forked child shares the loop's wake-up pipe
            return
        with suppress(RuntimeError):  # the loop is closed: the worker is gone, and its lease
            if enough and not self._hurry.is_set():
                self._loop.call_soon_threadsafe(self._wake)
            elif not self._told:
                self._told = True
                self._loop.call_soon_threadsafe(self._said.set)

    def _wake(self) -> None:
        self._said.set()
        self._hurry.set()

    async def _write_waiting(self) -> None:
        """Write the lines that wait now; of the rest, what is due or comes before an outcome."""
        waiting = self._unwritten.lines
        while waiting > 0 and (lines := self._unwritten.take_lines()):
            waiting -= len(lines)
            await self._write("a line", _write_lines, lines)
        due: Iterable[Key] | None = None
        if self._loop.time() - self._all_at < GATHER_SECONDS:
            due = [*self._held, *self._awaited]  # the others said something a moment ago
        else:
            self._all_at = self._loop.time()
        progress = self._unwritten.take_progress(due)
        for begin in range(0, len(progress), BATCH_ITEMS):
            part = progress[begin : begin + BATCH_ITEMS]
            await self._write("a progress", ops.write_progress, part)
        for states in in_statements(self._unwritten.take_states(due)):
            await self._write("the state", ops.save_checkpoints, states)
        if dropped := self._unwritten.take_dropped():
            emit(LinesDropped(lines=dropped))

    async def _write(
        self, what: str, write: Callable[[Sequence[S]], Operation[Accepted]], said: Sequence[S]
    ) -> None:
        """Write it, and let go the outcomes that waited for it."""
        try:
            accepted = await self._persist(write, said)
        except JobpipeError:
            raise
        except Exception as error:  # the store refuses the data of one of them
            if len(said) > 1:
                half = len(said) // 2
                await self._write(what, write, said[:half])
                await self._write(what, write, said[half:])
                return
            emit(SaidRefused(*key_of(said[0]), what=what, why=str(error)))
            accepted = {key_of(said[0])}
        for key in {key_of(each) for each in said} - accepted:
            self._refused(key)
        for key in self._unwritten.pay(said):
            for done in self._awaited.pop(key, ()):
                if not done.done():  # whoever waited may have been cancelled
                    done.set_result(None)
            if key in self._held:
                self._release(self._held.pop(key))

    async def _persist(
        self, write: Callable[[Sequence[S]], Operation[Accepted]], said: Sequence[S]
    ) -> Accepted:
        pause = SHORTEST_PAUSE
        tried = False
        while True:
            try:
                accepted = await self._store.run(write(said))
            except StoreUnavailable as error:
                if not tried:
                    emit(StoreLost(doing="writing what jobs say", why=str(error)))
                tried = True
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                if tried:
                    emit(StoreBack(doing="what jobs say is written"))
                return accepted


def _write_lines(lines: Sequence[LogLine]) -> Operation[Accepted]:
    return ops.write_lines(lines, time.monotonic_ns())
