"""Time-outs, cancels and stops: how a run ends before its own end."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from jobpipe import Cancel, Jobpipe, Reason, State, current_job
from jobpipe.errors import InvalidTransition, JobCancelled, JobFailed
from tests.conformance.app.site import ENOUGH_SECONDS, Site
from tests.waiting import until


class Gate:
    """Threads wait here until the test lets them go; each says that it came."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def wait(self) -> None:
        self.reached.set()
        assert self._open.wait(ENOUGH_SECONDS)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate() -> Gate:
    return Gate()


def test_a_coroutine_that_takes_too_long_is_cancelled(site: Site, jp: Jobpipe) -> None:
    ends: list[str] = []

    @jp.task(timeout=0.05, max_attempts=2, retry_delays=[0])
    async def slow() -> None:
        try:
            await asyncio.sleep(ENOUGH_SECONDS)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    with site.running(jp):
        job = site.enqueue(slow)
        with pytest.raises(JobFailed, match="timed_out"):
            site.result(job)
    assert ends == ["cancelled", "cancelled"]
    record = site.seen(job)
    assert (record.reason, record.attempt) == (Reason.TIMED_OUT, 2)
    assert job.error is not None
    assert "its time-out of 0.05 s" in job.error["message"]
    assert site.outcomes(jp, job) == ["timed_out", "timed_out"]


def test_a_coroutine_that_swallows_its_time_out_has_timed_out(site: Site, jp: Jobpipe) -> None:
    @jp.task(timeout=0.05, max_attempts=1)
    async def stubborn() -> str:
        try:
            await asyncio.sleep(ENOUGH_SECONDS)
        except asyncio.CancelledError:
            return "done after all"
        return "never"

    with site.running(jp):
        job = site.enqueue(stubborn)
        with pytest.raises(JobFailed, match="timed_out"):
            site.result(job)


def test_what_ends_in_time_does_not_time_out(site: Site, jp: Jobpipe) -> None:
    @jp.task(timeout=30)
    async def quick() -> str:
        await asyncio.sleep(0)
        return "quick"

    job = site.enqueue(quick)
    site.drain(jp)
    assert site.result(job) == "quick"


def test_a_late_thread_is_refused_and_keeps_its_slot(site: Site, jp: Jobpipe, gate: Gate) -> None:
    @jp.task(timeout=0.1, max_attempts=1)
    def hang() -> str:
        gate.wait()
        return "too late"

    @jp.task
    def other(n: int) -> int:
        return n

    with site.running(jp, concurrency=3):
        job = site.enqueue(hang)
        with pytest.raises(JobFailed, match="timed_out"):
            site.result(job)
        assert gate.reached.is_set()
        before = site.seen(job)
        assert [site.result(site.enqueue(other, n)) for n in range(5)] == list(range(5))
        gate.open()
        assert site.result(site.enqueue(other, 7)) == 7
    assert site.seen(job) == before
    assert (before.state, before.reason, before.result) == (State.FAILED, Reason.TIMED_OUT, None)


def test_a_waiting_job_is_cancelled_at_once(site: Site, jp: Jobpipe) -> None:
    ran: list[int] = []

    @jp.task
    def never() -> None:
        ran.append(1)

    job = site.enqueue(never)
    site.do(job, "cancel")
    assert job.state is State.CANCELLED
    site.drain(jp)
    assert ran == []
    with pytest.raises(JobCancelled):
        site.result(job)
    with pytest.raises(InvalidTransition):
        site.do(job, "cancel")


def test_a_running_coroutine_is_cancelled_within_a_second(site: Site, jp: Jobpipe) -> None:
    started, ended = threading.Event(), threading.Event()

    @jp.task
    async def long() -> None:
        started.set()
        try:
            await asyncio.sleep(ENOUGH_SECONDS)
        finally:
            ended.set()

    with site.running(jp):
        job = site.enqueue(long)
        assert started.wait(ENOUGH_SECONDS)
        began = time.monotonic()
        site.do(job, "cancel")
        assert job.state is State.RUNNING
        assert job.record is not None
        assert job.record.cancel_requested_at is not None
        with pytest.raises(JobCancelled):
            site.result(job)
        assert time.monotonic() - began < 5
    assert ended.is_set()
    assert site.outcomes(jp, job) == ["cancelled"]


def test_a_running_thread_is_asked_and_may_end_itself(site: Site, jp: Jobpipe) -> None:
    started = threading.Event()

    @jp.task
    def polite() -> None:
        started.set()
        until(current_job().cancel_requested)
        raise Cancel("as you wish")

    with site.running(jp):
        job = site.enqueue(polite)
        assert started.wait(ENOUGH_SECONDS)
        site.do(job, "cancel")
        with pytest.raises(JobCancelled):
            site.result(job)


def test_a_run_that_ends_well_after_a_cancel_request_succeeded(site: Site, jp: Jobpipe) -> None:
    started = threading.Event()

    @jp.task
    def careful() -> str:
        started.set()
        until(current_job().cancel_requested)
        return "finished what it began"

    with site.running(jp):
        job = site.enqueue(careful)
        assert started.wait(ENOUGH_SECONDS)
        site.do(job, "cancel")
        assert site.result(job) == "finished what it began"
    record = site.seen(job)
    assert record.state is State.SUCCEEDED
    assert record.cancel_requested_at is not None


@pytest.mark.parametrize("kind", ["thread", "coroutine"])
def test_a_failure_after_a_cancel_request_ends_cancelled(
    site: Site, jp: Jobpipe, kind: str
) -> None:
    started = threading.Event()

    def fail_when_asked() -> None:
        started.set()
        until(current_job().cancel_requested)
        raise ValueError("stopped half-way")

    async def fail_when_cancelled() -> None:
        started.set()
        try:
            await asyncio.sleep(ENOUGH_SECONDS)
        except asyncio.CancelledError:
            raise ValueError("stopped half-way") from None

    task = jp.task(name="fail", retry_delays=[3600])(
        fail_when_asked if kind == "thread" else fail_when_cancelled
    )
    with site.running(jp):
        job = site.enqueue(task)
        assert started.wait(ENOUGH_SECONDS)
        site.do(job, "cancel")
        with pytest.raises(JobCancelled):
            site.result(job)
    assert site.seen(job).reason is Reason.BY_USER


def test_a_stopping_worker_lets_running_jobs_end(site: Site, jp: Jobpipe, gate: Gate) -> None:
    @jp.task
    def slow() -> str:
        gate.wait()
        return "ended"

    with site.running(jp):
        job = site.enqueue(slow)
        assert gate.reached.wait(ENOUGH_SECONDS)
        threading.Timer(0.1, gate.open).start()
    assert site.seen(job).state is State.SUCCEEDED


def test_a_stopping_worker_gives_back_uncharged_what_does_not_end(
    site: Site, jp: Jobpipe, gate: Gate
) -> None:
    stopped: list[str] = []

    @jp.task
    def hang() -> None:
        gate.wait()

    @jp.task
    async def wait() -> None:
        try:
            await asyncio.sleep(ENOUGH_SECONDS)
        except asyncio.CancelledError:
            stopped.append("coroutine")
            raise

    with site.running(jp, concurrency=4, shutdown_seconds=0.2):
        hanging, waiting = site.enqueue(hang), site.enqueue(wait)
        assert gate.reached.wait(ENOUGH_SECONDS)
        until(lambda: site.seen(waiting).state is State.RUNNING)
        until(lambda: site.do(jp, "counts")["running"] == 2)
    assert stopped == ["coroutine"]
    for job in (hanging, waiting):
        record = site.seen(job)
        assert (record.state, record.attempt, record.losses) == (State.QUEUED, 0, 0)
        assert site.attempts(jp, job) == []
    gate.open()
    assert site.do(jp, "workers") == []
    (again,) = [site.seen(hanging)]
    assert again.state is State.QUEUED


def test_jobs_beyond_the_slots_are_left_to_others_on_a_stop(
    site: Site, jp: Jobpipe, gate: Gate
) -> None:
    @jp.task
    def hang() -> None:
        gate.wait()

    with site.running(jp, concurrency=1, shutdown_seconds=5):
        jobs = [site.enqueue(hang) for _ in range(3)]
        assert gate.reached.wait(ENOUGH_SECONDS)
        threading.Timer(0.1, gate.open).start()
    states = sorted(site.seen(job).state for job in jobs)
    assert State.RUNNING not in states
    assert State.SUCCEEDED in states
    assert {site.seen(job).attempt for job in jobs if job.state is State.QUEUED} <= {0}
