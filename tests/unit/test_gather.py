"""Enqueues that come at once share a statement; nobody hears before the commit, or for another."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import FrameType
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
        return [Enqueued(int(name), State.QUEUED, True, 0) for name in names]

    async def awaited(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        await asyncio.sleep(0)
        return self(jobs)


def gatherer(store: Store) -> Gatherer:
    return Gatherer(store, store.awaited)


def crowd(
    store: Store, threads: ThreadPoolExecutor, names: Sequence[str]
) -> tuple[Future[Enqueued], list[Future[Enqueued]]]:
    """Let one thread store, and the others stand in line behind it before it may go on."""
    gathers = gatherer(store)
    line: Any = gathers._threads
    handed, hand_over = [], line._hand_over

    def counted(new: NewJob) -> Future[Enqueued]:
        answer: Future[Enqueued] = hand_over(new)
        handed.append(new)
        return answer

    line._hand_over = counted
    first = threads.submit(gathers.enqueue, job("0"))
    assert store.entered.wait(LIMIT_SECONDS)
    others = []
    for name in names:
        others.append(threads.submit(gathers.enqueue, job(name)))
        until(lambda: len(handed) == len(others))
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


def test_who_is_interrupted_as_he_stores_keeps_nobody_waiting() -> None:
    store = Store(lambda names: KeyboardInterrupt() if names == ["0"] else None)
    with ThreadPoolExecutor(8) as threads:
        first, others = crowd(store, threads, ["1", "2", "3"])
        with pytest.raises(KeyboardInterrupt):
            first.result(LIMIT_SECONDS)
        assert [each.result(LIMIT_SECONDS).id for each in others] == [1, 2, 3]


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
        return [Enqueued(int(job.task), State.QUEUED, True, 0) for job in jobs]

    gathers = Gatherer(store, Store().awaited)
    assert gathers.enqueue(job("1")).id == 1
    assert groups == [["1"], ["2"]]
    assert gathers.enqueue(job("3")).id == 3


def test_an_interrupt_at_any_call_leaves_the_line_free() -> None:
    store = Store()
    store.gate.set()
    gathers = gatherer(store)
    steps = at = interrupts = 0

    def step(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal steps
        steps += event in ("call", "c_return")  # where the interpreter looks for signals
        if steps == at and event in ("call", "c_return"):
            sys.setprofile(None)
            raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as threads:
        for at in range(1, 100):
            steps = 0
            sys.setprofile(step)
            try:
                gathers.enqueue(job("1"))
            except KeyboardInterrupt:
                interrupts += 1
            finally:
                sys.setprofile(None)
            assert threads.submit(gathers.enqueue, job("2")).result(LIMIT_SECONDS).id == 2
            if steps < at:
                break
    assert 5 < interrupts < 99, "every call of it has been interrupted once"


def test_when_all_tasks_of_a_loop_are_cancelled_later_calls_are_stored() -> None:
    entered, store = asyncio.Event(), Store()
    store.gate.set()

    async def stuck(jobs: Sequence[NewJob]) -> list[Enqueued]:
        if not entered.is_set() and len(jobs) > 1:
            entered.set()
            await asyncio.Event().wait()
        return await store.awaited(jobs)

    async def main() -> int:
        gathers = Gatherer(store, stuck)
        crowd = [asyncio.create_task(gathers.aenqueue(job(str(n)))) for n in range(4)]
        await entered.wait()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
        async with asyncio.timeout(LIMIT_SECONDS):
            return (await gathers.aenqueue(job("9"))).id

    assert asyncio.run(main()) == 9
