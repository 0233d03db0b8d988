"""Lets those who wait for one database's write lock have it in turn.

SQLite has no queue: whoever asks at the right moment wins, and that is mostly the process that has
just committed and asks again. So whoever wants the write lock first takes the turn, a lock on a
file beside the database, and gives it on as soon as he has the write lock: the one who comes again
finds the turn taken, and all who wait for it have equal chances.

The turn is a courtesy, not a guard. Foreign writers know nothing of it, and a process that was
frozen with it in hand is waited for no longer than TURN_SECONDS.
"""

from __future__ import annotations

import fcntl
import os
import random
import sqlite3
import time
from contextlib import suppress

from jobpipe.store.sqlite.connection import begin_write

TURN_SECONDS = 1.0
"""Longest wait for the turn; then one goes on without it."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.0005, 0.002
"""Bounds of the jittered pause between two tries, in seconds: the same for all, however long they
have waited, so that nobody waits for very long."""


class Turn:
    """The turn of one connection; used by one thread at a time."""

    def __init__(self, database: str) -> None:
        self._path = f"{database}-turn"
        self._descriptor: int | None = None

    def begin_write(self, connection: sqlite3.Connection) -> None:
        """Take the write lock in turn; see ``connection.begin_write``."""
        try:
            self._take()
            begin_write(connection)
        finally:  # also when a signal ended the wait
            self._give_on()

    def close(self) -> None:
        """Close the file; a later use opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _take(self) -> None:
        descriptor = self._open()
        if descriptor is None:
            return
        began = time.monotonic()
        while not _try(descriptor) and time.monotonic() - began < TURN_SECONDS:
            time.sleep(random.uniform(SHORTEST_PAUSE, LONGEST_PAUSE))

    def _give_on(self) -> None:
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _open(self) -> int | None:
        if self._descriptor is None:
            # Where the file belongs to somebody else, or cannot be made, we go on without.
            with suppress(OSError):
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                self._descriptor = os.open(self._path, flags, 0o600)
        return self._descriptor


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
