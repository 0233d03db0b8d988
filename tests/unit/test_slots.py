"""Slots: attempts run, are interrupted, outlive their time-out; each is settled once."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from jobpipe.model.job import Claimed, Finish
from jobpipe.model.signals import Cancel
from jobpipe.model.state import Reason, State
from jobpipe.policy.retry import ListDelays
from jobpipe.runtime import slots as module
from jobpipe.runtime.attempt import Judge
from jobpipe.runtime.calling import Caller
from jobpipe.runtime.context import current_job
from jobpipe.runtime.slots import Slots
from jobpipe.tasks.hooks import Hooks
from jobpipe.tasks.registry import Tasks

LIMIT_SECONDS = 10.0


def new_claim(id: int, task: str, timeout_us: int | None = None) -> Claimed:
    return Claimed(id, 1, 1, task, "q", 0, "{}", 3, timeout_us, False, id, 1, None)


class Bench:
    """Slots with tasks of their own, and the outcomes that come out of them."""

    def __init__(self, tasks: Tasks, count: int) -> None:
        self.outcomes: list[Finish] = []
        self._changed = asyncio.Event()
        judge = Judge(tasks.registry, ListDelays((0.0,)), 1_000_000)
        caller = Caller(Hooks(), {})
        self.slots = Slots(count, judge, caller, self.outcomes.append, self._changed.set)
        self._ids = 0

    def put(self, task: str, timeout: float | None = None, **changed: Any) -> tuple[int, int]:
        self._ids += 1
        timeout_us = None if timeout is None else round(timeout * 1e6)
        claimed = new_claim(self._ids, task, timeout_us)
        self.slots.put([msgspec.structs.replace(claimed, **changed)])
        return self._ids, 1

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            while not true():  # noqa: ASYNC110  # threads tell no event
                await asyncio.sleep(0.001)

    async def settled(self, count: int) -> dict[int, Finish]:
        await self.until(lambda: len(self.outcomes) >= count)
        return {end.id: end for end in self.outcomes}


def with_slots(tasks: Tasks, case: Callable[[Bench], Awaitable[None]], *, count: int = 2) -> None:
    async def run() -> None:
        bench = Bench(tasks, count)
        try:
            await case(bench)
        finally:
            await bench.slots.close()

    asyncio.run(run())


@pytest.fixture
def tasks() -> Tasks:
    tasks = Tasks()

    @tasks.task(name="quick")
    async def quick() -> int:
        return 7

    @tasks.task(name="thread")
    def thread() -> int:
        return threading.get_ident()

    @tasks.task(name="long")
    async def long() -> None:
        await asyncio.sleep(LIMIT_SECONDS)

    @tasks.task(name="leave")
    async def leave() -> None:
        raise GeneratorExit

    @tasks.task(name="leave thread")
    def leave_thread() -> None:
        raise GeneratorExit

    return tasks


def test_more_attempts_than_slots_run_one_after_the_other(tasks: Tasks) -> None:
    now, most = [0], [0]

    @tasks.task(name="count")
    async def count() -> None:
        now[0] += 1
        most[0] = max(most[0], now[0])
        await asyncio.sleep(0)
        now[0] -= 1

    async def case(bench: Bench) -> None:
        for _ in range(9):
            bench.put("count")
        assert bench.slots.free == -7
        ends = await bench.settled(9)
        assert {end.state for end in ends.values()} == {State.SUCCEEDED}
        await bench.until(lambda: not bench.slots.is_busy)
        assert bench.slots.free == 2

    with_slots(tasks, case)
    assert most == [2]


def test_a_def_runs_in_another_thread_and_a_coroutine_on_the_loop(tasks: Tasks) -> None:
    async def case(bench: Bench) -> None:
        bench.put("quick")
        bench.put("thread")
        ends = await bench.settled(2)
        assert ends[1].result == "7"
        assert ends[2].result != str(threading.get_ident())

    with_slots(tasks, case)


def test_what_cannot_start_is_settled_without_a_run(tasks: Tasks) -> None:
    async def case(bench: Bench) -> None:
        bench.put("nobody knows it")
        bench.put("quick", expired=True)
        bench.put("quick", args="[]")
        ends = await bench.settled(3)
        assert [(end.reason, end.charged) for _, end in sorted(ends.items())] == [
            (Reason.UNKNOWN_TASK, False),
            (Reason.EXPIRED, False),
            (Reason.UNDECODABLE, False),
        ]

    with_slots(tasks, case)


@pytest.mark.parametrize("name", ["leave", "leave thread"])
def test_no_exception_ends_a_slot(tasks: Tasks, name: str) -> None:
    async def case(bench: Bench) -> None:
        for _ in range(3):
            bench.put(name)
        bench.put("quick")
        ends = await bench.settled(4)
        assert [ends[n].state for n in (1, 2, 3, 4)] == [State.RETRYING] * 3 + [State.SUCCEEDED]

    with_slots(tasks, case, count=1)


def test_a_cancelled_coroutine_ends_and_its_slot_goes_on(tasks: Tasks) -> None:
    async def case(bench: Bench) -> None:
        key = bench.put("long")
        await bench.until(lambda: bench.slots.running)
        bench.slots.request_cancel(key)
        bench.slots.request_cancel(key)
        bench.put("quick")
        ends = await bench.settled(2)
        assert (ends[1].state, ends[1].reason) == (State.CANCELLED, Reason.BY_USER)
        assert ends[2].state is State.SUCCEEDED

    with_slots(tasks, case, count=1)


def test_an_attempt_cancelled_before_it_starts_is_not_charged(tasks: Tasks) -> None:
    async def case(bench: Bench) -> None:
        first, second = bench.put("long"), bench.put("quick")
        await bench.until(lambda: bench.slots.running)
        bench.slots.request_cancel(second)
        bench.slots.request_cancel(first)
        ends = await bench.settled(2)
        assert (ends[2].state, ends[2].charged) == (State.CANCELLED, False)

    with_slots(tasks, case, count=1)


def test_a_thread_learns_of_a_cancel_and_may_say_so(tasks: Tasks) -> None:
    @tasks.task(name="polite")
    def polite() -> None:
        while not current_job().cancel_requested():
            threading.Event().wait(0.001)
        raise Cancel

    async def case(bench: Bench) -> None:
        key = bench.put("polite")
        await bench.until(lambda: bench.slots.running)
        bench.slots.request_cancel(key)
        assert (await bench.settled(1))[1].state is State.CANCELLED

    with_slots(tasks, case)


def test_a_late_thread_keeps_its_slot_until_it_ends_and_settles_once(tasks: Tasks) -> None:
    go_on = threading.Event()

    @tasks.task(name="hang")
    def hang() -> str:
        assert go_on.wait(LIMIT_SECONDS)
        return "late"

    async def case(bench: Bench) -> None:
        bench.put("hang", timeout=0.01)
        end = (await bench.settled(1))[1]
        assert (end.outcome, end.state) == ("timed_out", State.RETRYING)
        assert bench.slots.stuck == 1
        bench.put("quick")
        assert (await bench.settled(2))[2].state is State.SUCCEEDED
        go_on.set()
        await bench.until(lambda: bench.slots.stuck == 0 and not bench.slots.is_busy)
        assert len(bench.outcomes) == 2

    with_slots(tasks, case)


def test_unstarted_attempts_can_be_taken_back(tasks: Tasks) -> None:
    async def case(bench: Bench) -> None:
        bench.put("long")
        await bench.until(lambda: bench.slots.running)
        bench.put("quick")
        (unstarted,) = bench.slots.take_waiting()
        assert unstarted.id == 2
        (running,) = bench.slots.running.values()
        bench.slots.interrupt(running, "stop")
        await bench.until(lambda: not bench.slots.is_busy)
        assert bench.outcomes == []

    with_slots(tasks, case, count=1)


def test_what_has_just_been_claimed_is_not_held_up(tasks: Tasks) -> None:
    async def case(bench: Bench) -> None:
        assert not bench.slots.is_held_up(-1)
        bench.put("long")
        bench.put("long")
        assert not bench.slots.is_held_up(-1), "no slot has had its turn yet"
        await bench.until(lambda: bench.slots.running)
        assert bench.slots.is_held_up(-1)
        assert not bench.slots.is_held_up(60)
        bench.slots.take_waiting()
        assert not bench.slots.is_held_up(-1)

    with_slots(tasks, case, count=1)


def test_a_cancelled_attempt_does_not_wait_for_a_slot(tasks: Tasks) -> None:
    async def case(bench: Bench) -> None:
        bench.put("long")
        second = bench.put("quick")
        await bench.until(lambda: bench.slots.running)
        bench.slots.request_cancel(second)
        assert [(end.id, end.state) for end in bench.outcomes] == [(2, State.CANCELLED)]
        assert (len(bench.slots.running), bench.slots.waiting) == (1, deque())

    with_slots(tasks, case, count=1)


def test_attempts_make_no_task_and_no_timer_and_need_few_turns_of_the_loop(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TURN_NS", 60_000_000_000)
    made = []

    async def case(bench: Bench) -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(lambda *_, **__: made.append("task"))  # type: ignore[arg-type]
        monkeypatch.setattr(loop, "call_at", lambda *_: made.append("timer"))
        bench.slots.put([new_claim(id, "quick") for id in range(1_000)])
        for _ in range(5):
            await asyncio.sleep(0)
        loop.set_task_factory(None)
        monkeypatch.undo()
        assert len(bench.outcomes) == 1_000

    with_slots(tasks, case)
    assert made == []


def test_the_loop_goes_on_between_attempts_that_never_wait(
    tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TURN_NS", 1)
    seen = []

    async def case(bench: Bench) -> None:
        bench.slots.put([new_claim(id, "quick") for id in range(5)])
        while len(bench.outcomes) < 5:
            await asyncio.sleep(0)
            seen.append(len(bench.outcomes))

    with_slots(tasks, case)
    assert set(range(1, 6)) <= set(seen), "each turn of the loop begins one attempt"


def test_slots_rest_once_each_before_the_loop_goes_on(tasks: Tasks) -> None:
    turns, rests = [0], Counter[int]()

    @tasks.task(name="waiting")
    async def waiting() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    async def case(bench: Bench) -> None:
        loop = asyncio.get_running_loop()

        def turn() -> None:
            turns[0] += 1
            loop.call_soon(turn)

        turn()
        bench.slots._freed = lambda: rests.update([turns[0]])
        bench.slots.put([new_claim(id, "waiting") for id in range(200)])
        await bench.settled(200)
        await bench.until(lambda: not bench.slots.is_busy)

    with_slots(tasks, case)
    assert max(rests.values()) <= 2, "no slot is woken for nothing"


def test_a_slot_whose_task_was_cancelled_by_its_own_code_is_replaced(tasks: Tasks) -> None:
    go_on: list[bool] = []

    @tasks.task(name="cancel")
    async def cancel() -> None:
        while not go_on:  # noqa: ASYNC110  # one turn of the loop at a time
            await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    async def case(bench: Bench) -> None:
        bench.put("cancel")
        await bench.until(lambda: bench.slots.running)
        bench.put("quick")
        go_on.append(True)
        assert (await bench.settled(2))[2].state is State.SUCCEEDED

    with_slots(tasks, case, count=1)
