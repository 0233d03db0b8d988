"""Tells whether other processes have committed to the database.

While this process's own writer is at work the file is not looked at: every commit of ours would
seem to be news, and the writer sees by itself, as it begins, whether others were there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from jobpipe.store.sqlite.connection import data_version
from jobpipe.store.sqlite.writer import Pulse


class DataVersion:
    """A connection of its own, asked again and again; used by one thread."""

    def __init__(self, connection: sqlite3.Connection, pulse: Callable[[], Pulse]) -> None:
        self._connection = connection
        self._pulse = pulse
        self._felt = pulse()
        self._seen = data_version(connection)

    def has_changed(self) -> bool:
        """Tell whether another process may have committed since the last call.

        In the first quiet moment after our own commits nobody can tell theirs from ours: then yes.
        """
        before, self._felt = self._felt, self._pulse()
        if self._felt.commits != before.commits:
            return self._felt.others != before.others
        seen, self._seen = self._seen, data_version(self._connection)
        return self._seen != seen

    def close(self) -> None:
        self._connection.close()
