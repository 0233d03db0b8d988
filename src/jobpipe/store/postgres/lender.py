"""Lends connections to tasks: psycopg's to code that blocks, asyncpg's to code that awaits.

They are never those of our own operations. A lent connection comes back in the state in which it
was opened, or is closed; through a pooler it has no state to begin with.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Literal

import asyncpg
import psycopg
from psycopg.rows import tuple_row

from jobpipe.errors import StoreUnavailable
from jobpipe.store.callers.asyncpg_ import AsyncpgCaller
from jobpipe.store.callers.caller import Ground
from jobpipe.store.callers.psycopg_ import PsycopgCaller
from jobpipe.store.lending import ROLLBACK_SECONDS, AwaitedBlock, ConnectionBlock
from jobpipe.store.postgres import async_driver, async_pool, driver, pool
from jobpipe.store.postgres.address import Address
from jobpipe.store.postgres.async_pool import AsyncPool
from jobpipe.store.postgres.dialect import Dialect
from jobpipe.store.postgres.pool import Pool

CONNECT_SECONDS = 2.0
"""How long to try while the server may only be restarting."""


class PostgresLender:
    """At most ``size`` connections of each kind, opened when they are first needed."""

    def __init__(
        self, url: str, dialect: Dialect, *, pooler: Literal["none", "transaction"], size: int
    ) -> None:
        self._address = Address(url, pooled=pooler == "transaction")
        self._size = size
        self._pool = Pool(self._dial, size)
        self._pools: dict[asyncio.AbstractEventLoop, AsyncPool] = {}
        shift = dialect.clock_shift
        self._blocking_ground = Ground("postgresql", dialect.percent, shift, "")
        self._awaited_ground = Ground("postgresql", dialect.dollar, shift, "")

    def begin(self) -> ConnectionBlock:
        """Begin a transaction on a ``psycopg.Connection``; raises StoreUnavailable."""
        try:
            return self._begin(self._pool.take())
        except StoreUnavailable:  # the server was restarted under an idle connection
            self._pool.forget_idle()
            return self._begin(self._pool.take())

    async def abegin(self) -> AwaitedBlock:
        """Begin a transaction on an ``asyncpg.Connection``; raises StoreUnavailable."""
        pool = self._pool_of_loop()
        try:
            return await self._abegin(pool, await pool.take())
        except StoreUnavailable:
            pool.forget_idle()
            return await self._abegin(pool, await pool.take())

    def close(self) -> None:
        """Close the blocking connections."""
        self._pool.forget_idle()

    async def aclose(self) -> None:
        """Close this loop's connections."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.close()

    def _begin(self, held: pool.Held) -> ConnectionBlock:
        caller = PsycopgCaller()
        try:
            opened = caller.begin(held.connection)
        except BaseException:
            self._pool.drop(held)
            raise
        give, drop = partial(self._give, held), partial(self._pool.drop, held)
        return ConnectionBlock(caller, held.connection, self._blocking_ground, opened, give, drop)

    async def _abegin(self, pool: AsyncPool, held: async_pool.Held) -> AwaitedBlock:
        caller = AsyncpgCaller()
        try:
            opened = await caller.begin(held.connection)
        except BaseException:
            pool.drop(held)
            raise
        give, drop = partial(self._agive, pool, held), partial(pool.drop, held)
        return AwaitedBlock(caller, held.connection, self._awaited_ground, opened, give, drop)

    def _give(self, held: pool.Held) -> None:
        try:
            if not self._address.pooled:
                held.connection.execute(b"DISCARD ALL")
            is_fit = _is_plain(held.connection)
        except psycopg.Error:
            is_fit = False
        if is_fit:
            self._pool.give(held)
        else:
            self._pool.drop(held)

    async def _agive(self, pool: AsyncPool, held: async_pool.Held) -> None:
        try:
            if not self._address.pooled:
                async with asyncio.timeout(ROLLBACK_SECONDS):
                    await held.connection.reset()
        except BaseException as error:
            pool.drop(held)
            if not isinstance(error, Exception):
                raise
        else:
            pool.give(held)

    def _dial(self) -> psycopg.Connection[Any]:
        connection = driver.dial(self._address, CONNECT_SECONDS)
        connection.prepare_threshold = None  # what it prepared would not outlive its return
        return connection

    async def _connect(self) -> asyncpg.Connection:
        return await async_driver.connect(self._address, CONNECT_SECONDS)

    def _pool_of_loop(self) -> AsyncPool:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            for old in [old for old in self._pools if old.is_closed()]:
                self._pools.pop(old).forget_idle()
            pool = self._pools[loop] = AsyncPool(self._connect, self._size)
        return pool


def _is_plain(connection: psycopg.Connection[Any]) -> bool:
    """Tell whether the connection still makes the cursors it made in the beginning."""
    return (
        connection.row_factory is tuple_row
        and connection.cursor_factory is psycopg.Cursor
        and connection.prepare_threshold is None
    )
