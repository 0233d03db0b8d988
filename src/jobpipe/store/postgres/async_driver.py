"""The async PostgreSQL store, on asyncpg.

Connections are opened when they are first needed, on the loop that needs them. An operation of
one statement runs in autocommit; behind a pooler everything runs in a transaction, since only
that keeps the parts of one exchange on one server connection.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any, Literal, TypeVar

import asyncpg

from jobpipe.failpoint import failpoint
from jobpipe.store.port import Capabilities, Mode, Operation
from jobpipe.store.postgres import errors
from jobpipe.store.postgres.address import Address
from jobpipe.store.postgres.array_types import tell_arrays
from jobpipe.store.postgres.async_pool import AsyncPool, Held
from jobpipe.store.postgres.attempts import BEGIN, Attempts, Connecting
from jobpipe.store.postgres.capabilities import CAPABILITIES
from jobpipe.store.postgres.dialect import Dialect
from jobpipe.store.postgres.session import Needs, Session, Unprepared
from jobpipe.store.stepping import astep

T = TypeVar("T")

BROKEN = asyncpg.InternalClientError
"""What asyncpg raises when the server's end came between two steps of its own."""
REFUSALS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, BROKEN)


class PostgresAsyncStore:
    """Runs operations on PostgreSQL without blocking the loop; one pool a loop."""

    def __init__(
        self,
        url: str,
        dialect: Dialect,
        *,
        pooler: Literal["none", "transaction"] = "none",
        size: int = 8,
        connect_seconds: float = 2.0,
    ) -> None:
        self.dialect = dialect
        self._address = Address(url, pooled=pooler == "transaction")
        self._size = size
        self._connect_seconds = connect_seconds
        self._pools: dict[asyncio.AbstractEventLoop, AsyncPool] = {}
        self._needs: dict[str, Needs] = {}
        """By the name of the operation."""

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    async def run(self, operation: Operation[T]) -> T:
        """Run the operation, again after a conflict or a cut that cannot have stored anything."""
        pool = self._pool()
        attempts = Attempts(self._address)
        while True:
            held = await pool.take()
            try:
                result = await self._perform(held, operation, attempts)
            except Unprepared:
                pool.give(held)
                continue
            except Exception as error:
                broken = held.connection.is_closed() or isinstance(error, BROKEN)
                lost = broken or errors.is_lost(error)
                if lost or errors.sqlstate(error) in errors.STALE_PLANS:
                    pool.drop(held)
                    pool.forget_idle()
                else:
                    pool.give(held)
                pause = attempts.pause_after(error, lost=lost)
            except BaseException:  # cancelled in the middle of an exchange
                pool.drop(held)
                raise
            else:
                pool.give(held)
                return result
            await asyncio.sleep(pause)

    async def close(self) -> None:
        """Close this loop's connections; a later run opens new ones."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.close()

    def hang_up(self) -> None:
        """Close the connections of every loop, from whatever thread; a later run opens new ones."""
        while self._pools:
            loop, pool = self._pools.popitem()
            with suppress(RuntimeError):  # the loop is closed, and with it the pool
                loop.call_soon_threadsafe(pool.hang_up)

    def _pool(self) -> AsyncPool:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            for old in [old for old in self._pools if old.is_closed()]:
                self._pools.pop(old).forget_idle()
            pool = self._pools[loop] = AsyncPool(self._connect, self._size)
        return pool

    async def _perform(self, held: Held, operation: Operation[T], attempts: Attempts) -> T:
        attempts.may_be_stored = False
        session, needs = self._session(held), self._needs.setdefault(operation.name, {})
        await session.bring(needs)
        execute = partial(session.execute, needs)
        if operation.mode is Mode.TRANSACTION or self._address.pooled:
            held.overdue.begin()
            await held.connection.execute(BEGIN)
            try:
                result = await astep(operation, execute)
            except Exception:
                held.overdue.begin()
                with suppress(*REFUSALS):  # a lost connection rolls back by itself
                    await held.connection.execute("ROLLBACK")
                raise
            failpoint(operation.name, "before_commit")
            attempts.may_be_stored = operation.mode is not Mode.READ
            held.overdue.begin()
            await held.connection.execute("COMMIT")
        else:
            attempts.may_be_stored = operation.mode is Mode.ONE
            failpoint(operation.name, "before_commit")
            result = await astep(operation, execute)
        failpoint(operation.name, "after_commit")
        return result

    def _session(self, held: Held) -> Session:
        if held.session is None:
            keeps = not self._address.pooled
            held.session = Session(held.connection, held.overdue, self.dialect, keeps=keeps)
        return held.session

    async def _connect(self) -> Any:
        return await connect(self._address, self._connect_seconds)


async def connect(address: Address, seconds: float, **options: Any) -> Any:
    """Open a connection, trying for ``seconds`` while the server may only be restarting."""
    connecting = Connecting(address, seconds)
    while True:
        try:
            connection = await asyncpg.connect(**address.for_asyncpg(), **options)
        except ValueError:  # asyncpg's ClientConfigurationError is one too
            raise errors.malformed(address) from None
        except REFUSALS as error:
            pause = connecting.pause_after(error)
        else:
            tell_arrays(connection)
            return connection
        await asyncio.sleep(pause)
