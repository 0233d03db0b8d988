"""Dramatiq on Redis or RabbitMQ: one worker in this process, with its threads.

Its tasks are plain functions, which is what it is for; there is no bulk call.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))
THREADS = 8
LOOK_MS = 10
os.environ.setdefault("dramatiq_queue_prefetch", "100")  # read when it is imported

import dramatiq
import kit
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

ON_REDIS = kit.given("variant") == "redis"
URL = kit.given("url")

broker: Any = RedisBroker(url=URL) if ON_REDIS else RabbitmqBroker(url=URL)
if ON_REDIS:
    broker.add_middleware(Results(backend=RedisBackend(url=URL)))
dramatiq.set_broker(broker)


@dramatiq.actor
def noop(_: int) -> None:
    kit.tally().count()


@dramatiq.actor(**({"store_results": True} if ON_REDIS else {}))
def kib(text: str) -> str:
    kit.tally().count()
    return text


@dramatiq.actor(min_backoff=1, max_backoff=1)
def flaky(n: int) -> None:
    if kit.fails_now(n):
        raise RuntimeError("the first attempt fails")
    kit.tally().count()


@dramatiq.actor
def stamp(at_ns: int) -> None:
    kit.tally().stamp(at_ns)


TASKS = {"noop": noop, "noop_sync": noop, "kib": kib, "flaky": flaky, "stamp": stamp}


def prepare(**_: Any) -> None:
    left()  # RabbitMQ makes the queues


def fill(jobs: int, task: str, **_: Any) -> dict[str, float]:
    send = TASKS[task].send
    seconds = kit.from_threads(1, jobs, lambda n: send(kit.argument(task, n)))
    broker.close()
    return {"seconds": seconds}


def enqueue(jobs: int, callers: int, **_: Any) -> dict[str, float]:
    seconds = kit.from_threads(callers, jobs, noop.send)
    broker.close()
    return {"seconds": seconds}


async def pace(jobs: int, gap_ms: float, **_: Any) -> dict[str, float]:
    async def call(at_ns: int) -> None:
        stamp.send(at_ns)

    return {"seconds": await kit.paced(jobs, gap_ms, call)}


async def feed(task: str, seconds: float, backlog: int, tally: str, **_: Any) -> dict[str, int]:
    async def call(numbers: range) -> None:
        for n in numbers:
            TASKS[task].send(kit.argument(task, n))

    return {"jobs": await kit.fed(tally, seconds, backlog, call)}


def work(**_: Any) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    worker = dramatiq.Worker(broker, worker_threads=THREADS, worker_timeout=LOOK_MS)
    worker.start()
    signal.sigwait({signal.SIGTERM})
    worker.stop()
    broker.close()


def left(**_: Any) -> dict[str, int]:
    if ON_REDIS:
        return {"left": broker.do_qsize("default")}
    ready, delayed, _dead = broker.get_queue_message_counts("default")
    return {"left": ready + delayed}


kit.run(prepare=prepare, fill=fill, enqueue=enqueue, pace=pace, feed=feed, work=work, left=left)
