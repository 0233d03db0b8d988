"""The SQLite store: writes go through the process's one writer, reads by connections beside it.

A database in memory has one connection, so there reads go through the writer too.
"""

from __future__ import annotations

import asyncio
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from jobpipe.clock import Clock, wall_clock
from jobpipe.store.migrations import Migration, SchemaStatus, compare, load
from jobpipe.store.migrations import script as migration_script
from jobpipe.store.port import Capabilities, Mode, Operation
from jobpipe.store.script import execute, script
from jobpipe.store.sqlite import schema
from jobpipe.store.sqlite.checkpoint import Checkpointer
from jobpipe.store.sqlite.connection import connect, patiently
from jobpipe.store.sqlite.errors import translate
from jobpipe.store.sqlite.locks import WorkerLocks
from jobpipe.store.sqlite.turn import Turn
from jobpipe.store.sqlite.watch import DataVersion
from jobpipe.store.sqlite.writer import Pulse, Writer
from jobpipe.store.statements import load as load_statements
from jobpipe.store.stepping import step

T = TypeVar("T")

MEMORY = ":memory:"
ASYNC_READERS = 4
"""Threads that read for the event loop."""

PACKAGE = "jobpipe.store.sqlite"


class SqliteStore:
    """One database file (or ``:memory:``); safe to use from many threads and after a fork."""

    def __init__(
        self, path: str, *, table_prefix: str = "jobpipe_", clock: Clock = wall_clock
    ) -> None:
        self.path = path if path == MEMORY else os.path.abspath(path)
        self.texts = load_statements(PACKAGE, table_prefix)
        self.capabilities = Capabilities(
            dialect="sqlite",
            frontier=False,
            peek=True,
            exclusive_writer=True,
            shared=path != MEMORY,
        )
        self.worker_locks = WorkerLocks(self.path) if path != MEMORY else None
        self._statements = {name: script(sql) for name, sql in self.texts.items()}
        self._migrations = load(PACKAGE, table_prefix)
        self._clock = clock
        self._gate = threading.RLock()
        self._writer: Writer | None = None
        self._readers: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._process = os.getpid()
        self._inherited: object = None
        self._closed = False

    def run(self, operation: Operation[T]) -> T:
        """Run an operation and wait for it; see ``port.Store``."""
        if operation.mode is Mode.READ and self.capabilities.shared:
            return self.read(operation)
        return self.writer().run(operation)

    def read(self, operation: Operation[T]) -> T:
        """Run a reading operation on this thread."""
        self._discard_after_fork()
        try:
            connection = self._reader()
        except sqlite3.Error as error:
            raise translate(error, self.path) from error
        try:
            result: T = patiently(partial(self._drive, connection, operation))
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise translate(error, self.path) from error
            raise
        self._readers.put(connection)
        return result

    def writer(self) -> Writer:
        """Return the writer, started on first use and anew in a forked process."""
        self._discard_after_fork()
        with self._gate:
            if self._writer is None or (self._closed and self.capabilities.shared):
                self._closed = False
                self._writer = self._new_writer()
            return self._writer

    def watch(self) -> DataVersion:
        """Return a probe that tells whether another process has committed since it looked."""
        return DataVersion(connect(self.path, read_only=True), self._pulse)

    def schema_status(self) -> SchemaStatus:
        """Tell how far the schema is, without changing it (no file is made)."""
        if self.capabilities.shared and not os.path.exists(self.path):
            return compare([], self._migrations)
        return self._outside(
            lambda connection: schema.status(connection, self._statements, self._migrations)
        )

    def migrate(self) -> tuple[Migration, ...]:
        """Apply the missing migrations and return them; safe to call from many processes."""
        if not self.capabilities.shared:
            self.writer()
            return ()
        return self._outside(
            lambda connection: schema.migrate(
                connection, self._statements, self._migrations, self._clock()
            )
        )

    def schema_sql(self) -> str:
        """Return what ``migrate`` would run on an empty store."""
        now = {"now": str(self._clock())}
        return migration_script(self.texts, ["create_migrations"], self._migrations, now)

    def schema_faults(self) -> list[str]:
        """Return what is wrong with the schema, in words; empty when all is well."""
        return self._outside(
            lambda connection: schema.faults(connection, self._statements, self._migrations)
        )

    def check(self) -> list[str]:
        """Return what SQLite's own check of the whole file finds, and what the schema lacks."""
        rows = self._outside(
            lambda connection: connection.execute("PRAGMA integrity_check").fetchall()
        )
        return [row[0] for row in rows if row[0] != "ok"] + self.schema_faults()

    def close(self) -> None:
        """Commit what waits and close every connection; a later use opens them again."""
        with self._gate:
            writer, self._closed = self._writer, True
        if writer is not None:
            writer.close()
        while not self._readers.empty():
            self._readers.get().close()

    def _drive(self, connection: sqlite3.Connection, operation: Operation[Any]) -> Any:
        now = self._clock()
        cursor, statements = connection.cursor(), self._statements
        try:
            return step(operation, lambda s: execute(cursor, statements[s.name], s, now))
        finally:  # one that a signal left in the middle of its rows would bar every later commit
            cursor.close()

    def _open(self) -> sqlite3.Connection:
        connection = connect(self.path)
        if not self.capabilities.shared:
            schema.migrate(connection, self._statements, self._migrations, self._clock())
        return connection

    def _new_writer(self) -> Writer:
        if not self.capabilities.shared:
            return Writer(self.path, self._open, self._drive, _no_checkpoint)
        after_commit = Checkpointer(self.path).after_commit
        return Writer(self.path, self._open, self._drive, after_commit, Turn(self.path))

    def _outside(self, action: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = connect(self.path)
            try:
                return patiently(partial(action, connection))
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise translate(error, self.path) from error

    def _pulse(self) -> Pulse:
        writer = self._writer
        return writer.pulse if writer is not None else Pulse(0, 0)

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._readers.get_nowait()
        except queue.Empty:
            return connect(self.path, read_only=True)

    def _discard_after_fork(self) -> None:
        if self._process != os.getpid():
            # The parent's connections stay referenced: closing them here would touch its locks.
            self._inherited = (self._writer, self._readers)
            self._writer, self._readers = None, queue.SimpleQueue()
            self._gate = threading.RLock()
            self._process = os.getpid()  # last: another thread may look at it meanwhile


class SqliteAsyncStore:
    """The same database for an event loop; closing it leaves the ``SqliteStore`` open."""

    def __init__(self, store: SqliteStore) -> None:
        self.capabilities = store.capabilities
        self._store = store
        self._process = os.getpid()
        self._threads = _reading_threads()

    async def run(self, operation: Operation[T]) -> T:
        """Run an operation without blocking the loop; see ``port.AsyncStore``."""
        if operation.mode is Mode.READ and self.capabilities.shared:
            if self._process != os.getpid():  # threads are not inherited
                self._threads, self._process = _reading_threads(), os.getpid()
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._store.read, operation)
        return await self._store.writer().arun(operation)

    async def close(self) -> None:
        self._threads.shutdown(wait=False)


def _reading_threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(ASYNC_READERS, thread_name_prefix="jobpipe-reader")


def _no_checkpoint(_connection: sqlite3.Connection) -> None:
    """A database in memory has no log."""
