"""One connection of the async driver as our operations use it: what it keeps prepared, and when.

asyncpg sends a statement that is new to the connection in two parts: the server prepares it and
says what it asks for, then come the values. In between the session is for the server not idle but
in the midst of the statement: no limit of ours ends it, so that a process that stands still there
keeps for ever what its transaction has locked. Therefore nothing is prepared within a transaction:
what an operation has needed so far, in this process, is prepared before, and when it needs more
than that, it begins anew. Only behind a pooler, where nothing stays prepared, is this gap left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from jobpipe.store.port import Rows, Statement
from jobpipe.store.postgres.address import PLAN_SECONDS
from jobpipe.store.postgres.dialect import Dialect
from jobpipe.store.postgres.overdue import Overdue

LASTING = frozenset({"enqueue_now"})
"""Statements that read no table, so that no growth of one makes their plan a wrong one."""
Needs = dict[str, None]
"""The names of the statements that an operation has needed so far: a set, in their order."""


class Unprepared(Exception):
    """A transaction needs a statement that is new to the connection; now it is among its needs."""


class Session:
    """Sends statements; keeps them prepared unless the next may be another server's session."""

    __slots__ = ("_connection", "_dialect", "_keeps", "_overdue", "_ready", "_until")

    def __init__(self, connection: Any, overdue: Overdue, dialect: Dialect, *, keeps: bool) -> None:
        self._connection = connection
        self._overdue = overdue
        self._dialect = dialect
        self._keeps = keeps
        self._ready: dict[str, Any] = {}
        self._until: dict[str, float] = {}
        """How long the plans last that were made, by the loop's clock."""

    async def bring(self, needs: Needs) -> None:
        """Prepare what is needed and new here, or of which the plan is old."""
        now = asyncio.get_running_loop().time()
        wanted = [
            name
            for name in tuple(needs)  # another thread's loop may add some
            if name not in self._ready or self._until.get(name, now) < now
        ]
        for name in wanted:
            try:
                await self._prepare(name)
            except Exception:
                needs.pop(name, None)  # it may do without
                raise
        if wanted:
            await self._end()

    def execute(self, needs: Needs, statement: Statement) -> Awaitable[Rows]:
        """Send a statement, and note that it was needed; raises Unprepared."""
        name = statement.name
        sent = self._dialect.dollar[name]
        arguments = self._dialect.arguments(statement, sent)
        if not self._keeps:
            self._overdue.begin()
            unprepared: Awaitable[Rows] = self._connection.fetch(sent.sql, *arguments)
            return unprepared
        needs[name] = None
        if name in self._ready:
            return self._run(name, arguments)
        if self._connection.is_in_transaction():
            raise Unprepared(name)
        return self._first(name, arguments)

    async def _first(self, name: str, arguments: list[Any]) -> Rows:
        await self._prepare(name)
        await self._end()
        return await self._run(name, arguments)

    def _run(self, name: str, arguments: list[Any]) -> Awaitable[Rows]:
        if name not in self._until and name not in LASTING:
            self._until[name] = asyncio.get_running_loop().time() + PLAN_SECONDS
        self._overdue.begin()
        rows: Awaitable[Rows] = self._ready[name].fetch(*arguments)
        return rows

    async def _prepare(self, name: str) -> None:
        self._ready.pop(name, None)
        self._until.pop(name, None)
        self._overdue.begin()
        self._ready[name] = await self._connection.prepare(self._dialect.dollar[name].sql)

    async def _end(self) -> None:
        """End what preparing has begun: it has locked the tables, so that nobody migrates them."""
        self._overdue.begin()
        await self._connection.execute("SELECT")
