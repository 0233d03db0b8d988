"""What a task writes with on SQLite: reads answer at once, writes wait for the job's success.

Nobody else waits for the write lock while the task thinks. Reads see what is committed, not what
waits. Each statement is first run where writing is forbidden: what is wrong with it is told at
once, and what is refused as a write is kept for later. Transactions are not for the task to steer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from jobpipe.errors import ConfigError

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]

FORBIDDEN = {
    sqlite3.SQLITE_TRANSACTION,
    sqlite3.SQLITE_SAVEPOINT,
    sqlite3.SQLITE_ATTACH,
    sqlite3.SQLITE_DETACH,
    sqlite3.SQLITE_PRAGMA,
}
"""What would reach beyond the block: the connection that writes in the end is not the task's."""


class Answer:
    """The rows of a read; a write that waits has none yet, and asking it for rows is an error."""

    def __init__(self, rows: list[sqlite3.Row] | None) -> None:
        self.is_read = rows is not None
        self._left = iter(rows or ())

    def __iter__(self) -> Iterator[sqlite3.Row]:
        self._refuse_write()
        return self._left

    def fetchone(self) -> sqlite3.Row | None:
        """Return the next row, None after the last."""
        self._refuse_write()
        return next(self._left, None)

    def fetchall(self) -> list[sqlite3.Row]:
        """Return the rows that are left."""
        self._refuse_write()
        return list(self._left)

    def _refuse_write(self) -> None:
        if not self.is_read:
            raise sqlite3.ProgrammingError(
                "a write inside job.transaction() runs when the block ends: it has no rows"
            )


class BufferedConnection:
    """A connection for one block; ``executes`` runs a function on a connection to read with."""

    def __init__(self, executes: Callable[[Callable[[sqlite3.Connection], Any]], Any]) -> None:
        self._executes = executes
        self._writes: list[tuple[str, Parameters | list[Parameters], bool]] = []
        self._closed = False

    def execute(self, sql: str, parameters: Parameters = (), /) -> Answer:
        """Run a read, or keep a write for the end of the block."""
        given = _copied(parameters)
        rows = self._ask(sql, given)
        if rows is None:
            self._writes.append((sql, given, False))
        return Answer(rows)

    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> Answer:
        """Keep one write with many rows of parameters for the end of the block."""
        given = [_copied(each) for each in parameters]
        if given and self._ask(sql, given[0]) is not None:
            raise sqlite3.ProgrammingError("executemany() is for writes")
        if given:
            self._writes.append((sql, given, True))
        return Answer(None)

    def close(self) -> None:
        """Take no more statements."""
        self._closed = True

    def write(self, connection: sqlite3.Connection) -> None:
        """Run what was kept, in its order, on the connection that writes."""
        for sql, parameters, many in self._writes:
            if many:
                connection.executemany(sql, parameters)
            else:
                connection.execute(sql, parameters).fetchall()

    def _ask(self, sql: str, parameters: Parameters) -> list[sqlite3.Row] | None:
        if self._closed:
            raise sqlite3.ProgrammingError("the block of this job.transaction() has ended")
        rows: list[sqlite3.Row] | None = self._executes(lambda c: read(c, sql, parameters))
        return rows


def read(
    connection: sqlite3.Connection, sql: str, parameters: Parameters
) -> list[sqlite3.Row] | None:
    """Run a statement that may only read; None when it would write.

    Raises ConfigError for one that would steer the connection.
    """
    refused: list[int] = []

    def authorize(action: int, *_about: str | None) -> int:
        if action in FORBIDDEN:
            refused.append(action)
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    connection.execute("PRAGMA query_only = ON")
    connection.set_authorizer(authorize)
    try:
        return connection.execute(sql, parameters).fetchall()
    except sqlite3.DatabaseError as error:
        if refused:
            raise ConfigError(
                f"not inside job.transaction(): {sql}",
                help="BEGIN, COMMIT, PRAGMA and ATTACH are for a connection of your own: on=.",
            ) from error
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY:
            return None
        raise
    finally:
        connection.set_authorizer(None)
        connection.execute("PRAGMA query_only = OFF")


def _copied(parameters: Parameters) -> Parameters:
    return dict(parameters) if isinstance(parameters, Mapping) else tuple(parameters)
