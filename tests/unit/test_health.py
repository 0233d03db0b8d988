"""What the facts about a store and its work are judged to be, one by one, by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from jobpipe.model.condition import FileFacts, Head, OldSnapshot, Parked, ServerFacts, WriteLock
from jobpipe.model.state import Reason, State
from jobpipe.model.worker import WorkerRecord
from jobpipe.policy import store_health, work_health
from jobpipe.policy.finding import Finding, Severity, names, number, size, span
from jobpipe.policy.work_health import Work

SECOND = 1_000_000
NOW = 1_000_000 * SECOND
OK, WARNING, ERROR = Severity

FILE = FileFacts(
    library="3.51.3",
    durability="FULL",
    exists=True,
    size=2048,
    log_size=0,
    free=10**10,
    filesystem="ext4",
    lock=None,
)
SERVER = ServerFacts(
    version="15.4",
    max_connections=100,
    reserved_connections=3,
    used_connections=12,
    fsync=True,
    synchronous_commit="on",
    autovacuum=True,
    sees_all_sessions=True,
)


def changed(facts: Any, **fields: Any) -> Any:
    given = {name: getattr(facts, name) for name in facts.__struct_fields__}
    return type(facts)(**{**given, **fields})


def told(findings: Iterable[Finding]) -> list[tuple[str, Severity]]:
    return [(finding.code, finding.severity) for finding in findings]


def worker(**fields: Any) -> WorkerRecord:
    about: dict[str, Any] = {
        "id": 1,
        "name": "w",
        "host": "h",
        "pid": 7,
        "pid_started": "1",
        "slots": 4,
        "queues": '["*"]',
        "started_at": NOW,
        "seen_at": NOW - 5 * SECOND,
        "lease_until": NOW + 10 * SECOND,
        "expired": False,
    }
    return WorkerRecord(**{**about, **fields})


def work(**fields: Any) -> Work:
    about: dict[str, Any] = {
        "now": NOW,
        "workers": [worker()],
        "paused": frozenset(),
        "heads": [],
        "queued": {},
        "bound": 10_000,
        "parked": [],
    }
    return Work(**{**about, **fields})


def test_a_sound_file() -> None:
    (finding,) = store_health.judge_file("jobs.db", FILE)
    assert finding.severity is OK
    assert finding.what == "SQLite 3.51.3 on jobs.db: 2 KiB, log 0 B, 9.313 GiB free on disk."
    (finding,) = store_health.judge_file("jobs.db", changed(FILE, exists=False))
    assert finding.what == "SQLite 3.51.3: jobs.db does not exist yet; first use makes it."


@pytest.mark.parametrize(
    "fields, code, severity",
    [
        ({"library": "3.51.2"}, "sqlite_wal_reset", WARNING),
        ({"filesystem": "nfs4"}, "network_filesystem", ERROR),
        ({"log_size": 65 * 2**20}, "large_log", WARNING),
        ({"free": 2**20}, "little_disk", WARNING),
        ({"lock": WriteLock(1.0, None, False)}, "write_lock_held", ERROR),
    ],
)
def test_what_is_wrong_with_a_file(fields: dict[str, Any], code: str, severity: Severity) -> None:
    first, found = store_health.judge_file("jobs.db", changed(FILE, **fields))
    assert told([first, found]) == [("store", OK), (code, severity)]
    assert found.fix


def test_who_holds_the_write_lock_is_named() -> None:
    *_, found = store_health.judge_file("f", changed(FILE, lock=WriteLock(1.0, 42, True)))
    assert "process 42, which is stopped, holds it" in found.what
    assert found.fix == "Continue it (kill -CONT 42), or end it (kill -KILL 42)."
    *_, found = store_health.judge_file("f", changed(FILE, lock=WriteLock(1.0, 42, False)))
    assert "process 42 holds it" in found.what
    assert found.fix == "Let it commit, or end it (kill 42)."


def test_a_sound_server() -> None:
    (finding,) = store_health.judge_server("db", SERVER)
    assert finding.what == "PostgreSQL 15.4 at db: 12 of 97 connections used."


@pytest.mark.parametrize(
    "fields, code, severity",
    [
        ({"autovacuum": False}, "autovacuum_off", ERROR),
        ({"fsync": False}, "fsync_off", ERROR),
        ({"synchronous_commit": "off"}, "commits_not_synced", WARNING),
        ({"used_connections": 90}, "few_connections", WARNING),
        ({"sees_all_sessions": False}, "not_all_seen", WARNING),
    ],
)
def test_what_is_wrong_with_a_server(fields: dict[str, Any], code: str, severity: Severity) -> None:
    first, found = store_health.judge_server("db", changed(SERVER, **fields))
    assert told([first, found]) == [("store", OK), (code, severity)]
    assert found.fix


def test_connections_left_are_counted() -> None:
    _, found = store_health.judge_server("db", changed(SERVER, used_connections=96))
    assert found.what == "1 connection left: 96 of 97 are used (max_connections 100, 3 reserved)."


def holder(**fields: Any) -> OldSnapshot:
    about: dict[str, Any] = {"kind": "session", "pid": 9, "name": "psql", "owner": "ann"}
    return OldSnapshot(**{**about, "age_us": 3600 * SECOND, "behind": 5, **fields})


def test_old_holders_of_snapshots_are_told_and_young_ones_are_not() -> None:
    young = [holder(age_us=59 * SECOND), holder(age_us=None, behind=100_000)]
    assert list(store_health.judge_snapshots(young)) == []
    (found,) = store_health.judge_snapshots([holder()])
    assert told([found]) == [("pinned_snapshot", WARNING)]
    assert found.what == (
        "The session 9 (psql) of ann has kept the server from removing dead rows for 1h,"
        " 5 transactions long."
    )
    assert found.fix == "End its transaction, or that session: pg_terminate_backend(9)."
    (found,) = store_health.judge_snapshots([holder(kind="prepared", pid=None, name="o'k")])
    assert found.what.startswith('The prepared transaction "o\'k" of ann has kept')
    assert found.fix == "COMMIT PREPARED 'o''k' or ROLLBACK PREPARED 'o''k'."
    slot = holder(kind="slot", pid=None, name="s", owner="", age_us=None, behind=100_001)
    (found,) = store_health.judge_snapshots([slot])
    assert found.what.startswith("The replication slot 's' has kept")
    assert "pg_drop_replication_slot('s')" in found.fix


def test_tables_without_autovacuum() -> None:
    assert list(store_health.judge_tables([])) == []
    (found,) = store_health.judge_tables(["job", "worker"])
    assert told([found]) == [("autovacuum_off", ERROR)]
    assert found.what == "Autovacuum is switched off for job, worker, where dead rows pile up."


@pytest.mark.parametrize(
    "skew, side", [(90 * SECOND, "1m30s ahead of"), (-2 * SECOND, "2s behind")]
)
def test_clocks_that_differ(skew: int, side: str) -> None:
    (found,) = store_health.judge_clock(skew)
    assert told([found]) == [("clock_skew", WARNING)]
    assert f"The server's clock is {side} this machine's." in found.what
    assert list(store_health.judge_clock(SECOND)) == []


def test_a_pooler_without_a_way_to_listen() -> None:
    assert told(store_health.judge_pooler("transaction", False)) == [("no_listen_url", WARNING)]
    assert told(store_health.judge_pooler("transaction", True)) == []
    assert told(store_health.judge_pooler("none", False)) == []


@pytest.mark.parametrize(
    "current, code, severity",
    [
        (2, "schema", OK),
        (0, "schema_missing", WARNING),
        (1, "schema_old", ERROR),
        (3, "schema_newer", ERROR),
    ],
)
def test_schemas(current: int, code: str, severity: Severity) -> None:
    assert told(store_health.judge_schema(current, 2)) == [(code, severity)]


def test_a_schema_that_is_not_whole() -> None:
    faults = ["the table gate is missing", "the index job_due is missing"]
    (found,) = store_health.judge_schema(2, 2, faults)
    assert told([found]) == [("schema_damaged", ERROR)]
    assert found.what == (
        "The schema is not as it was made: the table gate is missing; the index job_due is missing."
    )


def test_workers_that_live() -> None:
    two = [worker(), worker(id=2, slots=1)]
    (found,) = work_health.judge_workers(work(workers=two), {2: 1, 9: 5})
    assert found == Finding("workers", OK, "2 workers, 5 slots, 1 in use.")


def test_a_worker_that_was_lost_is_told_when_nobody_swept_it() -> None:
    lost = worker(seen_at=NOW - 21 * SECOND, lease_until=NOW - 6 * SECOND, expired=True)
    (found,) = work_health.judge_workers(work(workers=[lost]), {1: 3})
    assert told([found]) == [("worker_lost", WARNING)]
    assert found.what == (
        "The worker w (process 7) was last seen 21s ago, its lease has ended, and 3 jobs that it"
        " held were not taken back."
    )
    just = worker(seen_at=NOW - 19 * SECOND, lease_until=NOW - 4 * SECOND, expired=True)
    assert told(work_health.judge_workers(work(workers=[just]), {})) == []


def test_a_worker_that_is_late_to_renew_its_lease() -> None:
    late = worker(seen_at=NOW - 12 * SECOND, lease_until=NOW + 3 * SECOND)
    findings = list(work_health.judge_workers(work(workers=[late]), {}))
    assert told(findings) == [("workers", OK), ("worker_silent", WARNING)]
    assert findings[1].what == "The worker w (process 7) has not renewed its lease for 12s."


def test_jobs_without_any_worker() -> None:
    heads = [Head("a", 3 * SECOND, None), Head("b", 90 * SECOND, None)]
    waiting = work(workers=[], queued={"a": 1, "b": 2}, heads=heads)
    (found,) = work_health.judge_workers(waiting, {})
    assert told([found]) == [("no_workers", ERROR)]
    assert found.what == "3 jobs may run now, the first waits for 1m30s, and no worker is alive."
    assert told(work_health.judge_workers(work(workers=[]), {})) == []
    assert told(work_health.judge_queues(waiting)) == []


def test_queues_that_nobody_takes_or_that_are_paused() -> None:
    some = worker(queues='["mail:2", "default"]')
    heads = [Head("reports", 2 * SECOND, None)]
    waiting = work(
        workers=[some],
        queued={"mail": 1, "default": 1, "reports": 10_000, "late": 1},
        heads=heads,
        paused=frozenset({"late"}),
    )
    late, reports = work_health.judge_queues(waiting)
    assert told([late, reports]) == [("queue_paused", WARNING), ("queue_untaken", ERROR)]
    assert reports.what == (
        "No living worker takes the queue reports, in which wait 10000+ jobs, the first for 2s."
    )
    assert reports.fix == "Start a worker for it: jobpipe worker APP -q reports"
    assert late.fix == "jobpipe queue resume late"
    assert told(work_health.judge_queues(work(queued={"any": 1}))) == []


def test_jobs_that_nobody_queues_when_they_fall_due() -> None:
    heads = [Head("a", None, 5 * SECOND), Head("b", None, 61 * SECOND), Head("c", None, -SECOND)]
    (found,) = work_health.judge_queues(work(heads=heads))
    assert told([found]) == [("overdue", ERROR)]
    assert found.what == ("Jobs of b are overdue by 1m1s: nobody queues what has fallen due.")
    assert told(work_health.judge_queues(work(heads=heads, workers=[]))) == []


def test_parked_jobs_are_told_by_reason() -> None:
    parked = [
        Parked("a", Reason.UNKNOWN_TASK, 2),
        Parked("b", Reason.UNKNOWN_TASK, 1),
        Parked("c", Reason.UNDECODABLE, 1),
    ]
    unknown, undecodable = work_health.judge_parked(parked, 10_000)
    assert told([unknown, undecodable]) == [("unknown_task", WARNING), ("undecodable", WARNING)]
    assert unknown.what == "3 jobs of a, b parked: no worker that met them knows their tasks."


def test_tasks_that_lack_something() -> None:
    missing, endless = work_health.judge_tasks(["a", "b"], ["a"], {"a": 1, "z": 4})
    assert told([missing, endless]) == [("task_missing", WARNING), ("no_timeout", WARNING)]
    assert missing.what == "4 jobs of z wait, and this application does not declare these tasks."
    assert endless.what == (
        "1 task without a time-out (a): an attempt that hangs keeps its slot for ever."
    )
    assert told(work_health.judge_tasks(["a"], [], {"a": 1})) == []


def test_ended_jobs_that_nobody_prunes() -> None:
    day = 86_400 * SECOND
    keep = {State.SUCCEEDED: 7 * day, State.FAILED: None}
    ended = {State.SUCCEEDED: 9 * day, State.FAILED: 900 * day}
    (found,) = work_health.judge_pruning(ended, keep)
    assert found.what == ("Jobs that succeeded 9d ago are still there, though the retention is 7d.")
    assert told(work_health.judge_pruning({State.SUCCEEDED: 8 * day}, keep)) == []


def test_figures_in_words() -> None:
    assert [span(us) for us in (0, 40_000, 250_000, 9_950_000, 61_400_000)] == [
        "0s",
        "0s",
        "0.2s",
        "10s",
        "1m1s",
    ]
    assert [size(n) for n in (0, 1023, 1024, 1536, 2**20, 5 * 2**30)] == [
        "0 B",
        "1023 B",
        "1 KiB",
        "1.5 KiB",
        "1 MiB",
        "5 GiB",
    ]
    assert (number(1, "job"), number(10, "job", 10)) == ("1 job", "10+ jobs")
    assert names(list("abcdef")) == "a, b, c, d, e and 1 more"
