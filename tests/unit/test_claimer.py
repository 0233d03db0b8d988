"""How many jobs a worker claims, which claim records it lets go, and what it gives back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from jobpipe.config.settings import QueueSlots
from jobpipe.delivery.hub import Hint, Hub
from jobpipe.errors import StoreUnavailable
from jobpipe.model.job import Claimed, Finish, Lane
from jobpipe.model.state import State
from jobpipe.runtime.claimer import Claimer
from jobpipe.runtime.demand import AHEAD_MAX, AHEAD_SECONDS, Demand, ReadAhead
from jobpipe.runtime.lanes import LaneChoice
from jobpipe.runtime.records import Records
from jobpipe.runtime.telling import Telling
from jobpipe.store.ops.claim import Held
from jobpipe.store.port import Capabilities, Operation
from jobpipe.store.stepping import step

LIMIT_SECONDS = 10.0
A = Lane("a", 0)


def job(id: int, queue: str = "a", claim_id: int = 1) -> Claimed:
    return Claimed(id, 1, 1, "t", queue, 0, "{}", 1, None, False, id, claim_id, None)


def end(id: int) -> Finish:
    return Finish(id=id, token=1, state=State.SUCCEEDED, outcome="succeeded")


class Store:
    """Queues of numbers; each claim asks for at most so many."""

    def __init__(self, frontier: bool, **queued: int) -> None:
        self.capabilities = Capabilities(
            dialect="x", frontier=frontier, peek=not frontier, exclusive_writer=False, shared=True
        )
        self.queued = queued
        self.limits: list[int] = []
        self.done: list[int] = []
        self.unheard: list[int] = []
        """Jobs of claims whose answer never came."""
        self.away = 0
        self.given_back: list[int] = []
        self._id = 0

    async def run(self, operation: Operation[Any]) -> Any:
        await asyncio.sleep(0)
        return step(operation, self._answer)

    def _answer(self, statement: Any) -> list[dict[str, Any]]:
        if statement.name == "peek":
            return (
                [{"ready": 1}] if any(self.queued.get(q) for q, *_ in statement.batch.rows) else []
            )
        if statement.name == "held":
            return [{"id": id, "token": 1, "rank": id, "claim_id": 9} for id in self.unheard]
        if statement.name == "give_back":
            ids = [row[0] for row in statement.batch.rows]
            self.given_back += ids
            return [{"id": id, "queue": "a", "priority": 0, "rank": id} for id in ids]
        return self._claim(statement)

    def _claim(self, statement: Any) -> list[dict[str, Any]]:
        limit = statement.params["limit"]
        self.limits.append(limit)
        self.done += statement.params["done"]
        taken = []
        for queue, priority, _after in statement.batch.rows:
            while self.queued.get(queue) and len(taken) < limit:
                self.queued[queue] -= 1
                self._id += 1
                taken.append((self._id, queue, priority))
        if self.away:
            self.away -= 1
            self.unheard = [id for id, *_ in taken]
            raise StoreUnavailable
        names = Claimed.__struct_fields__
        return [
            dict(
                zip(
                    names,
                    (id, 1, 1, "t", queue, priority, "{}", 1, None, 0, id, id, None, False, None),
                    strict=True,
                )
            )
            for id, queue, priority in taken
        ]


class Bench:
    """A claimer with so many slots, which the test frees."""

    def __init__(
        self,
        store: Store,
        slots: int,
        queues: str = "*",
        ahead: int = 0,
        poll_seconds: float = 0.01,
    ) -> None:
        self.store = store
        self.slots, self.ahead = slots, ahead
        self.jobs: list[Claimed] = []
        self.heard: list[Hint] = []
        hub = Hub()
        hub.subscribe(self.heard.append)
        parts = [queue.partition(":") for queue in queues.split(",")]
        self.lanes = LaneChoice([QueueSlots(name, int(n) if n else None) for name, _, n in parts])
        self.lanes.know([Lane(queue, 0) for queue in store.queued], [])
        self.claimer = Claimer(
            store,  # type: ignore[arg-type]
            5,
            self.lanes,
            poll_seconds=poll_seconds,
            demand=lambda: Demand(self.slots - len(self.jobs), self.ahead),
            put=self.jobs.extend,
            telling=Telling(hub),
        )

    def run(self, until: Callable[[], bool]) -> None:
        asyncio.run(self._run(until))

    async def _run(self, until: Callable[[], bool]) -> None:
        claiming = asyncio.create_task(self.claimer.run())
        async with asyncio.timeout(LIMIT_SECONDS):
            while not until():  # noqa: ASYNC110  # one turn of the loop at a time
                await asyncio.sleep(0)
            self.claimer.close()
            await claiming


@pytest.mark.parametrize("frontier", [False, True])
def test_no_more_is_claimed_than_there_is_room_for(frontier: bool) -> None:
    bench = Bench(Store(frontier, a=50), slots=4)
    bench.run(lambda: len(bench.jobs) == 4)
    assert bench.store.limits == [4]
    assert bench.store.queued == {"a": 46}


def test_the_read_ahead_is_claimed_beside_the_slots() -> None:
    bench = Bench(Store(False, a=50), slots=4, ahead=6)
    bench.run(lambda: len(bench.jobs) == 10)
    assert bench.store.limits == [10]


def test_a_limited_queue_gets_its_slots_and_no_read_ahead() -> None:
    bench = Bench(Store(False, a=50, b=50), slots=4, ahead=6, queues="a:2,b")
    bench.run(lambda: len(bench.jobs) == 10)
    assert [each.queue for each in bench.jobs] == ["a"] * 2 + ["b"] * 8


def test_an_idle_claimer_says_so_and_a_hint_takes_it_back() -> None:
    bench = Bench(Store(False, a=0), slots=4)
    bench.run(bench.claimer.idle.is_set)
    assert (bench.store.limits, bench.claimer.claims) == ([], 0)
    bench.claimer.look(Hint({Lane("new", 3): 7}))
    assert not bench.claimer.idle.is_set()


def test_a_claim_whose_answer_was_lost_is_given_back() -> None:
    store = Store(True, a=2)
    store.away = 1
    bench = Bench(store, slots=4)
    bench.run(lambda: bool(store.given_back))
    assert store.given_back == [1, 2]
    assert bench.jobs == []
    assert Hint({A: 1}) in bench.heard


def test_records_are_done_when_all_their_jobs_have_ended() -> None:
    records = Records()
    records.add([job(1, claim_id=7), job(2, claim_id=7), job(3, queue="b", claim_id=8)])
    assert records.queues == {"a": 2, "b": 1}
    records.end([(1, 1), (1, 1), (3, 9)])
    records.end([(1, 1)])
    assert records.take_done() == []
    assert records.queues == {"a": 1, "b": 1}
    records.end([(2, 1)])
    assert records.take_done() == [7]
    assert records.take_done() == []
    records.return_done([7])
    assert records.take_done() == [7]
    assert set(records.held) == {(3, 1)}


def test_ended_jobs_free_their_records_with_the_next_claim() -> None:
    store = Store(False, a=1)
    bench = Bench(store, slots=1)
    bench.run(lambda: len(bench.jobs) == 1)
    bench.claimer.ended([end(bench.jobs.pop().id)])
    other = Bench(store, slots=1)
    other.claimer.records = bench.claimer.records
    store.queued["a"] = 1
    other.run(lambda: len(other.jobs) == 1)
    assert store.done == [1]


def test_giving_back_lowers_the_frontier_and_forgets_the_claims() -> None:
    bench = Bench(Store(True, a=3), slots=3)
    bench.run(lambda: len(bench.jobs) == 3)
    asyncio.run(bench.claimer.give_back([Held(each.id, 1, each.rank, 1) for each in bench.jobs]))
    assert bench.store.given_back == [1, 2, 3]
    assert bench.claimer.records.held == {}


def test_the_read_ahead_counts_what_was_finished_lately() -> None:
    ahead = ReadAhead()
    assert ahead.room(0.0) == 0
    ahead.finished += 3
    assert ahead.room(0.0) == 3
    ahead.finished += 2
    assert ahead.room(0.03) == 5
    assert ahead.room(AHEAD_SECONDS) == 5
    assert ahead.room(AHEAD_SECONDS + 0.01) == 2
    assert ahead.room(1.0) == 0
    ahead.finished += 5 * AHEAD_MAX
    assert ahead.room(1.0) == AHEAD_MAX


@pytest.mark.parametrize(
    "free, ahead, is_due",
    [
        (1, 0, True),
        (0, 0, False),
        (0, 4, True),
        (-1, 4, True),  # three of four: most of the read-ahead is to be filled
        (-2, 4, False),
        (1, 4_000, True),
        (-999, 2_000, True),  # a claim of most jobs is under way while as many wait here
        (-1_000, 2_000, True),
        (-1_001, 2_000, False),
    ],
)
def test_a_claim_waits_until_it_is_worth_it_and_never_while_slots_are_free(
    free: int, ahead: int, is_due: bool
) -> None:
    assert Demand(free, ahead).is_due is is_due


def test_a_claim_is_not_followed_by_one_of_what_ended_meanwhile() -> None:
    bench = Bench(Store(True, a=500), slots=4, ahead=100, poll_seconds=60.0)
    waiting: list[int] = []

    def ended() -> bool:
        if len(bench.jobs) == 104:
            waiting.append(len(bench.jobs))
            del bench.jobs[:10]  # they ended while the claim was under way
            bench.claimer.look()
        elif waiting:
            waiting.append(len(bench.jobs))
        return len(waiting) > 20

    bench.run(ended)
    assert bench.store.limits == [104]
    assert waiting[-1] == 94


@pytest.mark.parametrize("frontier", [False, True])
def test_what_is_left_of_the_room_says_that_nothing_is_left_to_claim(frontier: bool) -> None:
    bench = Bench(Store(frontier, a=3), slots=4, poll_seconds=60.0)
    bench.run(bench.claimer.idle.is_set)
    assert bench.store.limits == [4]
    bench.jobs.pop()
    bench.claimer.look_for_more()  # a slot is free, but there was nothing left to put in it
    assert bench.claimer.idle.is_set()
    bench.claimer.look(Hint({A: 4}))
    assert not bench.claimer.idle.is_set()


def test_a_free_slot_claims_while_more_may_be_queued() -> None:
    bench = Bench(Store(True, a=5), slots=4, poll_seconds=60.0)

    def freed() -> bool:
        if len(bench.jobs) == 4:
            bench.jobs.clear()
            bench.claimer.look_for_more()
        return bench.claimer.idle.is_set()

    bench.run(freed)
    assert bench.store.limits == [4, 4]
    assert len(bench.jobs) == 1


def test_what_was_given_back_is_claimed_when_a_slot_is_free() -> None:
    bench = Bench(Store(True, a=1), slots=4, poll_seconds=60.0)
    bench.run(bench.claimer.idle.is_set)
    asyncio.run(bench.claimer.give_back([Held(1, 1, 1, 1)]))
    bench.claimer.look_for_more()
    assert not bench.claimer.idle.is_set()


@pytest.mark.parametrize("frontier", [False, True])
def test_an_idle_claimer_leaves_its_poll_to_the_looks(frontier: bool) -> None:
    bench = Bench(Store(frontier, a=1), slots=4, poll_seconds=60.0)
    claimer = bench.claimer

    asked = False

    def has_polled() -> bool:
        nonlocal asked
        if not asked and (question := claimer.question(time.monotonic() + 60)):
            asked = True  # it has come to rest
            assert question.after == {A: 0}
            claimer.answered(question, {})
            assert claimer.idle.is_set()
            assert claimer.question(time.monotonic() + 59) is None
            bench.store.queued["a"] = 1
            claimer.answered(question, {A: 2})
            assert not claimer.idle.is_set()
        return len(bench.jobs) == 2

    bench.run(has_polled)
    assert bench.store.limits == [4, 3]


def test_a_claimer_that_may_find_more_asks_for_itself() -> None:
    bench = Bench(Store(True, a=9), slots=4, poll_seconds=0.01)
    assert bench.claimer.question(time.monotonic() + 60) is None
    bench.run(lambda: len(bench.jobs) == 4)
    assert bench.claimer.question(time.monotonic() + 60) is None
