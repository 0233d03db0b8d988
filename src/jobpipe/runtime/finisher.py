"""Gathers outcomes and writes many in one statement.

While one statement is under way the next batch gathers, so an idle worker writes at once and a
busy one writes in large batches. An outcome is written again until the store answers; whether an
attempt was still current is for the store to say.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from jobpipe.errors import StoreUnavailable
from jobpipe.failpoint import failpoint
from jobpipe.model.job import Finish
from jobpipe.model.state import Reason, State
from jobpipe.runtime.failure import to_json
from jobpipe.store.ops import finish as ops
from jobpipe.store.ops.finish import Finished
from jobpipe.store.port import AsyncStore
from jobpipe.telemetry.events import StoreBack, StoreLost, WriteRefused, emit

BATCH_MAX = 1_000
"""Most outcomes in one statement."""

PENDING_MAX = 10_000
"""Outcomes waiting to be written beyond which nothing is claimed (back-pressure)."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Bounds of the wait between two tries while the store is away, in seconds."""

UNSTORABLE_MAX = 10_000

Write = Callable[[Sequence[Finish]], Awaitable[list[Finished]]]
Written = Callable[[Sequence[Finish], Sequence[Finished]], None]


class Refused(Exception):
    """The store refuses the data of one of the outcomes; its cause says why."""


class Finisher:
    """Hands outcomes to ``write`` in the background; ``written`` hears of each batch that was."""

    def __init__(self, store: AsyncStore, write: Write, written: Written) -> None:
        self._store = store
        self._write = write
        self._written = written
        self._pending: list[Finish] = []
        self._writing: Sequence[Finish] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def put(self, outcome: Finish) -> None:
        """Hand over an outcome; never blocks. One that is committed already is only noted."""
        if outcome.stored:
            self._written([outcome], [Finished(outcome.id, outcome.state, False)])
            return
        if not self._pending:
            self._idle.clear()
            self._wake.set()
        self._pending.append(outcome)

    @property
    def is_full(self) -> bool:
        """Tell whether so much waits that nothing new should be claimed."""
        return len(self._pending) >= PENDING_MAX

    @property
    def is_drained(self) -> bool:
        return self._idle.is_set()

    async def drained(self) -> None:
        """Wait until everything handed over has been settled."""
        await self._idle.wait()

    def take_unwritten(self) -> list[Finish]:
        """Return what no answer came for; it is for the caller to write it, if it still may be."""
        unwritten = [*self._writing, *self._pending]
        self._writing = []
        self._pending.clear()
        return unwritten

    async def run(self) -> None:
        """Write batches until cancelled."""
        while True:
            await self._wake.wait()
            batch = self._pending[:BATCH_MAX]
            del self._pending[:BATCH_MAX]
            if not self._pending:
                self._wake.clear()
            if batch:
                self._writing = batch
                failpoint("finish.before")
                await self._settle(batch)
                self._writing = []
            if not self._pending:
                self._idle.set()

    async def _settle(self, batch: Sequence[Finish]) -> None:
        try:
            taken = await self._write_until_answered(batch)
        except Refused as refused:
            await self._find_culprit(batch, refused.__cause__ or refused)
            return
        self._written(batch, taken)

    async def _find_culprit(self, batch: Sequence[Finish], error: BaseException) -> None:
        """Halve the batch until the refused outcome stands alone; that one ends unstorable."""
        if len(batch) > 1:
            half = len(batch) // 2
            await self._settle(batch[:half])
            await self._settle(batch[half:])
        elif batch[0].reason is not Reason.UNSTORABLE:
            await self._settle([unstorable(batch[0], error)])
        else:
            emit(StoreLost(doing="writing an outcome", why=str(error)))

    async def _write_until_answered(self, batch: Sequence[Finish]) -> list[Finished]:
        pause = SHORTEST_PAUSE
        tried = False
        while True:
            try:
                taken = await self._write(batch)
                if tried:
                    emit(StoreBack(doing="outcomes are written"))
                await _tell_refused(self._store, batch, taken)
                return taken
            except StoreUnavailable as error:
                if not tried:
                    emit(StoreLost(doing="writing outcomes", why=str(error)))
                tried = True
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)


async def write_late(store: AsyncStore, outcomes: Sequence[Finish]) -> None:
    """Write outcomes of an incarnation that is over: those that are still current count.

    Raises StoreUnavailable.
    """
    taken = await store.run(ops.finish(outcomes, time.monotonic_ns()))
    await _tell_refused(store, outcomes, taken)


async def _tell_refused(
    store: AsyncStore, outcomes: Sequence[Finish], taken: Sequence[Finished]
) -> None:
    """Tell of refused outcomes: what a cut-off try or the job itself had written was not refused.

    Raises StoreUnavailable.
    """
    ids = {end.id for end in taken}
    refused = [end for end in outcomes if end.id not in ids]
    written = await store.run(ops.already_written(refused)) if refused else set()
    for end in refused:
        if end.id not in written:
            emit(WriteRefused(job=end.id, token=end.token, outcome=end.outcome))


def unstorable(end: Finish, error: BaseException) -> Finish:
    """Return the outcome to write instead of one whose data the store refused."""
    return Finish(
        id=end.id,
        token=end.token,
        state=State.FAILED,
        reason=Reason.UNSTORABLE,
        outcome="failed",
        error=to_json(type(error).__name__, f"refused by the store: {error}", "", UNSTORABLE_MAX),
        duration_us=end.duration_us,
        ended_at_ns=end.ended_at_ns,
    )
