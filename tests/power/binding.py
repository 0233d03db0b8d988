"""Lets Jobpipe's SQLite driver run on apsw, whose file system can be recorded.

The driver's own code opens the connection, sets it up and says what is run when; only the module
``sqlite3`` under it is exchanged for one that offers the same with apsw's copy of SQLite.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import apsw

from jobpipe.store.sqlite import connection as driver
from tests.power.recording import Commit, Recording, RecordingVFS

VFS = "recording"
TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"


class Row(tuple[Any, ...]):
    """A row whose columns are found by place or name."""

    names: Mapping[str, int]

    def __getitem__(self, column: Any) -> Any:
        place = self.names[column] if isinstance(column, str) else column
        return super().__getitem__(place)

    def keys(self) -> list[str]:
        return list(self.names)


class Connection:
    """What the driver uses of ``sqlite3.Connection``."""

    def __init__(self, path: str, recording: Recording, pragmas: Mapping[str, str]) -> None:
        self.row_factory: object = None
        self._recording, self._pragmas = recording, pragmas
        with _errors_as_stdlib():
            self._connection = apsw.Connection(path, vfs=VFS)
        self._connection.row_trace = _row

    @property
    def in_transaction(self) -> bool:
        return bool(self._connection.in_transaction)

    def execute(self, sql: str, parameters: Mapping[str, Any] | None = None) -> apsw.Cursor:
        """Run a statement; a commit is noted with what the database holds then."""
        with _errors_as_stdlib():
            cursor = self._connection.execute(self._pragmas.get(sql, sql), parameters)
            if sql == "COMMIT":
                content = digest(lambda ask: self._connection.execute(ask).fetchall())
                self._recording.events.append(Commit(content))
        return cursor

    def cursor(self) -> Cursor:
        return Cursor(self)

    def close(self) -> None:
        with _errors_as_stdlib():
            self._connection.close()


class Cursor:
    """What the driver uses of ``sqlite3.Cursor``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: list[Row] = []

    def execute(self, sql: str, parameters: Mapping[str, Any]) -> Cursor:
        answer = self._connection.execute(sql, parameters)
        with _errors_as_stdlib():
            self._rows = answer.fetchall()
        return self

    def fetchall(self) -> list[Row]:
        return self._rows

    def close(self) -> None:
        """Nothing is left open: all rows have been fetched."""

    @staticmethod
    def row_factory(cursor: Cursor, values: tuple[Any, ...]) -> Row:
        """Make a row with the columns of the last answer."""
        row = Row(values)
        row.names = cursor._rows[0].names
        return row


def digest(ask: Callable[[str], list[Any]]) -> bytes:
    """Return a digest of all rows of all tables."""
    found = hashlib.blake2b(digest_size=16)
    for (table,) in ask(TABLES):
        rows = sorted(repr(tuple(row)) for row in ask(f'SELECT * FROM "{table}"'))
        found.update(f"{table} {rows}".encode())
    return found.digest()


@contextmanager
def recorded(recording: Recording, pragmas: Mapping[str, str] | None = None) -> Iterator[None]:
    """Record what the driver does; ``pragmas`` are statements that are run instead of others."""
    vfs = RecordingVFS(VFS, recording)
    given = dict(pragmas or {})

    def connect(path: str, **_options: object) -> Connection:
        return Connection(path, recording, given)

    stand_in = SimpleNamespace(
        connect=connect, Row=sqlite3.Row, OperationalError=sqlite3.OperationalError
    )
    real = driver.sqlite3
    driver.sqlite3 = stand_in  # type: ignore[attr-defined]
    try:
        yield
    finally:
        driver.sqlite3 = real  # type: ignore[attr-defined]
        vfs.unregister()


def _row(cursor: apsw.Cursor, values: tuple[Any, ...]) -> Row:
    row = Row(values)
    row.names = {column[0]: place for place, column in enumerate(cursor.get_description())}
    return row


@contextmanager
def _errors_as_stdlib() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        translated = sqlite3.OperationalError(str(error))
        code = getattr(error, "extendedresult", 1)
        translated.sqlite_errorname = str(  # type: ignore[attr-defined]
            apsw.mapping_extended_result_codes.get(
                code, apsw.mapping_result_codes.get(code & 255, "SQLITE_ERROR")
            )
        )
        raise translated from error
