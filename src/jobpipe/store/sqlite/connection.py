"""Opens connections to one database file, and runs one statement on one of them."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import msgspec

from jobpipe.store.binding import sqlite_parameters, sqlite_parts
from jobpipe.store.port import Statement
from jobpipe.store.sqlite.errors import is_busy
from jobpipe.store.statements import PARAMETER

T = TypeVar("T")

LOCK_SECONDS = 30.0
"""Longest wait for the write lock before the user hears that the database is locked."""

DURABILITY = "FULL"
"""Every commit is on disk before it is acknowledged, also through a power cut."""

LOG_BYTES_KEPT = 1024 * 1024
"""To this size the log is cut when it begins anew after a checkpoint."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.0005, 0.02
"""Bounds of the jittered pause between two tries for the write lock, in seconds."""


GATHERED = "SELECT json_group_array("
"""How a part begins that answers many rows as one: each of its columns is a JSON array. Fetching a
row lets the interpreter go and asks for it again, and while the loop is busy each time may take
milliseconds."""

_array = msgspec.json.Decoder(list[object])


@dataclass(frozen=True, slots=True)
class Script:
    """One statement of the dialect: the parts that run in turn and the parameters they name."""

    parts: tuple[str, ...]
    names: tuple[str, ...]


def scripts(texts: Mapping[str, str]) -> dict[str, Script]:
    """Split every statement of the dialect once."""
    return {
        name: Script(sqlite_parts(sql), tuple(dict.fromkeys(PARAMETER.findall(sql))))
        for name, sql in texts.items()
    }


def connect(path: str, *, read_only: bool = False) -> sqlite3.Connection:
    """Open a connection in autocommit with durable, non-blocking settings.

    No busy time-out: waiting is ours (``begin_write``), with jitter, so that many processes take
    turns. Checkpoints are never made by a commit: ``checkpoint.py`` lets one process at a time
    do that.
    """
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=256, timeout=0
    )
    connection.row_factory = sqlite3.Row
    patiently(lambda: connection.execute("PRAGMA journal_mode = WAL").fetchone())
    connection.execute(f"PRAGMA synchronous = {DURABILITY}")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES_KEPT}")
    connection.execute("PRAGMA cache_size = -32000")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def begin_write(connection: sqlite3.Connection) -> None:
    """Take the write lock, waiting up to LOCK_SECONDS for whoever holds it."""
    patiently(lambda: connection.execute("BEGIN IMMEDIATE"))


def commit(connection: sqlite3.Connection) -> None:
    """Commit, waiting as ``begin_write`` does (recovery of the log may keep it busy)."""
    patiently(lambda: connection.execute("COMMIT"))


def execute(
    connection: sqlite3.Connection, script: Script, statement: Statement, now: int
) -> list[sqlite3.Row]:
    """Run every part of the statement; the rows are those of the parts that answer any."""
    parameters = sqlite_parameters(statement, script.names, now)
    answer: list[sqlite3.Row] = []
    for part in script.parts:
        cursor = connection.execute(part, parameters)
        rows = cursor.fetchall()
        if rows:
            answer += _spread(cursor, rows[0]) if part.startswith(GATHERED) else rows
    return answer


def _spread(cursor: sqlite3.Cursor, gathered: sqlite3.Row) -> list[sqlite3.Row]:
    """Return the rows that a gathered answer stands for."""
    columns = map(_array.decode, gathered)
    return list(map(partial(sqlite3.Row, cursor), zip(*columns, strict=True)))


def patiently(action: Callable[[], T]) -> T:
    """Run the action, trying again with jitter for LOCK_SECONDS while the database is busy."""
    deadline = time.monotonic() + LOCK_SECONDS
    pause = SHORTEST_PAUSE
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(SHORTEST_PAUSE, pause))
        pause = min(pause * 2, LONGEST_PAUSE)
