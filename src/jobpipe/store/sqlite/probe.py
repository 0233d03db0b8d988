"""Looks at a database file from outside: its library, size, disk, and who keeps its write lock.

It changes nothing and waits no longer than LOCK_WAIT_SECONDS. What the system does not tell is
left unknown.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from pathlib import Path

from jobpipe.model.condition import FileFacts, WriteLock
from jobpipe.store.sqlite.connection import DURABILITY
from jobpipe.store.sqlite.errors import is_busy, translate

LOCK_WAIT_SECONDS = 1.0
PAUSE_SECONDS = 0.02

WRITE_LOCK_BYTE = 120
"""Where SQLite locks the index of its log for the one who writes (WAL_WRITE_LOCK)."""


def probe(path: str) -> FileFacts:
    """Return what can be seen of a file; raises StoreUnavailable when it cannot be opened."""
    file = Path(path).absolute()
    exists = file.is_file()
    disk = next(folder for folder in (file, *file.parents) if folder.exists())
    return FileFacts(
        library=sqlite3.sqlite_version,
        durability=DURABILITY,
        exists=exists,
        size=_size(file),
        log_size=_size(Path(f"{file}-wal")),
        free=shutil.disk_usage(disk).free,
        filesystem=_filesystem(disk),
        lock=_write_lock(file) if exists else None,
    )


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _write_lock(file: Path) -> WriteLock | None:
    """Try to begin a write; when that stays impossible, tell who is in the way."""
    try:
        connection = sqlite3.connect(file, isolation_level=None, timeout=0)
        try:
            return _tried(connection, file)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise translate(error, str(file)) from error


def _tried(connection: sqlite3.Connection, file: Path) -> WriteLock | None:
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            return None
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
        if time.monotonic() > deadline:
            pid = _holder(Path(f"{file}-shm"))
            return WriteLock(LOCK_WAIT_SECONDS, pid, pid is not None and _is_stopped(pid))
        time.sleep(PAUSE_SECONDS)


def _holder(index: Path) -> int | None:
    """Return the process that has locked the byte of the one who writes."""
    try:
        inode = index.stat().st_ino
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if len(words) == 8 and words[1:4:2] == ["POSIX", "WRITE"] and int(words[4]) > 0:
            last = WRITE_LOCK_BYTE if words[7] == "EOF" else int(words[7])
            is_ours = words[5].rpartition(":")[2] == str(inode)
            if is_ours and int(words[6]) <= WRITE_LOCK_BYTE <= last:
                return int(words[4])
    return None


def _is_stopped(pid: int) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return fields.rpartition(")")[2].split()[0] in ("T", "t")


def _filesystem(place: Path) -> str | None:
    """Return the kind of the file system that the deepest mount point above a place has."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    above = {str(folder) for folder in (place.resolve(), *place.resolve().parents)}
    found: tuple[int, str | None] = (-1, None)
    for line in lines:
        before, _, after = line.partition(" - ")
        mount = before.split()[4].replace("\\040", " ")
        if mount in above and len(mount) >= found[0]:
            found = (len(mount), after.split()[0])
    return found[1]
