"""Around every attempt: lifespans, middleware, hooks of outcomes, dependencies, threads below."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest

from jobpipe import (
    AsyncCallNext,
    CallNext,
    Cancel,
    Depends,
    Fail,
    Jobpipe,
    Retry,
    RunningJob,
    Snooze,
    current_job,
)
from jobpipe.errors import JobFailed, JobpipeError
from tests.conformance.app.site import ENOUGH_SECONDS, Site
from tests.waiting import until

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


# Hooks of outcomes


class Heard:
    """What hooks of one name were told, as (hook, job id, about)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, object]] = []

    def blocking(self, name: str) -> Callable[[RunningJob, object], None]:
        def hook(job: RunningJob, about: object) -> None:
            assert current_job() is job
            self.calls.append((name, job.id, about))

        return hook

    def awaited(self, name: str) -> Callable[[RunningJob, object], Any]:
        async def hook(job: RunningJob, about: object) -> None:
            await asyncio.sleep(0)
            assert current_job() is job
            self.calls.append((name, job.id, about))

        return hook

    def everything(self, jp: Jobpipe) -> None:
        jp.on_success(self.awaited("success"))
        jp.on_retry(self.awaited("retry"))
        jp.on_failure(self.awaited("failure"))

    def brief(self) -> list[tuple[str, str]]:
        return [(name, f"{type(about).__name__}: {about}") for name, _, about in self.calls]


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_the_tasks_hooks_come_before_the_applications(
    site: Site, jp: Jobpipe, heard: Heard
) -> None:
    jp.on_success(heard.awaited("common"))
    jp.on_success(heard.blocking("common too"))

    @jp.task(on_success=[heard.blocking("own"), heard.awaited("own too")])
    def threaded() -> list[int]:
        return [1]

    @jp.task(on_success=heard.awaited("own"))
    async def awaited() -> list[int]:
        return [1]

    jobs = [site.enqueue(task) for task in (threaded, awaited)]
    site.drain(jp, concurrency=1)
    first, second = (job.id for job in jobs)
    assert heard.calls == [
        ("own", first, [1]),
        ("own too", first, [1]),
        ("common", first, [1]),
        ("common too", first, [1]),
        ("own", second, [1]),
        ("common", second, [1]),
        ("common too", second, [1]),
    ]


@pytest.mark.parametrize("kind", ["threaded", "awaited"])
def test_each_outcome_has_its_hook(site: Site, jp: Jobpipe, heard: Heard, kind: str) -> None:
    heard.everything(jp)

    def body(mode: str) -> object:
        match mode:
            case "fail":
                raise Fail("hopeless")
            case "retry" if current_job().attempt < 3:
                raise Retry("again", after=0)
            case "broken":
                raise ValueError("no luck")
            case "snooze":
                raise Snooze(3600)
            case "cancel":
                raise Cancel("no")
            case "odd":
                return object()
        return mode

    async def abody(mode: str) -> object:
        return body(mode)

    task = jp.task(name="t")(body if kind == "threaded" else abody)
    expected = {
        "fail": [("failure", "Fail: hopeless")],
        "retry": [("retry", "Retry: again"), ("retry", "Retry: again"), ("success", "str: retry")],
        "broken": [("retry", "ValueError: no luck")] * 2 + [("failure", "ValueError: no luck")],
        "snooze": [],
        "cancel": [],
    }
    for mode, told in expected.items():
        heard.calls.clear()
        site.enqueue(task, mode)
        site.drain(jp)
        assert heard.brief() == told, mode
    heard.calls.clear()
    job = site.enqueue(task, "odd")
    site.drain(jp)
    assert [name for name, _ in heard.brief()] == ["failure"]
    assert site.seen(job).reason == "unstorable"


@pytest.mark.parametrize("kind", ["threaded", "awaited"])
def test_a_time_out_has_its_hooks(site: Site, jp: Jobpipe, heard: Heard, kind: str) -> None:
    heard.everything(jp)
    release = threading.Event()

    @jp.task(timeout=0.1, max_attempts=2)
    def threaded() -> None:
        release.wait(ENOUGH_SECONDS)

    @jp.task(timeout=0.1, max_attempts=2)
    async def awaited() -> None:
        await asyncio.sleep(ENOUGH_SECONDS)

    with site.running(jp):
        job = site.enqueue(threaded if kind == "threaded" else awaited)
        with pytest.raises(JobFailed, match="timed_out"):
            site.result(job)
        release.set()
    told = "TimeoutError: the attempt ran longer than its time-out of 0.1 s"
    assert heard.brief() == [("retry", told), ("failure", told)]


def test_hooks_run_before_the_outcome_is_stored(site: Site, jp: Jobpipe) -> None:
    seen: list[str] = []

    @jp.task(on_success=lambda job, _: seen.append(str(jp.job(job.id).state)))
    def threaded() -> None: ...

    site.enqueue(threaded)
    site.drain(jp)
    assert seen == ["running"]


@pytest.mark.parametrize("kind", ["blocking", "awaited"])
def test_a_hook_that_raises_is_recorded_and_changes_nothing(
    site: Site, jp: Jobpipe, heard: Heard, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def blocking(job: RunningJob, about: object) -> None:
        raise SystemExit("the hook broke")

    async def awaited(job: RunningJob, about: object) -> None:
        raise SystemExit("the hook broke")

    hook = blocking if kind == "blocking" else awaited
    tasks = both_tasks(jp, print)

    @jp.task(max_attempts=1, on_failure=hook)
    def broken() -> None:
        raise ValueError("no luck")

    jp.on_success(hook)
    jp.on_success(heard.blocking("next"))
    jobs = [site.enqueue(task, 1) for task in tasks]
    failed = site.enqueue(broken)
    site.drain(jp)
    assert [site.result(job) for job in jobs] == [1, 1]
    assert sorted(id for _, id, _ in heard.calls) == sorted(job.id for job in jobs)
    assert site.seen(failed).reason == "attempts_exhausted"
    records = [each for each in caplog.records if "the hook broke" in each.getMessage()]
    assert sorted(each.__dict__["jobpipe"]["job"] for each in records) == sorted(
        [job.id for job in jobs] + [failed.id]
    )
    assert all(each.exc_info is not None for each in records)


@pytest.mark.parametrize("kind", ["blocking", "awaited"])
def test_a_hook_that_takes_too_long_is_left(
    site: Site,
    jp: Jobpipe,
    heard: Heard,
    kind: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jobpipe.runtime.hooks.HOOK_SECONDS", 0.05)
    release = threading.Event()

    def blocking(job: RunningJob, about: object) -> None:
        release.wait(ENOUGH_SECONDS)

    async def awaited(job: RunningJob, about: object) -> None:
        await asyncio.sleep(ENOUGH_SECONDS)

    jp.on_success(blocking if kind == "blocking" else awaited)
    jp.on_success(heard.blocking("next"))
    jobs = [site.enqueue(task, 1) for task in both_tasks(jp, print)]
    site.drain(jp)
    release.set()
    assert [site.result(job) for job in jobs] == [1, 1]
    assert len(heard.calls) == 2
    late = "TimeoutError: it ran longer than 0.05 s"
    assert [late in each.getMessage() for each in caplog.records].count(True) == 2


@pytest.mark.parametrize("kind", ["threaded", "awaited"])
def test_neither_a_time_out_nor_a_cancel_ends_a_hook(site: Site, jp: Jobpipe, kind: str) -> None:
    began = threading.Event()
    ended: list[str] = []

    @jp.on_success
    async def slow(job: RunningJob, result: object) -> None:
        began.set()
        while not job.cancel_requested():  # noqa: ASYNC110  # no event tells of it
            await asyncio.sleep(0.01)
        ended.append("in its own time")

    @jp.task(timeout=0.2)
    def threaded() -> int:
        return 1

    @jp.task(timeout=0.2)
    async def awaited() -> int:
        return 1

    with site.running(jp):
        job = site.enqueue(threaded if kind == "threaded" else awaited)
        assert began.wait(ENOUGH_SECONDS)
        threading.Event().wait(0.3)  # the time-out of the task passes
        assert site.seen(job).state == "running"
        site.do(job, "cancel")
        assert site.result(job) == 1
    assert ended == ["in its own time"]


@pytest.mark.parametrize("hook_kind", ["blocking", "awaited"])
@pytest.mark.parametrize("kind", ["threaded", "awaited", "timed out"])
def test_the_end_of_the_grace_ends_a_hook_and_keeps_the_outcome(
    site: Site, jp: Jobpipe, heard: Heard, kind: str, hook_kind: str
) -> None:
    began, release = threading.Event(), threading.Event()

    def blocking(job: RunningJob, about: object) -> None:
        began.set()
        release.wait(ENOUGH_SECONDS)

    async def awaited_hook(job: RunningJob, about: object) -> None:
        began.set()
        await asyncio.sleep(ENOUGH_SECONDS)

    jp.on_success(blocking if hook_kind == "blocking" else awaited_hook)
    jp.on_failure(blocking if hook_kind == "blocking" else awaited_hook)
    jp.on_success(heard.blocking("next"))
    jp.on_failure(heard.blocking("next"))
    threaded, awaited = both_tasks(jp, print)

    @jp.task(timeout=0.05, max_attempts=1)
    def endless(n: int) -> None:
        release.wait(ENOUGH_SECONDS)

    task = {"threaded": threaded, "awaited": awaited, "timed out": endless}[kind]
    with site.running(jp, shutdown_seconds=0.1):
        job = site.enqueue(task, 1)
        assert began.wait(ENOUGH_SECONDS)
    release.set()
    assert heard.calls == [], "the next hook is not begun"
    record = site.seen(job)
    assert (record.state, record.reason, record.attempt) == (
        ("failed", "timed_out", 1) if kind == "timed out" else ("succeeded", None, 1)
    )


# Dependencies


class Session:
    """Something that is opened and closed, and says so."""

    def __init__(self, said: list[str], name: str = "session") -> None:
        self._said, self._name = said, name
        said.append(f"{name} up")

    def close(self, how: str = "") -> None:
        self._said.append(f"{self._name} down{how}")


def test_tasks_of_either_kind_get_what_providers_of_any_kind_give(site: Site, jp: Jobpipe) -> None:
    threads: dict[str, int] = {}

    def here(name: str) -> None:
        threads[name] = threading.get_ident()

    def value() -> str:
        here("value")
        COLOUR.set("of the provider")
        return "value"

    async def coroutine(job: RunningJob, value: str = Depends(value)) -> str:
        await asyncio.sleep(0)
        assert current_job() is job
        return f"coroutine of {value} for {job.task}"

    def generator(coroutine: str = Depends(coroutine)) -> Iterator[str]:
        here("generator")
        yield f"generator of {coroutine}"
        here("generator, down")

    async def async_generator(value: str = Depends(value)) -> AsyncIterator[str]:
        token = COLOUR.set("of the generator")
        yield f"async generator of {value}"
        COLOUR.reset(token)

    @jp.task(name="threaded")
    def threaded(
        n: int, one: str = Depends(generator), *, two: str = Depends(async_generator), m: int = 7
    ) -> list[object]:
        here("task")
        return [n, m, one, two, COLOUR.get()]

    @jp.task(name="awaited")
    async def awaited(
        n: int, one: str = Depends(generator), *, two: str = Depends(async_generator), m: int = 7
    ) -> list[object]:
        here("task")
        await asyncio.sleep(0)
        return [n, m, one, two]

    for task, n in ((threaded, 1), (awaited, 2)):
        threads.clear()
        job = site.enqueue(task, n)
        site.drain(jp)
        kind = "threaded" if task is threaded else "awaited"
        assert site.result(job)[:4] == [
            n,
            7,
            f"generator of coroutine of value for {kind}",
            "async generator of value",
        ]
        assert len(threads) == 4
        assert len(set(threads.values())) == 1, "all in the job's thread, or all on the loop"
        assert site.seen(job).args == f'{{"n":{n}}}'
    assert site.result(site.do(jp, "jobs", task="threaded")[0])[4] == "of the provider"


@pytest.fixture(params=["blocking", "awaited"])
def opened(request: pytest.FixtureRequest) -> tuple[Any, list[str]]:
    """A generator of either kind that opens a session, and what it says."""
    said: list[str] = []

    def blocking() -> Iterator[Session]:
        session = Session(said)
        try:
            yield session
        except Exception as error:
            session.close(f" after {error}")
        else:
            session.close()

    async def awaited() -> AsyncIterator[Session]:
        session = Session(said)
        try:
            yield session
        except Exception as error:
            session.close(f" after {error}")
        else:
            session.close()

    return (blocking if request.param == "blocking" else awaited), said


@pytest.mark.parametrize("kind", ["threaded", "awaited"])
def test_each_attempt_has_one_instance_torn_down_after_it(
    site: Site, jp: Jobpipe, opened: tuple[Any, list[str]], kind: str
) -> None:
    provider, said = opened

    def user(session: Session = Depends(provider)) -> Iterator[Session]:
        said.append("user up")
        yield session
        said.append("user down")

    def body(session: Session, same: Session) -> None:
        assert session is same
        said.append("task")
        if current_job().attempt == 1:
            raise ValueError("no luck")

    @jp.task(retry_delays=[0])
    def threaded(one: Session = Depends(user), two: Session = Depends(provider)) -> None:
        body(one, two)

    @jp.task(retry_delays=[0])
    async def awaited(one: Session = Depends(user), two: Session = Depends(provider)) -> None:
        body(one, two)

    job = site.enqueue(threaded if kind == "threaded" else awaited)
    site.drain(jp)
    assert site.outcomes(jp, job) == ["failed", "succeeded"], "a provider swallows no exception"
    assert said == [
        *("session up", "user up", "task", "session down after no luck"),
        *("session up", "user up", "task", "user down", "session down"),
    ]


@pytest.mark.parametrize("kind", ["threaded", "awaited"])
@pytest.mark.parametrize("when", ["up", "down"])
def test_what_a_provider_raises_is_judged_like_the_tasks_own(
    site: Site, jp: Jobpipe, kind: str, when: str
) -> None:
    def provider() -> Iterator[int]:
        if when == "up":
            raise Fail("no connection")
        yield 1
        raise Fail("the commit failed")

    @jp.task
    def threaded(n: int = Depends(provider)) -> int:
        return n

    @jp.task
    async def awaited(n: int = Depends(provider)) -> int:
        return n

    job = site.enqueue(threaded if kind == "threaded" else awaited)
    site.drain(jp)
    assert site.seen(job).reason == "fatal"
    assert job.error is not None
    assert job.error["message"] == ("no connection" if when == "up" else "the commit failed")


def test_a_lifespan_gives_what_it_yielded(site: Site, jp: Jobpipe) -> None:
    said: list[str] = []

    @jp.lifespan
    async def pool() -> AsyncIterator[Session]:
        session = Session(said, "pool")
        yield session
        session.close()

    @jp.lifespan
    def model() -> Iterator[str]:
        yield "model"

    def label(model: str = Depends(model)) -> str:
        return f"labelled {model}"

    @jp.task
    def threaded(pool: Session = Depends(pool), label: str = Depends(label)) -> str:
        said.append("task")
        return label

    @jp.task
    async def awaited(pool: Session = Depends(pool), label: str = Depends(label)) -> str:
        said.append("task")
        return label

    jobs = [site.enqueue(task) for task in (threaded, awaited)]
    site.drain(jp)
    assert [site.result(job) for job in jobs] == ["labelled model"] * 2
    assert said == ["pool up", "task", "task", "pool down"]


def test_dependencies_are_inside_the_middleware(site: Site, jp: Jobpipe) -> None:
    said: list[str] = []

    @jp.middleware
    def blocking(job: RunningJob, call_next: CallNext) -> object:
        said.append("middleware")
        COLOUR.set("of the middleware")
        value = call_next()
        said.append("middleware again")
        return value

    def provider() -> Iterator[str]:
        said.append("provider")
        yield COLOUR.get()
        said.append("provider again")

    @jp.task
    def threaded(colour: str = Depends(provider)) -> str:
        return colour

    @jp.task
    async def awaited(colour: str = Depends(provider)) -> str:
        return colour

    for task in (threaded, awaited):
        said.clear()
        job = site.enqueue(task)
        site.drain(jp)
        assert site.result(job) == "of the middleware"
        assert said == ["middleware", "provider", "provider again", "middleware again"]


# Threads below a task


def test_threads_and_pools_below_a_task_find_its_job(site: Site, jp: Jobpipe) -> None:
    shared = ThreadPoolExecutor(1)

    def below() -> list[int]:
        found: list[int] = []

        def note() -> None:
            found.append(current_job().id)

        thread = threading.Thread(target=note)
        thread.start()
        thread.join()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(note).result()
        shared.submit(note).result()
        return found

    @jp.task
    def threaded() -> list[int]:
        return below()

    @jp.task
    async def awaited() -> list[int]:
        return [*await asyncio.to_thread(below), *below()]

    jobs = [site.enqueue(task) for task in (threaded, awaited, threaded)]
    site.drain(jp)
    with pytest.raises(LookupError):
        shared.submit(current_job).result()
    shared.shutdown()
    for job, count in zip(jobs, (3, 6, 3), strict=True):
        assert site.result(job) == [job.id] * count
