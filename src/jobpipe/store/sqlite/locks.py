"""Locks of the operating system on files beside the database.

A worker holds one for as long as it lives, so that its death is seen at the next look; a
checkpoint holds one, so that only one process at a time resets the log (SQLite before 3.51.3 can
damage a database when two do). The kernel frees a lock when its process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class FileLock:
    """An exclusive lock on a file; held from ``acquire`` to ``release`` or the process's end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Take the lock if nobody has it; return whether we hold it now."""
        if self._descriptor is not None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def rename(self, path: Path) -> None:
        """Give the file its name, under which it is locked from the first moment on."""
        self._path.rename(path)
        self._path = path

    def remove(self) -> None:
        """Release the lock and delete its file."""
        self._path.unlink(missing_ok=True)
        self.release()


def checkpoint_lock(database: str) -> FileLock:
    return FileLock(Path(f"{database}-lock"))


class WorkerLocks:
    """The liveness locks of one database: one file a worker, in a folder beside it."""

    def __init__(self, database: str) -> None:
        self._folder = Path(f"{database}-workers")

    def hold(self, worker_id: int) -> FileLock:
        """Take and return the lock of a worker of this process."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        # Whoever saw the file before it is locked would take its worker for dead.
        lock = FileLock(self._folder / f"{worker_id}.{os.getpid()}")
        lock.acquire()
        lock.rename(self._folder / f"{worker_id}.lock")
        return lock

    def is_dead(self, worker_id: int) -> bool:
        """Tell whether the worker's lock file is there and nobody holds it."""
        path = self._folder / f"{worker_id}.lock"
        if not path.exists():
            return False
        lock = FileLock(path)
        if not lock.acquire():
            return False
        lock.release()
        return True

    def forget(self, worker_id: int) -> None:
        (self._folder / f"{worker_id}.lock").unlink(missing_ok=True)
