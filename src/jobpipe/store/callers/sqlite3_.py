"""Runs operations on a caller's ``sqlite3.Connection``.

Python opens a transaction by itself only before some statements, so one is opened here before
the first write: left to the caller to commit, unless the connection is in autocommit.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from jobpipe.store.callers.caller import Placeholder, Statements, already_open, unavailable
from jobpipe.store.port import Mode, Operation, Rows, Statement
from jobpipe.store.script import execute, script
from jobpipe.store.stepping import step

T = TypeVar("T")

BUSY_CODES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
SAVEPOINT = "jobpipe_operation"


class Sqlite3Caller:
    """Caller for the standard library's SQLite connection."""

    kind = "sqlite3.Connection"
    dialect = "sqlite"
    placeholder: Placeholder = "named"

    def run(
        self,
        connection: sqlite3.Connection,
        operation: Operation[T],
        statements: Statements,
        clock: Callable[[], int],
    ) -> T:
        """Run the operation in the caller's transaction, or in one of its own in autocommit."""
        cursor = _cursor(connection)
        cursor.row_factory = sqlite3.Row

        def run(statement: Statement) -> Rows:
            return execute(cursor, script(statements[statement.name].sql), statement, clock())

        try:
            if operation.mode is Mode.READ:
                return step(operation, run)
            with _undone_together(connection):
                return step(operation, run)
        except sqlite3.OperationalError as error:
            # The low byte is the kind, the rest says more about it.
            if (error.sqlite_errorcode & 0xFF) in BUSY_CODES:
                raise unavailable(self.kind, error) from error
            raise
        finally:
            cursor.close()

    def same_store(
        self, connection: sqlite3.Connection, expected: str, statements: Statements
    ) -> bool:
        """Compare the files; the statements are not needed."""
        del statements
        cursor = _cursor(connection)
        cursor.row_factory = None
        file = next(row[2] for row in cursor.execute("PRAGMA database_list") if row[0] == 0)
        cursor.close()
        try:
            return bool(file) and os.path.samefile(file, expected)
        except OSError:
            return False

    def begin(self, connection: sqlite3.Connection) -> Sqlite3Opened:
        """Take the write lock for a transaction."""
        _cursor(connection).close()
        always_in_one = getattr(connection, "autocommit", -1) is False
        if connection.in_transaction and not always_in_one:
            raise already_open(self.kind)
        if not connection.in_transaction:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise unavailable(self.kind, error) from error
        return Sqlite3Opened(connection)


class Sqlite3Opened:
    """A transaction on the standard library's SQLite connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @property
    def is_open(self) -> bool:
        """Tell whether the connection is in a transaction."""
        return self._connection.in_transaction

    def commit(self) -> None:
        """Make it last."""
        if getattr(self._connection, "autocommit", -1) is True:  # there commit() does nothing
            self._connection.execute("COMMIT")
        else:
            self._connection.commit()

    def rollback(self) -> None:
        """Undo it; some errors have made SQLite do so already."""
        if getattr(self._connection, "autocommit", -1) is not True:
            self._connection.rollback()
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


class Sqlite3AwaitedOpened:
    """The same for async code."""

    def __init__(self, opened: Sqlite3Opened) -> None:
        self._opened = opened

    @property
    def is_open(self) -> bool:
        """Tell whether the connection is in a transaction."""
        return self._opened.is_open

    async def commit(self) -> None:
        """Make it last."""
        self._opened.commit()

    async def rollback(self) -> None:
        """Undo it."""
        self._opened.rollback()


class Sqlite3AwaitedCaller:
    """The same for async code: SQLite answers at once, so nothing is gained by a thread."""

    kind = Sqlite3Caller.kind
    dialect = Sqlite3Caller.dialect
    placeholder: Placeholder = Sqlite3Caller.placeholder

    async def run(
        self,
        connection: sqlite3.Connection,
        operation: Operation[T],
        statements: Statements,
        clock: Callable[[], int],
    ) -> T:
        """Run the operation without a pause."""
        return Sqlite3Caller().run(connection, operation, statements, clock)

    async def same_store(
        self, connection: sqlite3.Connection, expected: str, statements: Statements
    ) -> bool:
        """Compare the files."""
        return Sqlite3Caller().same_store(connection, expected, statements)

    async def begin(self, connection: sqlite3.Connection) -> Sqlite3AwaitedOpened:
        """Take the write lock for a transaction."""
        return Sqlite3AwaitedOpened(Sqlite3Caller().begin(connection))


def _cursor(connection: sqlite3.Connection) -> sqlite3.Cursor:
    try:
        return connection.cursor()
    except sqlite3.ProgrammingError as error:  # closed, or of another thread
        raise unavailable(Sqlite3Caller.kind, error) from error


@contextmanager
def _undone_together(connection: sqlite3.Connection) -> Iterator[None]:
    """Make what runs inside one: all of it stays when it ends well, nothing when it fails."""
    if connection.in_transaction:
        begin, undo = f"SAVEPOINT {SAVEPOINT}", f"ROLLBACK TO {SAVEPOINT}"
        keep: str | None = f"RELEASE {SAVEPOINT}"
    else:
        begin, undo = "BEGIN IMMEDIATE", "ROLLBACK"
        keep = "COMMIT" if _is_autocommit(connection) else None
    connection.execute(begin)
    try:
        yield
        if keep:
            connection.execute(keep)
    except BaseException:
        if connection.in_transaction:  # some errors make SQLite roll everything back itself
            connection.execute(undo)
        raise


def _is_autocommit(connection: sqlite3.Connection) -> bool:
    """Tell whether each statement is its own transaction; since Python 3.12 there are two ways."""
    return connection.isolation_level is None or getattr(connection, "autocommit", -1) is True
