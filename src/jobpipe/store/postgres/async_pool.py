"""The async driver's connections: the idle ones of one event loop, the oldest at hand.

Whoever asks gets the one that was opened first: it has prepared the most statements, and a claim
does not meet a session that has never seen one because a duty gave that back last.

A connection is trusted only for as long as it was in use a moment ago; after a pause the loop
first gets the chance to hear that the server hung up. When one connection breaks, all idle ones
are left behind. Everything is closed with the loop (``shutdown_asyncgens``, as in
``asyncio.run``) unless it was closed before.
"""

from __future__ import annotations

import asyncio
import time
from bisect import insort
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg

from jobpipe.errors import StoreUnavailable
from jobpipe.store.postgres.overdue import Overdue
from jobpipe.store.postgres.session import Session

TRUSTED_SECONDS = 0.005
LONGEST_IDLE_SECONDS = 300.0
"""Older idle connections may have been forgotten by a firewall on the way."""
WAIT_SECONDS = 30.0
CLOSE_SECONDS = 2.0
LOOP_TURNS = 6
"""Turns until a loop has read a last message, then the end, and has told the connection."""


@dataclass(slots=True, eq=False)
class Held:
    """A connection that is in use, or idle since a monotonic time."""

    connection: Any
    generation: int
    number: int
    """How many had been opened before."""
    overdue: Overdue
    idle_since: float = 0.0
    session: Session | None = None
    """What it has prepared, once an operation has used it."""


class AsyncPool:
    """At most ``size`` connections; only used on the loop it was made on."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], size: int) -> None:
        self._connect = connect
        self._size = size
        self._room = asyncio.Semaphore(size)
        self._idle: list[Held] = []
        self._generation = 0
        self._opened = 0
        self._life: AsyncGenerator[None, None] | None = None
        self._is_over = False
        """Closed: whoever is in the midst of something may end it, and nothing is kept."""

    async def take(self) -> Held:
        """Return a working connection; wait when all are in use."""
        if self._life is None and not self._is_over:
            await self._close_with_loop()
        if self._room.locked():
            await self._wait_for_room()
        else:
            await self._room.acquire()
        try:
            return await self._idle_one() or await self._open()
        except BaseException:
            self._room.release()
            raise

    def give(self, held: Held) -> None:
        """Take back a connection for the next user."""
        connection = held.connection
        held.overdue.rest()
        if (
            self._is_over
            or held.generation != self._generation
            or connection.is_closed()
            or connection.is_in_transaction()
        ):
            hang_up(connection)
        else:
            held.idle_since = time.monotonic()
            insort(self._idle, held, key=_youth)
        self._room.release()

    def drop(self, held: Held) -> None:
        """End a connection that is of no more use."""
        held.overdue.rest()
        hang_up(held.connection)
        self._room.release()

    def forget_idle(self) -> None:
        """Leave behind every connection opened so far."""
        self._generation += 1
        idle, self._idle = self._idle, []
        for held in idle:
            hang_up(held.connection)

    async def close(self) -> None:
        """Close what is idle now, and when it comes back what is in use, being opened, or taken by
        who tries again. For good: what begins later has another pool."""
        self._is_over = True
        life, self._life = self._life, None
        if life is not None:
            await life.aclose()

    def hang_up(self) -> None:
        """Close without waiting for the server."""
        self._is_over = True
        self.forget_idle()

    async def _close_with_loop(self) -> None:
        self._life = life = self._until_closed()
        await anext(life)

    async def _until_closed(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._is_over = True
            idle, self._idle = self._idle, []
            try:
                for held in idle:
                    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                        await held.connection.close(timeout=CLOSE_SECONDS)
            finally:  # a loop that ends cancels this, too
                for held in idle:
                    hang_up(held.connection)

    async def _wait_for_room(self) -> None:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._room.acquire()
        except TimeoutError as error:
            raise StoreUnavailable(
                f"all {self._size} connections were in use for {WAIT_SECONDS:.0f} s"
            ) from error

    async def _open(self) -> Held:
        self._opened += 1
        number = self._opened
        connection = await self._connect()
        return Held(connection, self._generation, number, Overdue(partial(hang_up, connection)))

    async def _idle_one(self) -> Held | None:
        while self._idle:
            held = self._idle.pop()
            idle_seconds = time.monotonic() - held.idle_since
            if idle_seconds > TRUSTED_SECONDS:
                try:
                    for _ in range(LOOP_TURNS):
                        await asyncio.sleep(0)
                except BaseException:  # cancelled: nobody else knows of this connection
                    hang_up(held.connection)
                    raise
            if not held.connection.is_closed() and idle_seconds < LONGEST_IDLE_SECONDS:
                return held
            hang_up(held.connection)
        return None


def _youth(held: Held) -> int:
    return -held.number


def hang_up(connection: Any) -> None:
    """End a connection at once, whatever state it and its loop are in."""
    with suppress(RuntimeError, asyncpg.InterfaceError):  # RuntimeError: its loop is closed
        connection.terminate()
