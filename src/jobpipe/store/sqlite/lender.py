"""Lends tasks a connection whose writes run together with the job's success, on the writer."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from jobpipe.store.port import Mode, Op, Operation, operation
from jobpipe.store.sqlite.buffered import BufferedConnection
from jobpipe.store.sqlite.connection import connect, patiently
from jobpipe.store.sqlite.driver import SqliteStore

T = TypeVar("T")


@operation(Mode.READ)
def nothing() -> Op[None]:
    """Ask nothing."""
    yield from ()


class SqliteLender:
    """Begins blocks on one database; they hold no lock."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    def begin(self) -> BufferedBlock:
        """Begin a block for code that blocks."""
        return BufferedBlock(self._store)

    async def abegin(self) -> AwaitedBufferedBlock:
        """Begin a block for async code: its reads are answered without a pause."""
        return AwaitedBufferedBlock(self._store)

    def close(self) -> None:
        """A block keeps no connection when it ends."""

    async def aclose(self) -> None:
        """A block keeps no connection when it ends."""


class BufferedBlock:
    """Keeps writes until ``commit`` hands them to the writer."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._reader: sqlite3.Connection | None = None
        self.connection = BufferedConnection(self._execute)

    def commit(self, last: Operation[T]) -> T:
        """See ``lending.Block``."""
        return self.submit(last).result()

    def rollback(self) -> None:
        """See ``lending.Block``."""
        self.connection.close()
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def submit(self, last: Operation[T]) -> Future[T]:
        """Let the writer run the writes and the last operation in one transaction."""
        self.rollback()
        named = Operation("transaction", last.mode, last.start)
        return self._store.writer().submit(named, first=self.connection.write)

    def _execute(self, action: Callable[[sqlite3.Connection], Any]) -> Any:
        if not self._store.capabilities.shared:  # its one connection belongs to the writer
            answers: list[Any] = []
            self._store.writer().submit(nothing(), lambda c: answers.append(action(c))).result()
            return answers[0]
        if self._reader is None:
            self._reader = connect(self._store.path)
        return patiently(partial(action, self._reader))


class AwaitedBufferedBlock:
    """The same for async code."""

    def __init__(self, store: SqliteStore) -> None:
        self._block = BufferedBlock(store)
        self.connection = self._block.connection

    async def commit(self, last: Operation[T]) -> T:
        """See ``lending.Block``."""
        return await asyncio.wrap_future(self._block.submit(last))

    async def rollback(self) -> None:
        """See ``lending.Block``."""
        self._block.rollback()

    def abandon(self) -> None:
        """See ``lending.AsyncBlock``."""
        self._block.rollback()
