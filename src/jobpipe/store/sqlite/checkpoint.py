"""Moves the log into the database file, one process at a time.

SQLite before 3.51.3 can damage a database when two connections write and reset the log at once
(the WAL-reset bug), so no commit checkpoints by itself: a writer whose log has grown takes the
checkpoint lock, or leaves the work to whoever has it.
"""

from __future__ import annotations

import os
import sqlite3

from jobpipe.store.sqlite.connection import LOG_BYTES_KEPT
from jobpipe.store.sqlite.locks import checkpoint_lock

LOG_BYTES = 4 * LOG_BYTES_KEPT
"""Size of the log from which a checkpoint is tried. Connections cut a log that was written back
down to LOG_BYTES_KEPT, so a larger file means that there is something to do."""

EVERY_COMMITS = 16
"""Commits between two looks at the log's size."""


class Checkpointer:
    """Called after each commit of a writer."""

    def __init__(self, path: str) -> None:
        self._log = f"{path}-wal"
        self._lock = checkpoint_lock(path)
        self._commits = 0

    def after_commit(self, connection: sqlite3.Connection) -> None:
        self._commits += 1
        if self._commits % EVERY_COMMITS == 0 and self._log_has_grown() and self._lock.acquire():
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            finally:
                self._lock.release()

    def _log_has_grown(self) -> bool:
        try:
            return os.stat(self._log).st_size >= LOG_BYTES
        except FileNotFoundError:
            return False
