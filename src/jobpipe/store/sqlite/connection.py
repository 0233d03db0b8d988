"""Opens connections to one database file, and takes its write lock."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from jobpipe.store.sqlite.errors import is_busy

T = TypeVar("T")

LOCK_SECONDS = 30.0
"""Longest wait for the write lock before the user hears that the database is locked."""

DURABILITY = "FULL"
"""Every commit is on disk before it is acknowledged, also through a power cut."""

LOG_BYTES_KEPT = 1024 * 1024
"""To this size the log is cut when it begins anew after a checkpoint."""

SHORTEST_PAUSE, USUAL_PAUSE, LONGEST_PAUSE = 0.0002, 0.0008, 0.02
"""Bounds of the jittered pause between two tries for the write lock, in seconds. Of our own
processes only one tries at a time (``turn.py``) and the others hold it for milliseconds, so a
longer pause would leave it idle; who keeps it for long is asked less and less often, after a second
every LONGEST_PAUSE."""


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


def data_version(connection: sqlite3.Connection) -> int:
    """Return a number that is another one when another connection has committed in between."""
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version


def patiently(action: Callable[[], T]) -> T:
    """Run the action, trying again with jitter for LOCK_SECONDS while the database is busy."""
    began = time.monotonic()
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            waited = time.monotonic() - began
            if not is_busy(error) or waited > LOCK_SECONDS:
                raise
        longest = min(max(USUAL_PAUSE, LONGEST_PAUSE * waited), LONGEST_PAUSE)
        time.sleep(random.uniform(SHORTEST_PAUSE, longest))
