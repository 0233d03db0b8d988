"""A transaction that a task writes in, ended by an operation of ours that commits with it.

A ``Block`` is such a transaction: on a connection of the store's own (a ``Lender`` lends it) or on
one that the task brought. However it ends, nothing of it stays open, and a connection whose state
is in doubt is not used again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from jobpipe.errors import InvalidTransition
from jobpipe.failpoint import failpoint
from jobpipe.store.callers.caller import AsyncCaller, AsyncOpened, Caller, Ground, Opened
from jobpipe.store.port import Operation

T = TypeVar("T")

COMMIT_SECONDS = 30.0
"""Longest wait for a server to commit; then it is unknown whether it did."""

ROLLBACK_SECONDS = 5.0
"""Longest wait for a server to undo a transaction; then its connection is given up."""


class Block(Protocol):
    """A transaction that has begun; ended once, by ``commit`` or ``rollback``."""

    @property
    def connection(self) -> Any:
        """What the task writes with."""
        ...

    def commit(self, last: Operation[T]) -> T:
        """Run a last operation in the transaction, then commit; rolled back if either fails."""
        ...

    def rollback(self) -> None:
        """Undo everything; never fails."""
        ...


class AsyncBlock(Protocol):
    """The same for connections that are awaited."""

    @property
    def connection(self) -> Any: ...

    async def commit(self, last: Operation[T]) -> T: ...

    async def rollback(self) -> None: ...

    def abandon(self) -> None:
        """Leave the transaction to end by itself: there is no loop left to await it on."""
        ...


class Lender(Protocol):
    """Begins transactions on connections of the store's own; safe to use from many threads."""

    def begin(self) -> Block: ...

    async def abegin(self) -> AsyncBlock: ...

    def close(self) -> None: ...

    async def aclose(self) -> None: ...


def ended_inside() -> InvalidTransition:
    """Return what to raise when the task has ended the transaction itself."""
    return InvalidTransition(
        "the transaction of this block was ended inside it",
        help="Leave COMMIT and ROLLBACK to job.transaction(); raise an exception to roll back.",
    )


def _leave() -> None:
    """The connection is the task's own."""


async def _aleave() -> None:
    """The connection is the task's own."""


class ConnectionBlock:
    """A block on any connection that blocks; ``give`` and ``drop`` take it back, fit or not."""

    def __init__(
        self,
        caller: Caller,
        connection: Any,
        ground: Ground,
        opened: Opened,
        give: Callable[[], None] = _leave,
        drop: Callable[[], None] = _leave,
    ) -> None:
        self.connection = connection
        self._caller = caller
        self._ground = ground
        self._opened = opened
        self._give = give
        self._drop = drop

    def commit(self, last: Operation[T]) -> T:
        """See ``Block.commit``."""
        try:
            if not self._opened.is_open:
                raise ended_inside()
            ground = self._ground
            result = self._caller.run(self.connection, last, ground.statements, ground.clock)
            failpoint("transaction.before_commit")
            self._opened.commit()
        except BaseException:
            self.rollback()
            raise
        failpoint("transaction.after_commit")
        self._give()
        return result

    def rollback(self) -> None:
        """See ``Block.rollback``."""
        try:
            self._opened.rollback()
        except Exception:  # a lost connection rolls back by itself
            self._drop()
        else:
            self._give()


class AwaitedBlock:
    """A block on any connection that is awaited; else like ``ConnectionBlock``."""

    def __init__(
        self,
        caller: AsyncCaller,
        connection: Any,
        ground: Ground,
        opened: AsyncOpened,
        give: Callable[[], Awaitable[None]] = _aleave,
        drop: Callable[[], None] = _leave,
    ) -> None:
        self.connection = connection
        self._caller = caller
        self._ground = ground
        self._opened = opened
        self._give = give
        self._drop = drop

    async def commit(self, last: Operation[T]) -> T:
        """See ``Block.commit``."""
        try:
            if not self._opened.is_open:
                raise ended_inside()
            ground = self._ground
            async with asyncio.timeout(COMMIT_SECONDS):
                result = await self._caller.run(
                    self.connection, last, ground.statements, ground.clock
                )
                failpoint("transaction.before_commit")
                await self._opened.commit()
        except BaseException:
            await self.rollback()
            raise
        failpoint("transaction.after_commit")
        await self._give()
        return result

    async def rollback(self) -> None:
        """See ``Block.rollback``."""
        try:
            async with asyncio.timeout(ROLLBACK_SECONDS):
                await self._opened.rollback()
        except BaseException as error:  # a lost connection rolls back by itself
            self._drop()
            if not isinstance(error, Exception):
                raise
        else:
            await self._give()

    def abandon(self) -> None:
        """See ``AsyncBlock.abandon``."""
        self._drop()
