"""The condition a store is in: facts as they were found, without a judgement."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from jobpipe.model.state import Reason


class Head(Struct, frozen=True):
    """The front of a queue."""

    queue: str
    waited_us: int | None
    """How long the first job that may run now waits; None when there is none."""
    late_us: int | None
    """How long ago its first timed job fell due (negative: it will); None when there is none."""


class Parked(Struct, frozen=True):
    """Parked jobs of one task."""

    task: str
    reason: Reason
    jobs: int


class TaskRuns(Struct, frozen=True):
    """How long a sample of the jobs of one task took."""

    task: str
    runs: int
    running: int
    mean_us: int
    longest_us: int


class TaskFailures(Struct, frozen=True):
    """What failed of one task in a sample of the newest."""

    task: str
    failed: int
    retrying: int


class WriteLock(Struct, frozen=True):
    """Somebody kept the write lock of a database file for as long as was waited for it."""

    waited_seconds: float
    pid: int | None
    """Who, when the system tells."""
    stopped: bool
    """That process is stopped (by a signal or a debugger) and will not let go."""


class FileFacts(Struct, frozen=True, kw_only=True):
    """A database file, as seen from outside."""

    library: str
    """The version of SQLite in this process."""
    durability: str
    exists: bool
    size: int
    log_size: int
    free: int
    """Bytes left on its disk."""
    filesystem: str | None
    """The kind of file system it stands on; None when the system does not tell."""
    lock: WriteLock | None


class ServerFacts(Struct, frozen=True, kw_only=True):
    """A database server's settings and connections."""

    version: str
    max_connections: int
    reserved_connections: int
    used_connections: int
    fsync: bool
    synchronous_commit: str
    autovacuum: bool
    sees_all_sessions: bool
    """This user may see what other users' sessions do."""


class OldSnapshot(Struct, frozen=True, kw_only=True):
    """Who keeps a server from removing dead rows."""

    kind: Literal["session", "prepared", "slot"]
    pid: int | None
    name: str
    owner: str
    age_us: int | None
    """Since when; None when this user may not see it."""
    behind: int
    """Transactions begun since."""
