"""Jobpipe on both stores, and the raw floors below it."""

from __future__ import annotations

from bench.harness.system import System

VERBS = frozenset(
    {"fill", "enqueue.sync", "enqueue.async", "pace", "feed", "work", "left", "processes"}
)
TASKS = frozenset({"noop", "noop_sync", "kib", "flaky", "stamp"})
FLOOR = frozenset({"fill", "enqueue.sync", "feed", "work", "left", "noop"})

SYSTEMS = (
    System(
        name="jobpipe",
        title="Jobpipe, PostgreSQL",
        store="postgresql",
        package="jobpipe",
        settings=(
            "jobpipe worker -c 100 (threads: -c 10), two processes by --processes 2, log level"
            " warning, all else as it comes"
        ),
        abilities=VERBS | TASKS,
        keeps_history=True,
        durable=True,
    ),
    System(
        name="jobpipe_sqlite",
        folder="jobpipe",
        title="Jobpipe, SQLite",
        store="sqlite",
        package="jobpipe",
        settings="the same; synchronous=FULL",
        abilities=VERBS | TASKS,
        keeps_history=True,
        durable=True,
    ),
    System(
        name="floor_postgres",
        venv="jobpipe",
        title="Raw floor, PostgreSQL",
        store="postgresql",
        package="",
        settings="Jobpipe's statements in a bare asyncpg loop: claim 1,000 beside finish 1,000",
        abilities=FLOOR | {"enqueue.async"},
        keeps_history=True,
        durable=True,
    ),
    System(
        name="floor_sqlite",
        venv="jobpipe",
        title="Raw floor, SQLite",
        store="sqlite",
        package="",
        settings="Jobpipe's statements in a bare sqlite3 loop, 1,000 a commit, synchronous=FULL",
        abilities=FLOOR,
        keeps_history=True,
        durable=True,
    ),
)
