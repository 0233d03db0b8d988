"""An enqueue on the caller's connection is stored on one of ours, whatever the caller does."""

from __future__ import annotations

import sqlite3
from typing import Any

from jobpipe.access.store import StoreAccess


def run_beside(self: StoreAccess, connection: object, operation: Any) -> Any:
    assert isinstance(connection, sqlite3.Connection)
    connection.commit()
    return self.run(operation)


def plant() -> None:
    StoreAccess.run_on = run_beside  # type: ignore[method-assign]
