"""What SQLite's error codes mean to a user."""

from __future__ import annotations

import sqlite3

from jobpipe.errors import ConfigError, JobpipeError, StoreUnavailable

MEANINGS: dict[str, tuple[type[JobpipeError], str, str]] = {
    "SQLITE_BUSY": (
        StoreUnavailable,
        "is locked by another connection",
        "Find the program that keeps a transaction open on this file (`jobpipe doctor` names it)"
        " and let it commit.",
    ),
    "SQLITE_LOCKED": (
        StoreUnavailable,
        "is locked by another connection of this process",
        "Commit the transaction that this process keeps open, or pass its connection with on=.",
    ),
    "SQLITE_READONLY": (
        StoreUnavailable,
        "is read-only",
        "Give the user that runs this process the right to write the file and its folder.",
    ),
    "SQLITE_FULL": (
        StoreUnavailable,
        "cannot grow: the disk is full",
        "Free space on the disk of the database; nothing was acknowledged meanwhile.",
    ),
    "SQLITE_CANTOPEN": (
        StoreUnavailable,
        "cannot be opened",
        "Check that its folder exists and may be written by the user that runs this process.",
    ),
    "SQLITE_IOERR": (
        StoreUnavailable,
        "met an input/output error of the disk",
        "Check the disk; the connection was dropped and the next operation opens a new one.",
    ),
    "SQLITE_NOTADB": (
        ConfigError,
        "is not an SQLite database",
        "Point JOBPIPE_URL at another file; this one was left as it is.",
    ),
    "SQLITE_CORRUPT": (
        StoreUnavailable,
        "is damaged",
        "Stop what uses it, then restore the file from a backup.",
    ),
}


def translate(error: sqlite3.Error, path: str) -> Exception:
    """Return the error to raise instead of ``error``; itself when it is no fault of the store."""
    code = getattr(error, "sqlite_errorname", None) or ""
    primary = "_".join(code.split("_")[:2])
    if primary not in MEANINGS:
        return error
    kind, meaning, help = MEANINGS[primary]
    return kind(f"the database {path} {meaning} ({code})", help=help)


def is_busy(error: sqlite3.Error) -> bool:
    """Tell whether waiting may help."""
    return (getattr(error, "sqlite_errorname", None) or "").startswith("SQLITE_BUSY")


def poisons_connection(error: sqlite3.Error) -> bool:
    """Tell whether the handle must not be trusted any more (its state on disk is unknown)."""
    return (getattr(error, "sqlite_errorname", None) or "").startswith(
        ("SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FULL")
    )
