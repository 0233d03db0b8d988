"""``job.transaction()``: what a task writes and its success, committed together or not at all.

The success is written on the task's connection as the last statement before the commit, guarded
like every outcome; where the guard finds nothing, everything is undone. A commit that has begun is
taken to its end even when the task is cancelled meanwhile, so nobody has to guess what it came to.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, TypeVar

from jobpipe.errors import ConfigError, InvalidTransition
from jobpipe.model.job import Finish
from jobpipe.model.state import State
from jobpipe.policy.outcome import Outcome
from jobpipe.runtime.speech import Speech
from jobpipe.store import callers
from jobpipe.store.callers.grounds import Grounds
from jobpipe.store.lending import AsyncBlock, AwaitedBlock, Block, ConnectionBlock, Lender
from jobpipe.store.ops.finish import succeed
from jobpipe.tasks.codec import encode_result

C = TypeVar("C")

SPEECH_SECONDS = 10.0
"""Longest wait until what the job has said is written; then it commits all the same."""


class Transactions:
    """Begins the transactions of one process's tasks, on connections of its own or the task's."""

    def __init__(self, lender: Lender, grounds: Grounds, max_payload: int) -> None:
        self._lender = lender
        self._grounds = grounds
        self._max_payload = max_payload

    def begin(self, on: object | None) -> Block:
        """Begin one in code that blocks; raises ConfigError, StoreUnavailable."""
        if on is None:
            return self._lender.begin()
        caller, grounds = callers.blocking(on), self._grounds
        ground = grounds.of(caller)
        block = ConnectionBlock(caller, on, ground, caller.begin(on))
        try:
            if not grounds.is_known(on):
                grounds.check(on, caller.same_store(on, ground.expected, ground.statements))
        except BaseException:
            block.rollback()
            raise
        return block

    async def abegin(self, on: object | None) -> AsyncBlock:
        """Begin one in async code; raises ConfigError, StoreUnavailable."""
        if on is None:
            return await self._lender.abegin()
        caller, grounds = callers.awaited(on), self._grounds
        ground = await asyncio.to_thread(grounds.of, caller)
        block = AwaitedBlock(caller, on, ground, await caller.begin(on))
        try:
            if not grounds.is_known(on):
                grounds.check(on, await caller.same_store(on, ground.expected, ground.statements))
        except BaseException:
            await block.rollback()
            raise
        return block

    def encode(self, value: Any) -> str:
        """Return a result as it is stored; raises Unstorable."""
        return encode_result(value, self._max_payload)

    async def close(self) -> None:
        """Close the connections of this loop and of all threads."""
        await self._lender.aclose()
        self._lender.close()


class Commitment:
    """What the transactions of one attempt came to."""

    def __init__(self, id: int, token: int, started_ns: int, speech: Speech) -> None:
        self.is_open = False
        self.speech = speech
        self.result: str | None = None
        self.stored: Finish | None = None
        """The success, once it is committed."""
        self._id = id
        self._token = token
        self._started_ns = started_ns

    def open(self) -> None:
        """Note that a block begins; raises InvalidTransition when there can be none."""
        if self.stored is not None:
            raise InvalidTransition(
                f"job {self._id} has succeeded: its transaction is committed",
                help="Do everything in one block: its end is the end of the job.",
            )
        if self.is_open:
            raise InvalidTransition(f"job {self._id} is in a transaction already")
        self.is_open, self.result = True, None

    def success(self) -> Finish:
        """Return the outcome to commit."""
        now = time.monotonic_ns()
        return Finish(
            id=self._id,
            token=self._token,
            state=State.SUCCEEDED,
            outcome=Outcome.SUCCEEDED,
            result=self.result,
            duration_us=(now - self._started_ns) // 1000 if self._started_ns else 0,
            ended_at_ns=now,
            stored=True,
        )


class Transaction(Generic[C]):
    """A block whose end is the job's success: ``with`` in a def task, ``async with`` in an async.

    Leaving it by an exception undoes what was written in it, and the exception goes on.
    """

    def __init__(
        self, commitment: Commitment, transactions: Transactions, on: object | None
    ) -> None:
        self._commitment = commitment
        self._transactions = transactions
        self._on = on
        self._block: Block | None = None
        self._awaited: AsyncBlock | None = None

    def __enter__(self) -> C:
        """Begin the transaction; raises ConfigError, InvalidTransition, StoreUnavailable."""
        _refuse_on_loop()
        self._commitment.open()
        try:
            self._block = self._transactions.begin(self._on)
        except BaseException:
            self._commitment.is_open = False
            raise
        connection: C = self._block.connection
        return connection

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Commit, or roll back; raises LeaseLost when the attempt is no longer current."""
        block, self._block = self._block, None
        if block is None:
            return
        try:
            if error is not None:
                block.rollback()
            else:
                self._commit_blocking(block)
        finally:
            self._commitment.is_open = False

    async def __aenter__(self) -> C:
        """Begin like ``__enter__``."""
        self._commitment.open()
        try:
            self._awaited = await self._transactions.abegin(self._on)
        except BaseException:
            self._commitment.is_open = False
            raise
        connection: C = self._awaited.connection
        return connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End like ``__exit__``."""
        block, self._awaited = self._awaited, None
        if block is None:
            return
        try:
            if isinstance(error, GeneratorExit):
                block.abandon()
            elif error is not None:
                await _to_the_end(block.rollback())
            else:
                await self._commit(block)
        finally:
            self._commitment.is_open = False

    def _commit_blocking(self, block: Block) -> None:
        """Commit after all that was said is written: afterwards the store would refuse it."""
        speech = self._commitment.speech
        speech.close()
        try:
            with suppress(TimeoutError):
                speech.written().result(SPEECH_SECONDS)
        except BaseException:  # interrupted before the commit began
            speech.reopen()
            block.rollback()
            raise
        try:
            end = self._commitment.success()
            block.commit(succeed(end, time.monotonic_ns()))
            self._commitment.stored = end
        finally:
            if self._commitment.stored is None:
                speech.reopen()

    async def _commit(self, block: AsyncBlock) -> None:
        speech = self._commitment.speech
        speech.close()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(SPEECH_SECONDS):
                    await asyncio.wrap_future(speech.written())
        except BaseException:  # cancelled before the commit began
            speech.reopen()
            await _to_the_end(block.rollback())
            raise
        try:
            await _to_the_end(self._commit_now(block))
        finally:
            if self._commitment.stored is None:
                speech.reopen()

    async def _commit_now(self, block: AsyncBlock) -> None:
        end = self._commitment.success()
        await block.commit(succeed(end, time.monotonic_ns()))
        self._commitment.stored = end


def _refuse_on_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise ConfigError(
        "`with job.transaction()` would block the event loop",
        help="Write `async with job.transaction() as connection:` in an async task.",
    )


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Wait for the work even when cancelled meanwhile; the cancel goes on afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled from task.exception()
    task.result()
