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
)
