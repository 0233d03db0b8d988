"""What went wrong once: each test is named after it."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from jobpipe import Job, Jobpipe, State, failpoint
from jobpipe.model.state import FINAL
from jobpipe.runtime.heartbeat import Heartbeat
from jobpipe.store.ops import worker
from jobpipe.store.postgres.capabilities import CAPABILITIES
from jobpipe.store.sqlite.writer import Writer
from tests.conformance.app.site import ENOUGH_SECONDS, QUICK, Site
from tests.conformance.drivers import DRIVERS, file_place
from tests.conformance.lab import Lab
from tests.waiting import until

WITH_FRONTIER = [driver for driver in DRIVERS if not driver.startswith("sqlite-")]


def heartbeats() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "jobpipe-heartbeat"]


def endless_drain(
    folder: Path,
) -> tuple[Jobpipe, Job[None], Callable[[], Coroutine[Any, Any, asyncio.Task[None]]]]:
    """An application, a job that does not end, and how to begin a drain that runs it."""
    jp = Jobpipe(**{**QUICK, **file_place(folder).settings})
    started = threading.Event()

    @jp.task
    async def endless() -> None:
        started.set()
        await asyncio.sleep(ENOUGH_SECONDS)

    async def begin() -> asyncio.Task[None]:
        drain = asyncio.create_task(jp.adrain())
        await asyncio.to_thread(started.wait, ENOUGH_SECONDS)
        return drain

    return jp, endless.enqueue(), begin


@pytest.mark.parametrize("site", WITH_FRONTIER, indirect=True)
def test_a_late_commit_was_never_seen_by_a_worker_with_slots_for_each_queue(site: Site) -> None:
    """Only the first queue of such a worker was ever walked from its beginning."""
    jp = site.jobpipe()

    @jp.task(queue_name="reports")
    def report(n: int) -> int:
        return n

    @jp.task(queue_name="mail")
    def mail() -> None:
        """Does nothing."""

    jp.migrate()
    with site.running(jp, queues="mail:2,reports:2"), psycopg.connect(site.place.direct) as slow:
        mail.enqueue().result(timeout=ENOUGH_SECONDS)
        late = report.using(on=slow).enqueue(1)
        for n in range(3):
            assert report.enqueue(n).result(timeout=ENOUGH_SECONDS) == n
        # Twice the lag of the lagged walk passes before the commit.
        threading.Event().wait(2.2)
        slow.commit()
        assert jp.job(late.id).result(timeout=5) == 1


def test_a_queue_with_slots_of_its_own_got_them_once_for_each_priority(
    site: Site, jp: Jobpipe
) -> None:
    running, most, lock = 0, 0, threading.Lock()
    go = threading.Event()

    @jp.task(queue_name="mail")
    def send() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        go.wait(0.3)
        with lock:
            running -= 1

    jobs = [send.using(priority=p).enqueue() for p in (0, 1, 2, 3)]
    with site.running(jp, queues="mail:1"):
        for job in jobs:
            site.result(job)
    assert most == 1


def test_a_claim_that_its_worker_did_not_hear_of_before_its_end_was_lost(lab: Lab) -> None:
    """A claim waited for SQLite's lock; the end of the worker deleted the record of it."""
    id = lab.new()
    gone = lab.worker()
    (job,) = lab.claim(gone)
    lab.run(worker.end_worker(gone))
    other = lab.worker("other")
    assert lab.run(worker.control(other)).has_orphans
    (swept,) = lab.run(worker.sweep([]))
    assert [back.id for back in swept.queued] == [id] == [job.id]
    assert not lab.run(worker.control(other)).has_orphans


def test_a_commit_whose_checkpoint_failed_was_reported_as_refused() -> None:
    def refuse(_connection: sqlite3.Connection) -> None:
        raise PermissionError("jobs.db-lock")

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)

    writer = Writer(":memory:", connect, lambda _connection, _operation: "stored", refuse)
    assert writer.submit(worker.end_worker(1)).result(ENOUGH_SECONDS) == "stored"
    assert writer.submit(worker.end_worker(1)).result(ENOUGH_SECONDS) == "stored"
    writer.close()


def test_an_unknown_error_ended_the_heartbeat_for_ever() -> None:
    renewed = threading.Event()

    class Moody:
        """Fails once with an error that nobody translated."""

        capabilities = CAPABILITIES
        asked = 0

        def run(self, _operation: Any) -> bool:
            self.asked += 1
            if self.asked == 1:
                raise sqlite3.OperationalError("locking protocol")
            renewed.set()
            return True

        def close(self) -> None:
            """Has nothing to close."""

    heartbeat = Heartbeat(
        Moody(), 1, "w", 0.4, lost=renewed.clear, doubtful=renewed.clear, frontier=dict
    )
    heartbeat.start()
    assert renewed.wait(5)
    heartbeat.stop()


def test_a_cancelled_drain_went_on_working(tmp_path: Path) -> None:
    jp, job, begin = endless_drain(tmp_path)

    async def main() -> None:
        drain = await begin()
        drain.cancel()
        with pytest.raises(asyncio.CancelledError):
            await drain
        assert await jp.ajob_view(job.id)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others
        await jp.aclose()

    asyncio.run(main())
    until(lambda: not heartbeats())
    assert jp.job(job.id).state is State.QUEUED
    jp.close()


def test_a_drain_that_failed_kept_its_lease_for_ever(tmp_path: Path) -> None:
    place = file_place(tmp_path)
    jp = Jobpipe(**{**QUICK, **place.settings})

    @jp.task
    def later() -> None:
        """Does nothing."""

    later.using(run_after=timedelta(seconds=0.05)).enqueue()
    threading.Event().wait(0.1)
    failpoint.arm("promote.before=raise")
    try:
        with pytest.raises(failpoint.FailpointError):
            jp.drain()
    finally:
        failpoint.arm("")
    until(lambda: not heartbeats(), 3)
    assert jp.workers() == []
    jp.close()


def test_a_task_that_cancelled_itself_took_its_slot_along(site: Site, jp: Jobpipe) -> None:
    @jp.task(max_attempts=1)
    async def suicidal(wait: bool) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        if wait:
            await asyncio.sleep(0)

    @jp.task(max_attempts=1)
    async def innocent() -> str:
        await asyncio.sleep(0)
        return "ran"

    with site.running(jp, concurrency=1):
        for wait in (True, False):
            first = site.enqueue(suicidal, wait)
            second = site.enqueue(innocent)
            assert site.result(second, timeout=5) == "ran"
            until(lambda job=first: site.seen(job).state in FINAL)


def test_jobs_in_a_new_memory_store_were_in_a_lane_that_nobody_knew() -> None:
    jp = Jobpipe("sqlite:///:memory:")

    @jp.task
    def add(a: int, b: int) -> int:
        return a + b

    for n in range(2):
        job = add.enqueue(n, 1)
        jp.drain()
        assert job.result(timeout=1) == n + 1
        jp.close()


def test_each_event_loop_that_enqueued_was_kept_for_ever(tmp_path: Path) -> None:
    place = file_place(tmp_path)
    jp = Jobpipe(**{**QUICK, **place.settings})

    @jp.task
    def note(n: int) -> None:
        """Does nothing."""

    note.enqueue(0)
    for n in range(5):
        asyncio.run(_enqueue(note.aenqueue, n))
    gc.collect()
    assert len(jp._access.store("")._gatherer._loops) <= 1  # asyncio itself keeps the last one
    jp.close()


async def _enqueue(aenqueue: Callable[[int], Any], n: int) -> None:
    await aenqueue(n)


def test_a_resumed_queue_waited_for_the_next_poll(site: Site) -> None:
    jp = site.jobpipe(poll_seconds=30)

    @jp.task(queue_name="mail")
    def send() -> str:
        return "sent"

    jp.migrate()
    site.do(jp, "pause_queue", "mail")
    job = site.enqueue(send)
    with site.running(jp):
        site.do(site.jobpipe(), "resume_queue", "mail")
        assert site.result(job, timeout=5) == "sent"


def test_a_loop_that_ended_below_a_drain_left_its_lease_behind(tmp_path: Path) -> None:
    jp, job, begin = endless_drain(tmp_path)

    async def main() -> None:
        drain = await begin()
        assert not drain.done()  # asyncio.run cancels it together with all that it made

    asyncio.run(main())
    until(lambda: not heartbeats())
    assert jp.job(job.id).state is State.QUEUED
    assert jp.workers() == []
    jp.close()
