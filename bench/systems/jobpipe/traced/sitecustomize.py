"""Counts every statement that any connection of the process has SQLite run, in all processes.

Python imports this by itself when its folder is on PYTHONPATH: the product stays as it is.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Any

FILE = os.environ.get("BENCH_STATEMENTS", "")
connect = sqlite3.connect


def connect_traced(*given: Any, **named: Any) -> sqlite3.Connection:
    connection = connect(*given, **named)
    connection.set_trace_callback(note)
    return connection


def note(statement: str) -> None:
    """Append one byte: an append is whole, whichever process makes it."""
    os.write(target, b"v" if "data_version" in statement else b".")


if FILE:
    target = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    sqlite3.connect = connect_traced
