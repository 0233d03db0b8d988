"""Threads and pools below a job find it, never another one, and only while a worker works."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest

from jobpipe.model.job import Claimed
from jobpipe.runtime.below import below
from jobpipe.runtime.context import RunningJob, job_here, running_job


def running(id: int) -> RunningJob:
    return RunningJob(Claimed(id, 1, 1, "t", "q", 0, "{}", 3, None, False, id, 1, None))


def within(id: int, function: Callable[..., Any], *args: Any) -> Any:
    """Call the function inside of a job."""
    context = copy_context()
    context.run(running_job.set, running(id))
    return context.run(function, *args)


def here() -> int | None:
    job = job_here()
    return job.id if job else None


def in_thread(kind: Callable[..., threading.Thread] = threading.Thread, **options: Any) -> object:
    """Return which job a new thread finds, and which a thread of that one."""
    found: list[object] = []

    def inner() -> None:
        found.append(here())

    def outer() -> None:
        found.append(here())
        thread = threading.Thread(target=inner)
        thread.start()
        thread.join()

    thread = kind(target=outer, **options)
    thread.start()
    thread.join()
    return found


@pytest.fixture
def _a_worker_works() -> Iterator[None]:
    end = below.begin()
    yield
    end()


@pytest.mark.usefixtures("_a_worker_works")
def test_a_thread_finds_the_job_that_started_it() -> None:
    assert within(1, in_thread) == [1, 1]
    assert in_thread() == [None, None]
    assert within(2, in_thread) == [2, 2]


@pytest.mark.usefixtures("_a_worker_works")
def test_a_thread_of_a_class_of_its_own_finds_the_job() -> None:
    found: list[object] = []

    class Mine(threading.Thread):
        def run(self) -> None:
            found.append(here())

    thread = Mine()
    within(1, thread.start)
    thread.join()
    assert found == [1]
    assert "run" not in vars(thread)


@pytest.mark.usefixtures("_a_worker_works")
def test_our_own_threads_belong_to_no_job() -> None:
    def named(**options: Any) -> threading.Thread:
        return threading.Thread(name="jobpipe-writer", **options)

    assert within(1, in_thread, named) == [None, None]


@pytest.mark.usefixtures("_a_worker_works")
def test_a_pool_serves_each_job_as_its_own() -> None:
    with ThreadPoolExecutor(1) as pool:
        assert within(1, lambda: pool.submit(here).result()) == 1
        assert pool.submit(here).result() is None, "the thread was started for a job"
        assert within(2, lambda: list(pool.map(lambda _: here(), range(2)))) == [2, 2]
        with pytest.raises(ZeroDivisionError):
            within(3, lambda: pool.submit(divmod, 1, 0).result())
        assert pool.submit(here).result() is None


@pytest.mark.usefixtures("_a_worker_works")
def test_threads_of_the_event_loop_find_the_job() -> None:
    async def main() -> list[int | None]:
        loop = asyncio.get_running_loop()
        return [await asyncio.to_thread(here), await loop.run_in_executor(None, here)]

    assert within(1, lambda: asyncio.run(main())) == [1, 1]


def test_without_a_worker_everything_is_as_it_was() -> None:
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit
    first, second = below.begin(), below.begin()
    assert threading.Thread.start is not start
    assert ThreadPoolExecutor.submit is not submit
    first()
    first()
    assert threading.Thread.start is not start, "another worker works"
    second()
    assert (threading.Thread.start, ThreadPoolExecutor.submit) == (start, submit)


def test_whoever_came_after_us_keeps_his_place(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start
    end = below.begin()
    ours = threading.Thread.start

    def theirs(thread: threading.Thread) -> None:
        ours(thread)

    monkeypatch.setattr(threading.Thread, "start", theirs)
    end()
    assert threading.Thread.start is theirs
    again = below.begin()
    assert threading.Thread.start is theirs, "we stand behind it already"
    assert within(1, in_thread) == [1, 1]
    monkeypatch.undo()
    again()
    assert threading.Thread.start is start
