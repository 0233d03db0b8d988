# pyright: strict
"""Right uses of tasks: type checkers infer exactly these types and find nothing wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterator
from datetime import timedelta
from typing import Any, assert_type

from jobpipe import AsyncCallNext, CallNext, Depends, Jobpipe, RunningJob
from jobpipe.tasks.job import Job
from jobpipe.tasks.registry import Tasks
from jobpipe.tasks.task import AsyncTask, Call, Task

tasks = Tasks()


@tasks.task
def add(a: int, b: int = 1) -> int:
    return a + b


@tasks.task(queue_name="mail", priority=10, max_attempts=5, retry_delays=(1, 5, 30), timeout=30.0)
async def welcome(user_id: int, *, name: str = "") -> str:
    return f"{user_id} {name}"


@tasks.task(timeout=timedelta(seconds=3), executor="thread", retry_on=OSError, on_loss="fail")
def keep(*texts: str, **sizes: float) -> list[str]:
    return [*texts, *sizes]


@tasks.task
async def tick() -> None: ...


def plain_calls() -> None:
    assert_type(add(1, 2), int)
    assert_type(keep("a", x=1.5), list[str])
    coroutine = assert_type(welcome(42), Coroutine[Any, Any, str])
    coroutine.close()


def handles() -> None:
    assert_type(add.enqueue(1, b=2), Job[int])
    assert_type(add.enqueue(1).result(timeout=5), int)
    assert_type(add.enqueue(1).refresh().cancel().rerun(), Job[int])
    assert_type(welcome.enqueue(42, name="Ada"), Job[str])
    assert_type(welcome.enqueue(42).result(), str)
    assert_type(keep.enqueue("a", "b", x=1.0).result(), list[str])


async def async_handles() -> None:
    assert_type(await welcome(42), str)
    assert_type(await welcome.aenqueue(42), Job[str])
    assert_type(await (await add.aenqueue(1)).aresult(timeout=5), int)
    assert_type(await (await tick.aenqueue()).arefresh(), Job[None])


def options() -> None:
    later = add.using(priority=50, run_after=timedelta(minutes=5), tags=["a"], meta={"k": [1]})
    assert_type(later(1), int)
    assert_type(later.enqueue(1, b=2), Job[int])
    assert_type(later.using(idempotency_key="order-7", expires_in=60).enqueue(1).result(), int)
    assert_type(welcome.using(queue_name="x", timeout=0.5).enqueue(1, name="a"), Job[str])


def calls() -> None:
    assert_type(add.call(1, b=2), Call[int])
    assert_type([welcome.call(id) for id in range(3)], list[Call[str]])


def kinds(sync_task: Task[[int], str], async_task: AsyncTask[[int], str]) -> None:
    assert_type(sync_task(1), str)
    coroutine = assert_type(async_task(1), Coroutine[Any, Any, str])
    coroutine.close()
    assert_type(sync_task.enqueue(1), Job[str])
    assert_type(async_task.enqueue(1), Job[str])


# Hooks and dependencies


class Session:
    def query(self) -> int:
        return 1


def get_session() -> Session:
    return Session()


async def aget_session() -> Session:
    return Session()


def open_session(job: RunningJob) -> Iterator[Session]:
    yield Session()


async def aopen_session(inner: Session = Depends(open_session)) -> AsyncIterator[Session]:
    yield inner


@tasks.task
def report(
    user: int,
    a: Session = Depends(get_session),
    b: Session = Depends(aget_session),
    *,
    c: Session = Depends(open_session),
    d: Session = Depends(aopen_session),
    e: Session = Depends(Session),
) -> int:
    return a.query()


def dependencies() -> None:
    assert_type(report.enqueue(1), Job[int])
    assert_type(report(1, Session()), int)
    assert_type(Depends(aopen_session), Session)


def hooks(jp: Jobpipe) -> None:
    @jp.lifespan
    async def session() -> AsyncIterator[Session]:
        yield Session()

    @jp.middleware
    async def around(job: RunningJob, call_next: AsyncCallNext) -> object:
        return await call_next()

    @jp.middleware
    def blocking(job: RunningJob, call_next: CallNext) -> object:
        return call_next()

    @jp.on_failure
    def notify(job: RunningJob, error: BaseException) -> None:
        print(job.id, error)

    @jp.task(on_success=lambda job, result: None, on_retry=[notify], on_failure=notify)
    def task(given: Session = Depends(session)) -> int:
        return given.query()

    assert_type(task.enqueue(), Job[int])
    print(around, blocking)
