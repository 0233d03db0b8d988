"""The peers on PostgreSQL, each at the best settings its documents name."""

from __future__ import annotations

from bench.harness.system import System

VERBS = frozenset({"fill", "enqueue.async", "pace", "feed", "work", "left"})
TASKS = frozenset({"noop", "kib", "flaky", "stamp"})

SYSTEMS = (
    System(
        name="pgqueuer",
        title="PgQueuer",
        store="postgresql",
        package="pgqueuer",
        settings=(
            "asyncpg, uvloop, batch_size 1,000, all else as it comes; bulk by chunks of 5,000;"
            " keeps no results"
        ),
        abilities=VERBS | TASKS | {"enqueue.sync", "noop_sync"},
        keeps_history=False,
        durable=True,
    ),
    System(
        name="graphile_worker",
        title="Graphile Worker",
        store="postgresql",
        package="graphile-worker",
        settings=(
            "the settings of its page on performance: 24 concurrent jobs, localQueue.size 500,"
            " completeJobBatchDelay and failJobBatchDelay 0; bulk by its function add_jobs in"
            " chunks of 5,000; keeps no results; the first retry comes 2.7 s later"
        ),
        abilities=VERBS | TASKS,
        keeps_history=False,
        durable=True,
        language="node",
    ),
    System(
        name="awa",
        title="Awa",
        store="postgresql",
        package="awa-pg",
        settings=(
            "queue storage, 256 workers, all else as it comes; bulk by COPY in chunks of 5,000;"
            " keeps no results"
        ),
        abilities=VERBS | TASKS | {"enqueue.sync", "noop_sync"},
        keeps_history=True,
        durable=True,
        rounds=2,
    ),
    System(
        name="oban",
        title="Oban for Python",
        store="postgresql",
        package="oban",
        settings=(
            "open source edition, uvloop, orjson, limit 200, all else as it comes; its bulk call"
            " sends one statement a job; kib keeps its result"
        ),
        abilities=VERBS | TASKS | {"noop_sync"},
        keeps_history=True,
        durable=True,
        python="3.12",
        rounds=2,
    ),
    System(
        name="pg_boss",
        title="pg-boss",
        store="postgresql",
        package="pg-boss",
        settings=(
            "batchSize 2,000 every 0.5 s (its least), which bounds its rate; bulk in chunks of"
            " 5,000; keeps no results of jobs in batches"
        ),
        abilities=VERBS | TASKS,
        keeps_history=True,
        durable=True,
        language="node",
        rounds=1,
    ),
    System(
        name="chancy",
        title="Chancy",
        store="postgresql",
        package="chancy",
        settings=(
            "Async executor, concurrency 2,000 (threads: 10), eager polling, polling interval 1 s,"
            " log level WARNING; keeps no results"
        ),
        abilities=VERBS | TASKS | {"enqueue.sync", "noop_sync"},
        keeps_history=True,
        durable=True,
        rounds=1,
    ),
    System(
        name="procrastinate",
        title="Procrastinate",
        store="postgresql",
        package="procrastinate",
        settings="concurrency 20, all else as it comes; keeps no results",
        abilities=VERBS | TASKS | {"enqueue.sync", "noop_sync"},
        keeps_history=True,
        durable=True,
        rounds=1,
    ),
    System(
        name="dbos",
        title="DBOS",
        store="postgresql",
        package="dbos",
        settings=(
            "one queue, polled every 0.1 s, log level WARNING; no bulk call: 1,000 jobs in one"
            " transaction of the caller; retries are of a step"
        ),
        abilities=VERBS | TASKS | {"enqueue.sync", "noop_sync"},
        keeps_history=True,
        durable=True,
        rounds=1,
    ),
)
