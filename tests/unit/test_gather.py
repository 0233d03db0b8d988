"""Enqueues that come at once share a statement; nobody hears before the commit, or for another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from jobpipe.errors import QueueFull, StoreUnavailable
from jobpipe.model.job import Enqueued, NewJob
from jobpipe.model.state import State
from jobpipe.runtime.gather import Gatherer
from tests.waiting import until

LIMIT_SECONDS = 10.0
CALLERS = 32


def job(name: str) -> NewJob:
    return NewJob(task=name, args="{}")


class Store:
    """Keeps what it is given in groups; the first group waits at a gate until it is opened."""

    def __init__(self, error: Callable[[list[str]], BaseException | None] = lambda _: None) -> None:
        self.groups: list[list[str]] = []
        self.entered, self.gate = threading.Event(), threading.Event()
        self._error = error

    def __call__(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        names = [job.task for job in jobs]
        self.groups.append(names)
        if len(self.groups) == 1:
            self.entered.set()
            assert self.gate.wait(LIMIT_SECONDS)
        if error := self._error(names):
            raise error
        return [Enqueued(int(name), State.QUEUED, True) for name in names]

    async def awaited(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        await asyncio.sleep(0)
        return self(jobs)


def gatherer(store: Store) -> Gatherer:
    return Gatherer(store, store.awaited)


def waiting(gathers: Gatherer) -> int:
    return len(gathers._threads._waiting)


def crowd(
    store: Store, threads: ThreadPoolExecutor, names: Sequence[str]
) -> tuple[Future[Enqueued], list[Future[Enqueued]]]:
    """Let one thread store, and the others stand in line behind it before it may go on."""
    gathers = gatherer(store)
    first = threads.submit(gathers.enqueue, job("0"))
    assert store.entered.wait(LIMIT_SECONDS)
    others = [threads.submit(gathers.enqueue, job(name)) for name in names]
    until(lambda: waiting(gathers) == len(names))
    assert not any(each.done() for each in [first, *others])
    store.gate.set()
    return first, others


def test_threads_that_come_while_one_stores_share_the_next_statement() -> None:
    store = Store()
    names = [str(number) for number in range(1, CALLERS)]
    with ThreadPoolExecutor(CALLERS) as threads:
        first, others = crowd(store, threads, names)
        assert first.result(LIMIT_SECONDS).id == 0
        assert [each.result(LIMIT_SECONDS).id for each in others] == list(range(1, CALLERS))
    assert store.groups[0] == ["0"]
    assert sorted(store.groups[1], key=int) == names
    assert len(store.groups) == 2


def test_a_refused_job_is_its_own_callers_trouble() -> None:
    store = Store(lambda names: ValueError("bad") if "3" in names else None)
    with ThreadPoolExecutor(8) as threads:
        first, others = crowd(store, threads, ["1", "2", "3", "4", "5"])
        assert first.result(LIMIT_SECONDS).id == 0
        with pytest.raises(ValueError, match="bad"):
            others[2].result(LIMIT_SECONDS)
        ids = [each.result(LIMIT_SECONDS).id for each in others if each is not others[2]]
    assert ids == [1, 2, 4, 5]


def test_a_store_that_is_away_is_everybodys_trouble_at_once() -> None:
    store = Store(lambda names: StoreUnavailable("away") if "1" in names else None)
    with ThreadPoolExecutor(8) as threads:
        _, others = crowd(store, threads, ["1", "2", "3"])
        for each in others:
            with pytest.raises(StoreUnavailable, match="away"):
                each.result(LIMIT_SECONDS)
    assert len(store.groups) == 2


def test_when_the_thread_that_stores_is_interrupted_the_others_hear_that_it_is_unknown() -> None:
    store = Store(lambda names: KeyboardInterrupt() if "1" in names else None)
    with ThreadPoolExecutor(8) as threads:
        first, others = crowd(store, threads, ["1", "2", "3"])
        assert first.result(LIMIT_SECONDS).id == 0
        errors = [each.exception(LIMIT_SECONDS) for each in others]
    assert [type(error) for error in errors].count(KeyboardInterrupt) == 1
    unknown = [error for error in errors if isinstance(error, StoreUnavailable)]
    assert [error.outcome_unknown for error in unknown] == [True, True]


def test_who_stores_alone_and_fails_leaves_the_line_to_the_next() -> None:
    store = Store(lambda names: QueueFull("full") if names == ["0"] else None)
    with ThreadPoolExecutor(8) as threads:
        first, others = crowd(store, threads, ["1", "2"])
        with pytest.raises(QueueFull):
            first.result(LIMIT_SECONDS)
        assert [each.result(LIMIT_SECONDS).id for each in others] == [1, 2]


def test_a_thread_alone_makes_a_statement_a_job_and_waits_for_nobody() -> None:
    store = Store()
    store.gate.set()
    gathers = gatherer(store)
    assert [gathers.enqueue(job(str(number))).id for number in range(3)] == [0, 1, 2]
    assert store.groups == [["0"], ["1"], ["2"]]


def test_callers_of_one_loop_share_a_statement_and_one_alone_makes_no_task() -> None:
    store, everybody = Store(), [str(number) for number in range(1, CALLERS + 1)]
    store.gate.set()

    async def main() -> list[int]:
        gathers = gatherer(store)
        before = len(asyncio.all_tasks())
        alone = asyncio.create_task(gathers.aenqueue(job("0")))
        await alone
        assert len(asyncio.all_tasks()) == before
        await asyncio.gather(*(gathers.aenqueue(job(name)) for name in everybody))
        answers = await asyncio.gather(*(gathers.aenqueue(job(name)) for name in everybody))
        return [answer.id for answer in answers]

    assert asyncio.run(main()) == list(range(1, CALLERS + 1))
    # Nobody knows of a crowd before it has come: its first one goes ahead, the next time he waits.
    assert store.groups == [["0"], ["1"], everybody[1:], everybody]


def test_who_gives_up_while_he_stores_alone_leaves_the_line_to_the_others() -> None:
    store = Store()
    store.gate.set()

    async def main() -> int:
        entered = asyncio.Event()

        async def held_at_first(jobs: Sequence[NewJob]) -> list[Enqueued]:
            if not entered.is_set():
                entered.set()
                await asyncio.Event().wait()
            return store(jobs)

        gathers = Gatherer(store, held_at_first)
        first = asyncio.create_task(gathers.aenqueue(job("1")))
        await entered.wait()
        second = asyncio.create_task(gathers.aenqueue(job("2")))
        await asyncio.sleep(0)
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        return (await asyncio.wait_for(second, LIMIT_SECONDS)).id

    assert asyncio.run(main()) == 2


def test_an_enqueue_that_interrupts_one_of_its_own_thread_is_stored_at_once() -> None:
    """As the handler of a signal does, or a finalizer."""
    groups: list[list[str]] = []

    def store(jobs: Sequence[NewJob]) -> list[Enqueued]:
        groups.append([job.task for job in jobs])
        if groups == [["1"]]:
            assert gathers.enqueue(job("2")).id == 2
        return [Enqueued(int(job.task), State.QUEUED, True) for job in jobs]

    gathers = Gatherer(store, Store().awaited)
    assert gathers.enqueue(job("1")).id == 1
    assert groups == [["1"], ["2"]]
    assert gathers.enqueue(job("3")).id == 3


class Interrupted:
    """A lock; a signal comes as it is left for the n-th time."""

    def __init__(self, lock: threading.Lock, at: int) -> None:
        self._lock, self._left = lock, at

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("at", [1, 2])
def test_an_interrupt_beside_the_statement_leaves_the_line_free(at: int) -> None:
    store = Store()
    store.gate.set()
    gathers = gatherer(store)
    line: Any = gathers._threads
    line._gate = Interrupted(line._gate, at)
    with pytest.raises(KeyboardInterrupt):
        gathers.enqueue(job("1"))
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(gathers.enqueue, job("2")).result(LIMIT_SECONDS).id == 2
