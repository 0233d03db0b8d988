"""Jobpipe on both stores, and the raw floors below it."""

from __future__ import annotations

from bench.harness.system import System

VERBS = frozenset({"fill", "enqueue.sync", "enqueue.async", "pace", "feed", "work", "left"})
TASKS = frozenset({"noop", "noop_sync", "kib", "flaky", "stamp"})

SYSTEMS = (
    System(
        name="jobpipe",
        title="Jobpipe, PostgreSQL",
        store="postgresql",
        package="jobpipe",
        settings="jobpipe worker -c 100 (threads: -c 10), log level warning, all else as it comes",
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
)
