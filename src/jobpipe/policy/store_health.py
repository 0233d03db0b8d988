"""Judges the condition of a store itself: its file or its server, its clock, its sessions. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobpipe.model.condition import FileFacts, OldSnapshot, ServerFacts
from jobpipe.policy.duration import SECOND_US
from jobpipe.policy.finding import MIB, Finding, error, names, number, ok, size, span, warning

SOUND_LIBRARY = (3, 51, 3)
"""The first SQLite in which two connections may reset the log at once."""

LARGE_LOG = 64 * MIB
LITTLE_DISK = 256 * MIB
NETWORK_FILESYSTEMS = {
    "9p",
    "afs",
    "ceph",
    "cifs",
    "fuse.ceph",
    "fuse.glusterfs",
    "fuse.sshfs",
    "glusterfs",
    "gpfs",
    "lustre",
    "nfs",
    "nfs4",
    "ocfs2",
    "smb2",
    "smb3",
    "smbfs",
}

MOST_SKEW_US = SECOND_US
OLD_SNAPSHOT_US = 60 * SECOND_US
FAR_BEHIND = 100_000
"""Transactions begun since, which make a holder an old one when its age is not to be seen."""

FEW_CONNECTIONS = 10


def judge_file(path: str, facts: FileFacts) -> Iterator[Finding]:
    """Judge a database file."""
    if not facts.exists:
        yield ok("store", f"SQLite {facts.library}: {path} does not exist yet; first use makes it.")
    else:
        sizes = f"{size(facts.size)}, log {size(facts.log_size)}, {size(facts.free)} free on disk"
        yield ok("store", f"SQLite {facts.library} on {path}: {sizes}.")
    if _version(facts.library) < SOUND_LIBRARY:
        yield warning(
            "sqlite_wal_reset",
            f"SQLite {facts.library} can damage a file when two programs checkpoint it at once (the"
            " WAL-reset bug); Jobpipe lets one process at a time do so, other programs do not.",
            "Use a Python with SQLite 3.51.3 or newer, or let no other program write this file.",
        )
    if facts.filesystem in NETWORK_FILESYSTEMS:
        yield error(
            "network_filesystem",
            f"{path} stands on a network file system ({facts.filesystem}), where SQLite's locks and"
            " shared memory do not hold between machines.",
            "Move the file to a local disk, or use PostgreSQL (JOBPIPE_URL).",
        )
    if facts.lock is not None:
        yield _judge_lock(path, facts)
    if facts.log_size > LARGE_LOG:
        yield warning(
            "large_log",
            f"The log {path}-wal has grown to {size(facts.log_size)}: a long reader keeps it from"
            " being written back, or nobody who writes is alive.",
            "End the program that keeps a transaction open on this file; a worker then shrinks it.",
        )
    if facts.free < LITTLE_DISK:
        yield warning(
            "little_disk",
            f"The disk of {path} has {size(facts.free)} left.",
            "Free space: a full disk refuses every new job.",
        )


def _judge_lock(path: str, facts: FileFacts) -> Finding:
    lock = facts.lock
    assert lock is not None
    who = "some process" if lock.pid is None else f"process {lock.pid}"
    stopped = ", which is stopped," if lock.stopped else ""
    cure = "Find the program that keeps a transaction open on this file and end it."
    if lock.pid is not None:
        cure = f"Let it commit, or end it (kill {lock.pid})."
        if lock.stopped:  # SIGTERM would wait until it goes on
            cure = f"Continue it (kill -CONT {lock.pid}), or end it (kill -KILL {lock.pid})."
    return error(
        "write_lock_held",
        f"The write lock of {path} was not free for {lock.waited_seconds:g} s: {who}{stopped} holds"
        " it, and meanwhile nobody can enqueue, claim or finish.",
        cure,
    )


def judge_server(place: str, facts: ServerFacts) -> Iterator[Finding]:
    """Judge a server's settings and connections."""
    room = facts.max_connections - facts.reserved_connections
    used = facts.used_connections
    yield ok("store", f"PostgreSQL {facts.version} at {place}: {used} of {room} connections used.")
    if not facts.autovacuum:
        yield error(
            "autovacuum_off",
            "Autovacuum is switched off on the server, so that dead rows pile up for ever.",
            "ALTER SYSTEM SET autovacuum = on, then pg_reload_conf().",
        )
    if not facts.fsync:
        yield error(
            "fsync_off",
            "The server runs with fsync off: a crash of its machine can lose or damage anything.",
            "ALTER SYSTEM SET fsync = on, then pg_reload_conf().",
        )
    if facts.synchronous_commit == "off":
        yield warning(
            "commits_not_synced",
            "synchronous_commit is off: jobs that were acknowledged in the last moments before a"
            " crash of the server are lost.",
            "ALTER ROLE ... SET synchronous_commit = on for the user of JOBPIPE_URL.",
        )
    if room - used < FEW_CONNECTIONS:
        yield warning(
            "few_connections",
            f"{number(max(0, room - used), 'connection')} left: {used} of {room} are used"
            f" (max_connections {facts.max_connections}, {facts.reserved_connections} reserved).",
            "Raise max_connections, or put a pooler in front (JOBPIPE_POOLER).",
        )
    if not facts.sees_all_sessions:
        yield warning(
            "not_all_seen",
            "This user may not see what other users' sessions do, nor since when.",
            "GRANT pg_read_all_stats TO the user of JOBPIPE_URL.",
        )


def judge_snapshots(holders: Sequence[OldSnapshot]) -> Iterator[Finding]:
    """Judge who keeps dead rows from being removed."""
    for holder in holders:
        old = holder.age_us is not None and holder.age_us > OLD_SNAPSHOT_US
        if not old and not (holder.age_us is None and holder.behind > FAR_BEHIND):
            continue
        since = "" if holder.age_us is None else f"for {span(holder.age_us)}, "
        yield warning(
            "pinned_snapshot",
            f"{_holder(holder)} has kept the server from removing dead rows {since}"
            f"{number(holder.behind, 'transaction')} long.",
            _release(holder),
        )


def _holder(holder: OldSnapshot) -> str:
    if holder.kind == "prepared":
        return f"The prepared transaction {holder.name!r} of {holder.owner}"
    if holder.kind == "slot":
        return f"The replication slot {holder.name!r}"
    label = f" ({holder.name})" if holder.name else ""
    owner = f" of {holder.owner}" if holder.owner else ""
    return f"The session {holder.pid}{label}{owner}"


def _release(holder: OldSnapshot) -> str:
    name = holder.name.replace("'", "''")
    if holder.kind == "prepared":
        return f"COMMIT PREPARED '{name}' or ROLLBACK PREPARED '{name}'."
    if holder.kind == "slot":
        return f"Start its consumer again, or drop it: pg_drop_replication_slot('{name}')."
    return f"End its transaction, or that session: pg_terminate_backend({holder.pid})."


def judge_tables(unvacuumed: Sequence[str]) -> Iterator[Finding]:
    """Judge the tables on which autovacuum is switched off."""
    if unvacuumed:
        yield error(
            "autovacuum_off",
            f"Autovacuum is switched off for {names(unvacuumed)}, where dead rows pile up.",
            "ALTER TABLE ... RESET (autovacuum_enabled).",
        )


def judge_clock(skew_us: int) -> Iterator[Finding]:
    """Judge by how much the store's clock is ahead of this machine's (negative: behind)."""
    if abs(skew_us) > MOST_SKEW_US:
        side = "ahead of" if skew_us > 0 else "behind"
        yield warning(
            "clock_skew",
            f"The server's clock is {span(abs(skew_us))} {side} this machine's. Leases and due"
            " times follow the server's; times in logs do not agree.",
            "Let both follow one time service (NTP).",
        )


def judge_pooler(pooler: str, can_listen: bool) -> Iterator[Finding]:
    """Judge how workers hear of new jobs."""
    if pooler != "none" and not can_listen:
        yield warning(
            "no_listen_url",
            f"JOBPIPE_POOLER={pooler} is set without JOBPIPE_LISTEN_URL: workers hear of new jobs"
            " only when they poll.",
            "Set JOBPIPE_LISTEN_URL to a URL that leads to the server itself.",
        )


def judge_schema(current: int, known: int, faults: Sequence[str] = ()) -> Iterator[Finding]:
    """Judge how far the schema is, and whether it is whole."""
    if current > known:
        yield error(
            "schema_newer",
            f"The schema has version {current}, and this Jobpipe knows {known} only.",
            "Install the Jobpipe version that made this schema, or a newer one.",
        )
    elif current == 0:
        yield warning(
            "schema_missing",
            "There is no schema of Jobpipe in this store yet.",
            "The first use makes it, or: jobpipe db migrate",
        )
    elif current < known:
        yield error(
            "schema_old",
            f"The schema has version {current}, and this Jobpipe needs {known}.",
            "jobpipe db migrate",
        )
    elif faults:
        yield error(
            "schema_damaged",
            f"The schema is not as it was made: {'; '.join(faults)}.",
            "Restore it from a backup, or make what is missing anew: jobpipe db sql prints all.",
        )
    else:
        yield ok("schema", f"The schema has version {current}, which is the newest known.")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
