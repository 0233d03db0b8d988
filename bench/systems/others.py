"""The peers on SQLite, Redis and RabbitMQ, each at the best settings its documents name."""

from __future__ import annotations

from bench.harness.system import System

VERBS = frozenset({"fill", "enqueue.sync", "pace", "feed", "work", "left"})
AWAITED = VERBS - {"enqueue.sync"} | {"enqueue.async"}
TASKS = frozenset({"noop", "kib", "flaky", "stamp"})

SYSTEMS = (
    System(
        name="huey",
        title="huey, SQLite",
        store="sqlite",
        package="huey",
        settings=(
            "SqliteHuey, WAL, fsync=False, 4 threads looking every 10 ms; no bulk call;"
            " a job is deleted when it is taken, so a crash loses it"
        ),
        abilities=VERBS | TASKS | {"noop_sync"},
        keeps_history=False,
        durable=False,
    ),
    System(
        name="litequeue",
        title="litequeue, SQLite",
        store="sqlite",
        package="litequeue",
        settings=(
            "WAL, synchronous=NORMAL, 256 MB cache, its loop of pop and done, a look every 5 ms;"
            " bulk in transactions of 1,000; no results, no count of attempts"
        ),
        abilities=VERBS | TASKS | {"noop_sync"},
        keeps_history=True,
        durable=False,
        rounds=1,
    ),
    System(
        name="dramatiq_redis",
        folder="dramatiq",
        variant="redis",
        title="dramatiq, Redis",
        store="redis",
        package="dramatiq",
        settings=(
            "8 threads, prefetch 100, idle look every 10 ms, hiredis, plain functions; results of"
            " the 1 KiB jobs in Redis; no bulk call; Redis keeps nothing on disk"
        ),
        abilities=VERBS | TASKS | {"noop_sync"},
        keeps_history=False,
        durable=False,
        rounds=1,
    ),
    System(
        name="dramatiq_rabbitmq",
        folder="dramatiq",
        variant="rabbitmq",
        title="dramatiq, RabbitMQ",
        store="rabbitmq",
        package="dramatiq",
        settings=(
            "8 threads, prefetch 100, plain functions; durable queues, but no wait for the broker's"
            " confirmation (its default); no results, no bulk call"
        ),
        abilities=VERBS | TASKS | {"noop_sync"},
        keeps_history=False,
        durable=False,
        rounds=1,
    ),
    System(
        name="celery_redis",
        folder="celery",
        variant="redis",
        title="celery, Redis",
        store="redis",
        package="celery",
        settings=(
            "pool solo (half the CPU of prefork), prefetch 64, results only of the 1 KiB jobs, no"
            " gossip, mingle and heartbeat events, hiredis; confirms before it runs (its default),"
            " so a crash loses jobs; Redis keeps nothing on disk"
        ),
        abilities=VERBS | TASKS | {"noop_sync"},
        keeps_history=False,
        durable=False,
        rounds=1,
    ),
    System(
        name="celery_rabbitmq",
        folder="celery",
        variant="rabbitmq",
        title="celery, RabbitMQ",
        store="rabbitmq",
        package="celery",
        settings=(
            "pool solo (half the CPU of prefork), prefetch 64, no results, no gossip, mingle and"
            " heartbeat events; confirms before it runs, and publishes without a wait for the"
            " broker's confirmation (its defaults)"
        ),
        abilities=VERBS | TASKS | {"noop_sync"},
        keeps_history=False,
        durable=False,
        rounds=1,
    ),
    System(
        name="taskiq_redis",
        folder="taskiq",
        variant="redis",
        title="taskiq, Redis",
        store="redis",
        package="taskiq",
        settings=(
            "RedisStreamBroker, 100 at a time, prefetch 100, no parsing of arguments, uvloop,"
            " hiredis; results only of the 1 KiB jobs; bulk is 100 calls side by side; Redis keeps"
            " nothing on disk"
        ),
        abilities=AWAITED | TASKS | {"noop_sync"},
        keeps_history=False,
        durable=False,
        rounds=1,
    ),
    System(
        name="taskiq_rabbitmq",
        folder="taskiq",
        variant="rabbitmq",
        title="taskiq, RabbitMQ",
        store="rabbitmq",
        package="taskiq",
        settings=(
            "classic durable queue, every message confirmed by the broker, 100 at a time, prefetch"
            " 100, no parsing of arguments, uvloop; no results; bulk is 100 calls side by side"
        ),
        abilities=AWAITED | TASKS | {"noop_sync"},
        keeps_history=False,
        durable=True,
        rounds=1,
    ),
    System(
        name="arq",
        title="arq, Redis",
        store="redis",
        package="arq",
        settings=(
            "100 at a time, idle look every 10 ms (default 0.5 s), uvloop, hiredis; results only"
            " of the 1 KiB jobs; bulk is 100 calls side by side; Redis keeps nothing on disk"
        ),
        abilities=AWAITED | TASKS | {"noop_sync"},
        keeps_history=False,
        durable=False,
        rounds=1,
    ),
    System(
        name="saq",
        title="saq, Redis",
        store="redis",
        package="saq",
        settings=(
            "50 at a time (at 100 it runs out of connections), uvloop, hiredis; results only of"
            " the 1 KiB jobs; bulk is 50 calls side by side; Redis keeps nothing on disk"
        ),
        abilities=AWAITED | TASKS | {"noop_sync"},
        keeps_history=False,
        durable=False,
        rounds=1,
    ),
    System(
        name="rq",
        title="rq, Redis",
        store="redis",
        package="rq",
        settings=(
            "SimpleWorker, which does not fork for each job, hiredis; bulk by enqueue_many of"
            " 1,000; results kept for 500 s; Redis keeps nothing on disk"
        ),
        abilities=VERBS | TASKS | {"noop_sync"},
        keeps_history=False,
        durable=False,
        rounds=1,
    ),
)
