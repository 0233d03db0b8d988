"""Enqueueing through an application: batches, keys, bounds, callers' connections."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import psycopg
import pytest

from jobpipe import Jobpipe, State, Tasks
from jobpipe.errors import (
    ConfigError,
    DuplicateKey,
    InvalidArguments,
    JobNotFound,
    QueueFull,
    UnknownTask,
)
from tests.conformance.app.site import Site
from tests.conformance.drivers import DRIVERS, Place, file_place
from tests.conformance.loop import LoopThread


def total(site: Site, jp: Jobpipe) -> int:
    return sum(site.do(jp, "counts").values())


def test_options_of_task_and_request(site: Site, jp: Jobpipe) -> None:
    @jp.task(queue_name="mail", priority=5, max_attempts=7, timeout=30, name="welcome")
    def welcome(n: int) -> None:
        return None

    plain = site.seen(site.enqueue(welcome, 1))
    assert (plain.task, plain.queue, plain.priority) == ("welcome", "mail", 5)
    assert (plain.max_attempts, plain.timeout_us, plain.expires_at) == (7, 30_000_000, None)
    start = datetime.now(UTC) + timedelta(days=1)
    using = welcome.using(
        queue_name="other",
        priority=-5,
        max_attempts=1,
        timeout=timedelta(seconds=1),
        run_after=start,
        expires_in=60,
        idempotency_key="k",
    )
    other = site.seen(site.enqueue(using, n=2))
    assert (other.queue, other.priority, other.max_attempts) == ("other", -5, 1)
    assert (other.timeout_us, other.idempotency_key) == (1_000_000, "k")
    assert (other.run_at, other.state) == (int(start.timestamp() * 1e6), State.SCHEDULED)
    assert other.expires_at == other.created_at + 60_000_000


def test_many_are_stored_in_order_all_or_none(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def work(n: int) -> int:
        return n

    ids = site.do(jp, "enqueue_many", [work.call(n) for n in range(100)])
    assert ids == sorted(set(ids))
    assert len(ids) == 100
    assert site.do(jp, "enqueue_many", []) == []
    site.enqueue(work.using(idempotency_key="k"), 1)
    before = total(site, jp)
    with pytest.raises(DuplicateKey):
        site.do(jp, "enqueue_many", [work.call(1), work.using(idempotency_key="k").call(2)])
    with pytest.raises(InvalidArguments):
        site.do(jp, "enqueue_many", (work.call(n) for n in (1, "two")))
    with pytest.raises(InvalidArguments, match="takes calls of tasks, not 1"):
        site.do(jp, "enqueue_many", [work.call(1), work(1)])
    assert total(site, jp) == before
    site.drain(jp)
    assert [site.do(site.do(jp, "job", id), "result") for id in ids] == list(range(100))


def test_one_key_from_eight_threads_makes_one_job(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def pay(amount: int) -> int:
        return amount

    order = pay.using(idempotency_key="order-7")
    with ThreadPoolExecutor(8) as threads:
        jobs = list(threads.map(lambda _: site.enqueue(order, 5), range(24)))
    assert len({job.id for job in jobs}) == 1
    assert total(site, jp) == 1
    with pytest.raises(DuplicateKey, match="order-7"):
        site.enqueue(order, 6)
    site.drain(jp)
    assert site.result(site.enqueue(order, 5)) == 5
    assert total(site, jp) == 1


def test_a_bounded_queue_is_full_at_its_bound(site: Site) -> None:
    jp = site.jobpipe(max_queued=2)

    @jp.task
    def work() -> None:
        return None

    for _ in range(2):
        site.enqueue(work)
    with pytest.raises(QueueFull):
        site.enqueue(work)
    site.enqueue(work.using(queue_name="other"))
    site.drain(jp)
    site.enqueue(work)


def test_included_tasks_are_enqueued_through_their_application(site: Site) -> None:
    later = Tasks()

    @later.task
    def quadruple(n: int) -> int:
        return 4 * n

    with pytest.raises(ConfigError, match="belongs to no application"):
        site.enqueue(quadruple, 1)
    jp = site.jobpipe()
    jp.include(later)
    job = site.enqueue(quadruple, 2)
    site.drain(jp)
    assert site.result(job) == 8


def test_jobs_are_enqueued_by_name_with_plain_json(site: Site, jp: Jobpipe) -> None:
    @jp.task(name="add")
    def add(a: int, b: int = 1) -> int:
        return a + b

    jobs = [
        site.do(jp, "enqueue_named", "add", {"a": 1, "b": 2}),
        site.do(jp, "enqueue_named", "add", [5], priority=3),
    ]
    site.drain(jp)
    assert [site.result(job) for job in jobs] == [3, 6]
    with pytest.raises(UnknownTask, match="did you mean add"):
        site.do(jp, "enqueue_named", "addd", {})
    for wrong in ({"a": "x"}, {"z": 1}, {}, [1, 2, 3]):
        with pytest.raises(InvalidArguments):
            site.do(jp, "enqueue_named", "add", wrong)
    assert total(site, jp) == 2


def test_an_unknown_job_is_not_found(site: Site, jp: Jobpipe) -> None:
    for verb in ("job", "cancel", "rerun"):
        with pytest.raises(JobNotFound, match="no job 12345"):
            site.do(jp, verb, 12345)


def connections(place: Place) -> list[str]:
    return ["sqlite3"] if place.is_file else ["psycopg", "psycopg async", "asyncpg"]


async def finish_on(kind: str, url: str, work: Callable[[Any], Awaitable[Any]], end: str) -> Any:
    """Do the work in a transaction of an async connection, then commit or roll back."""
    if kind == "asyncpg":
        connection = await asyncpg.connect(url)
        try:
            transaction = connection.transaction()
            await transaction.start()
            done = await work(connection)
            await getattr(transaction, end)()
            return done
        finally:
            await connection.close()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        done = await work(connection)
        await getattr(connection, end)()
        return done


def on_a_connection(
    site: Site, loop: LoopThread, kind: str, place: Place, task: Any, end: str
) -> Any:
    """Enqueue with ``on=`` in a transaction that ends as said."""
    if kind in ("sqlite3", "psycopg"):
        connect: Any = sqlite3.connect if kind == "sqlite3" else psycopg.connect
        with closing(connect(place.direct)) as connection:
            job = task.using(on=connection).enqueue(4)
            getattr(connection, end)()
            return job
    return loop.run(finish_on(kind, place.direct, lambda on: task.using(on=on).aenqueue(4), end))


@pytest.mark.parametrize("site", DRIVERS, indirect=True)
def test_a_job_stands_or_falls_with_the_callers_transaction(
    site: Site, jp: Jobpipe, loop_thread: LoopThread
) -> None:
    @jp.task
    def work(n: int) -> int:
        return n

    site.do(jp, "counts")
    for kind in connections(site.place):
        before = total(site, jp)
        on_a_connection(site, loop_thread, kind, site.place, work, "rollback")
        assert total(site, jp) == before
        job = on_a_connection(site, loop_thread, kind, site.place, work, "commit")
        assert total(site, jp) == before + 1
        with site.running(jp):
            assert site.result(job) == 4


@pytest.mark.parametrize("site", DRIVERS, indirect=True)
def test_a_connection_to_another_store_is_refused(
    site: Site, jp: Jobpipe, loop_thread: LoopThread, tmp_path: Any
) -> None:
    @jp.task
    def work(n: int) -> int:
        return n

    site.do(jp, "counts")
    if site.place.is_file:
        elsewhere = file_place(tmp_path)
        for kind in connections(site.place):
            with pytest.raises(ConfigError, match="another database"):
                on_a_connection(site, loop_thread, kind, elsewhere, work, "commit")
    else:
        with (
            closing(sqlite3.connect(":memory:")) as connection,
            pytest.raises(ConfigError, match="sqlite3"),
        ):
            work.using(on=connection).enqueue(1)
    with pytest.raises(ConfigError):
        work.using(on=object()).enqueue(1)
    assert total(site, jp) == 0


@pytest.mark.parametrize("site", DRIVERS, indirect=True)
def test_a_batch_goes_into_the_callers_transaction(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def work(n: int) -> int:
        return n

    jp.counts()
    connect: Any = sqlite3.connect if site.place.is_file else psycopg.connect
    with closing(connect(site.place.direct)) as connection:
        jp.enqueue_many([work.call(n) for n in range(3)], on=connection)
        connection.rollback()
        assert total(site, jp) == 0
        ids = jp.enqueue_many([work.call(n) for n in range(3)], on=connection)
        jp.enqueue_many([work.using(idempotency_key="k").call(1)], on=connection)
        connection.commit()
    assert len(ids) == 3
    assert total(site, jp) == 4
