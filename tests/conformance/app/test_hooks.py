"""Around every attempt: lifespans, middleware, hooks of outcomes, dependencies, threads below."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from jobpipe import (
    AsyncCallNext,
    CallNext,
    Cancel,
    Fail,
    Jobpipe,
    Retry,
    RunningJob,
    Snooze,
    current_job,
)
from jobpipe.errors import ConfigError, JobpipeError
from tests.conformance.app.site import ENOUGH_SECONDS, Site
from tests.conformance.waiting import until

COLOUR: ContextVar[str] = ContextVar("colour", default="none")


def both_tasks(jp: Jobpipe, said: Callable[[str], object]) -> list[Any]:
    """A task in a thread and one on the loop, both saying that they run."""

    @jp.task(name="threaded")
    def threaded(n: int) -> int:
        said("task")
        return n

    @jp.task(name="awaited")
    async def awaited(n: int) -> int:
        await asyncio.sleep(0)
        said("task")
        return n

    return [threaded, awaited]


# Lifespans


def test_a_lifespan_spans_the_jobs_of_a_worker(site: Site, jp: Jobpipe) -> None:
    said: list[str] = []

    @jp.lifespan
    async def first() -> AsyncIterator[None]:
        await asyncio.sleep(0)
        said.append("first up")
        yield
        said.append("first down")

    @jp.lifespan
    def second() -> Iterator[None]:
        said.append("second up")
        yield
        said.append("second down")

    jobs = [site.enqueue(task, 1) for task in both_tasks(jp, said.append)]
    site.drain(jp)
    assert [site.result(job) for job in jobs] == [1, 1]
    assert said == ["first up", "second up", "task", "task", "second down", "first down"]


def test_a_blocking_lifespan_keeps_its_thread(site: Site, jp: Jobpipe) -> None:
    threads: list[int] = []

    @jp.lifespan
    def span() -> Iterator[None]:
        threads.append(threading.get_ident())
        yield
        threads.append(threading.get_ident())

    site.drain(jp)
    assert threads[0] == threads[1]


def test_a_lifespan_is_entered_once_though_the_lease_is_lost(site: Site, jp: Jobpipe) -> None:
    said: list[str] = []

    @jp.lifespan
    async def span() -> AsyncIterator[None]:
        said.append("up")
        yield
        said.append("down")

    (threaded, _) = both_tasks(jp, said.append)
    with site.running(jp, lease_seconds=1):
        site.result(site.enqueue(threaded, 1))
        site.place.sql("UPDATE {p}worker SET ended_at = 1, lease_until = 0")
        lost = [worker.id for worker in site.do(jp, "workers")]
        until(lambda: [worker.id for worker in site.do(jp, "workers")] > lost)
        site.result(site.enqueue(threaded, 2))
    assert said == ["up", "task", "task", "down"]


def test_a_set_up_that_raises_keeps_the_worker_from_beginning(site: Site, jp: Jobpipe) -> None:
    said: list[str] = []

    @jp.lifespan
    async def first() -> AsyncIterator[None]:
        yield
        said.append("first down")

    @jp.lifespan
    def second() -> Iterator[None]:
        raise OSError("the printer is away")
        yield

    (threaded, _) = both_tasks(jp, said.append)
    job = site.enqueue(threaded, 1)
    with pytest.raises(JobpipeError, match=r"second failed: OSError: the printer is away"):
        site.drain(jp)
    assert said == ["first down"]
    assert (site.seen(job).state, site.seen(job).attempt) == ("queued", 0)


def test_a_tear_down_that_raises_is_told_and_stops_nothing(
    site: Site, jp: Jobpipe, caplog: pytest.LogCaptureFixture
) -> None:
    said: list[str] = []

    @jp.lifespan
    async def first() -> AsyncIterator[None]:
        yield
        said.append("first down")

    @jp.lifespan
    async def second() -> AsyncIterator[None]:
        yield
        raise OSError("the printer is away")

    site.drain(jp)
    assert said == ["first down"]
    assert "second failed: OSError: the printer is away" in caplog.text


@pytest.mark.parametrize(
    "wrong", [5, print, lambda: None, lambda job: None], ids=["5", "print", "plain", "argument"]
)
def test_what_cannot_be_a_lifespan_is_refused(jp: Jobpipe, wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"lifespan .* is refused"):
        jp.lifespan(wrong)


# Middleware


def test_middleware_of_either_kind_surrounds_tasks_of_either_kind(site: Site, jp: Jobpipe) -> None:
    """From outside: awaited, blocking, blocking, awaited; then the task, then all the way back."""
    said: dict[int, list[str]] = {}

    def say(what: str) -> None:
        said.setdefault(current_job().id, []).append(f"{what} {COLOUR.get()}")

    @jp.middleware
    async def red(job: RunningJob, call_next: AsyncCallNext) -> object:
        assert job is current_job()
        COLOUR.set("red")
        say("red")
        value = await call_next()
        say("red again")
        return [value]

    @jp.middleware
    def green(job: RunningJob, call_next: CallNext) -> object:
        assert job is current_job()
        say("green")
        COLOUR.set("green")
        value = call_next()
        say("green again")
        return [*value, "green"]

    @jp.middleware
    def blue(job: RunningJob, call_next: CallNext) -> object:
        COLOUR.set("blue")
        return [*call_next(), "blue"]

    @jp.middleware
    async def white(job: RunningJob, call_next: AsyncCallNext) -> object:
        say("white")
        COLOUR.set("white")
        return [await call_next(), "white"]

    jobs = [site.enqueue(task, n) for n, task in enumerate(both_tasks(jp, say))]
    site.drain(jp)
    way = ["red red", "green red", "white blue", "task white", "green again blue", "red again red"]
    for n, job in enumerate(jobs):
        assert site.result(job) == [[n, "white", "blue", "green"]]
        assert said[job.id] == way
    assert COLOUR.get() == "none"


Body = Callable[[RunningJob, object, Exception | None], object]


@pytest.fixture(params=["blocking", "awaited"])
def around(request: pytest.FixtureRequest, jp: Jobpipe) -> Callable[[Body], None]:
    """Declares middleware of either kind that ends like ``body`` of (job, value, error)."""

    def declare(body: Body) -> None:
        async def awaited(job: RunningJob, call_next: AsyncCallNext) -> object:
            try:
                value = await call_next()
            except Exception as error:
                return body(job, None, error)
            return body(job, value, None)

        def blocking(job: RunningJob, call_next: CallNext) -> object:
            try:
                value = call_next()
            except Exception as error:
                return body(job, None, error)
            return body(job, value, None)

        jp.middleware(awaited if request.param == "awaited" else blocking)

    return declare


def test_middleware_may_swallow_an_exception(
    site: Site, jp: Jobpipe, around: Callable[[Body], None]
) -> None:
    around(lambda job, value, error: f"mended {error}")

    @jp.task
    def threaded() -> None:
        raise ValueError("a")

    @jp.task
    async def awaited() -> None:
        raise ValueError("b")

    jobs = [site.enqueue(task) for task in (threaded, awaited)]
    site.drain(jp)
    assert [site.result(job) for job in jobs] == ["mended a", "mended b"]


@pytest.mark.parametrize("kind", ["blocking", "awaited"])
def test_middleware_may_leave_out_the_task(site: Site, jp: Jobpipe, kind: str) -> None:
    said: list[str] = []

    async def awaited(job: RunningJob, call_next: AsyncCallNext) -> str:
        return f"no {job.task}"

    def blocking(job: RunningJob, call_next: CallNext) -> str:
        return f"no {job.task}"

    jp.middleware(awaited if kind == "awaited" else blocking)
    jobs = [site.enqueue(task, 1) for task in both_tasks(jp, said.append)]
    site.drain(jp)
    assert [site.result(job) for job in jobs] == ["no threaded", "no awaited"]
    assert said == []


@pytest.mark.parametrize(
    "word, state, outcomes",
    [
        (Retry("again", after=0), "failed", ["failed", "failed", "failed"]),
        (Snooze(3600), "scheduled", ["snoozed"]),
        (Fail("no"), "failed", ["failed"]),
        (Cancel("no"), "cancelled", ["cancelled"]),
        (ValueError("no"), "failed", ["failed", "failed", "failed"]),
    ],
    ids=["Retry", "Snooze", "Fail", "Cancel", "ValueError"],
)
def test_what_middleware_raises_is_judged_like_the_tasks_own(
    site: Site,
    jp: Jobpipe,
    around: Callable[[Body], None],
    word: Exception,
    state: str,
    outcomes: list[str],
) -> None:
    def body(job: RunningJob, value: object, error: Exception | None) -> None:
        raise word

    around(body)
    jobs = [site.enqueue(task, 1) for task in both_tasks(jp, print)]
    site.drain(jp)
    for job in jobs:
        assert site.seen(job).state == state
        assert site.outcomes(jp, job) == outcomes


@pytest.mark.parametrize("reason", ["cancel", "timeout"])
def test_a_cancel_and_a_time_out_reach_a_coroutine_below_a_thread(
    site: Site, jp: Jobpipe, reason: str
) -> None:
    began = threading.Event()
    said: list[str] = []

    @jp.middleware
    def blocking(job: RunningJob, call_next: CallNext) -> object:
        try:
            return call_next()
        except asyncio.CancelledError:
            said.append("middleware")
            raise

    @jp.task(max_attempts=1, timeout=0.2 if reason == "timeout" else None)
    async def slow() -> None:
        began.set()
        try:
            await asyncio.sleep(ENOUGH_SECONDS)
        except asyncio.CancelledError:
            said.append("task")
            raise

    with site.running(jp):
        job = site.enqueue(slow)
        assert began.wait(ENOUGH_SECONDS)
        if reason == "cancel":
            site.do(job, "cancel")
        with pytest.raises(JobpipeError, match="timed_out" if reason == "timeout" else "cancelled"):
            site.result(job)
    assert said == ["task", "middleware"]


@pytest.mark.parametrize(
    "wrong", [5, lambda: None, lambda job: None, lambda job, a, b: None], ids=["5", "0", "1", "3"]
)
def test_what_cannot_be_middleware_is_refused(jp: Jobpipe, wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"allowed: a function of \(job, call_next\)"):
        jp.middleware(wrong)
