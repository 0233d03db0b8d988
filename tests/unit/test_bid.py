"""What somebody else's transaction may claim in the claimer's place, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from jobpipe.errors import StoreUnavailable
from jobpipe.model.job import Lane
from jobpipe.policy.ageing import Ageing
from jobpipe.policy.frontier import LAGGED_EVERY_SECONDS, Walk
from jobpipe.runtime import claimer as module
from jobpipe.runtime.claimer import RECONCILE_AFTER_SECONDS, Bid
from jobpipe.store.ops.aside import Known
from jobpipe.store.port import Operation
from tests.unit.test_claimer import A, Bench, Store, end, job

HIGH = Lane("a", 5)
ENDED = 100
"""So many outcomes are written with the bid: more than there is room for."""
SOON = RECONCILE_AFTER_SECONDS[0]
MANY_TURNS = 50


class Time:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


class Asked(Store):
    """A store that knows how often it was asked what the worker holds, and may be cut off."""

    def __init__(self, **queued: int) -> None:
        super().__init__(False, **queued)
        self.reconciled = 0
        self.cut_at: str | None = None

    async def run(self, operation: Operation[Any]) -> Any:
        if operation.name == self.cut_at:
            raise StoreUnavailable
        self.reconciled += operation.name == "held"
        return await super().run(operation)


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(module, "time", time)
    return time


def bench_of(slots: int = 4, ahead: int = 0, queues: str = "*", **queued: int) -> Bench:
    return Bench(Store(False, **(queued or {"a": 50})), slots, queues, ahead, poll_seconds=60.0)


def bid_of(bench: Bench) -> Bid:
    bid = bench.claimer.bid(ENDED)
    assert bid is not None
    return bid


@pytest.mark.parametrize("most, limit", [(ENDED, 10), (3, 3)])
def test_a_bid_asks_for_the_room_but_no_more_than_it_may(most: int, limit: int) -> None:
    bench = bench_of(slots=4, ahead=6)
    bid = bench.claimer.bid(most)
    assert bid is not None
    assert (bid.ask.lanes, bid.limit) == ((A,), limit)
    assert len(asyncio.run(bench.store.run(bid.claim))) == limit
    assert bench.store.limits == [limit]


def test_no_bid_is_made_while_a_claim_is_under_way() -> None:
    bids: list[Bid | None] = []

    class Curious(Store):
        async def run(self, operation: Operation[Any]) -> Any:
            bids.append(bench.claimer.bid(ENDED))
            return await super().run(operation)

    bench = Bench(Curious(False, a=50), slots=4, ahead=8)
    bench.run(lambda: len(bench.jobs) == 12)
    assert set(bids) == {None}


def test_no_second_bid_is_made_until_the_first_has_ended() -> None:
    bench = bench_of()
    bid = bid_of(bench)
    assert bench.claimer.bid(ENDED) is None
    asyncio.run(bench.claimer.took(bid, []))
    assert bench.claimer.bid(ENDED) is not None


def test_while_a_bid_is_open_nobody_is_told_that_all_was_found() -> None:
    bench, turns = bench_of(slots=4, a=1), iter(range(MANY_TURNS))
    bids = [bench.claimer.bid(1)]

    def is_idle() -> bool:
        if next(turns, None) is None and bids:
            assert bench.jobs != []
            assert not bench.claimer.idle.is_set()
            bench.claimer.lost(bids.pop() or bid_of(bench))
        return bench.claimer.idle.is_set()

    bench.run(is_idle)
    assert bids == []


def test_a_claimer_that_claims_no_more_waits_for_the_end_of_a_bid() -> None:
    bench = bench_of()
    bid = bid_of(bench)

    async def stopped() -> None:
        bench.claimer.close()
        running = asyncio.create_task(bench.claimer.run())
        for _ in range(MANY_TURNS):
            await asyncio.sleep(0)
        assert not running.done()
        await bench.claimer.took(bid, [job(2)])
        await running

    asyncio.run(stopped())
    assert bench.store.given_back == [2]


def test_a_claimer_that_claims_no_more_makes_no_bid() -> None:
    bench = bench_of()
    bench.claimer.close()
    assert bench.claimer.bid(ENDED) is None


@pytest.mark.parametrize("queues", ["a:2", "a:2,b", "a,b:2", "c"])
def test_where_one_claim_would_not_do_no_bid_is_made(queues: str) -> None:
    assert bench_of(queues=queues, a=50, b=50).claimer.bid(ENDED) is None


def test_several_queues_without_slots_of_their_own_are_asked_for_at_once() -> None:
    assert bid_of(bench_of(queues="b,a", a=50, b=50)).ask.lanes == (Lane("b", 0), A)


def test_no_bid_is_made_where_a_lane_is_to_be_let_in(time: Time) -> None:
    bench = bench_of()
    bench.lanes.add([HIGH])
    bench.lanes.ageing = Ageing(1.0)
    bench.lanes.ageing.passed([A], HIGH.priority, time.now)
    time.now += 4.9
    asyncio.run(bench.claimer.took(bid_of(bench), None))
    time.now += 0.2
    assert bench.claimer.bid(ENDED) is None


@pytest.mark.parametrize("slots, ahead", [(0, 0), (-2, 4)])
def test_without_room_that_is_worth_a_claim_no_bid_is_made(slots: int, ahead: int) -> None:
    assert bench_of(slots=slots, ahead=ahead).claimer.bid(ENDED) is None


def test_no_bid_is_made_when_a_walk_is_due_that_looks_further_down(time: Time) -> None:
    bench = Bench(Store(True, a=50), slots=4)
    frontier = bench.claimer.frontier
    frontier.claimed(A, 30)
    assert bench.claimer.bid(ENDED) is None
    frontier.starts(Walk.LAGGED, time.now)
    assert bench.claimer.bid(ENDED) is None
    frontier.walked_fully([A], time.now, time.now + 1.0)
    bid = bid_of(bench)
    batch = next(bid.claim.start()).batch
    assert batch is not None
    assert batch.rows == [("a", 0, 30)]
    asyncio.run(bench.claimer.took(bid, None))
    time.now += LAGGED_EVERY_SECONDS + 0.01
    assert bench.claimer.bid(ENDED) is None


def rested(bench: Bench, then: Callable[[], None]) -> None:
    """Run until the claimer waits, then do that."""
    asked: list[float] = []

    def has_rested() -> bool:
        if bench.claimer.may_be_asked_for() and not asked:
            asked.append(1)
            then()
        return asked != []

    bench.run(has_rested)


@pytest.mark.parametrize("slots, limit", [(1, 1), (4, 2), (5, 3)])
def test_a_bid_at_rest_leaves_half_of_the_room(slots: int, limit: int) -> None:
    bench, limits = bench_of(slots=slots, a=0), list[int]()

    def bids() -> None:
        bid = bench.claimer.bid_at_rest()
        assert bid is not None
        limits.append(bid.limit)
        bench.claimer.lost(bid)

    rested(bench, bids)
    assert limits == [limit]


def test_who_is_about_to_claim_does_not_rest() -> None:
    bench, bids = bench_of(a=0), list[Bid | None]()

    def looks() -> None:
        bench.claimer.look()
        bids.append(bench.claimer.bid_at_rest())

    assert bench.claimer.bid_at_rest() is None
    rested(bench, looks)
    assert bids == [None]


def test_at_rest_a_bid_goes_beyond_all_claims_whatever_walk_is_due() -> None:
    bench, starts = Bench(Store(True, a=0), slots=4, poll_seconds=60.0), list[Any]()
    bench.claimer.frontier.claimed(A, 30)

    def bids() -> None:
        assert bench.claimer.bid(ENDED) is None
        bid = bench.claimer.bid_at_rest()
        assert bid is not None
        batch = next(bid.claim.start()).batch
        assert batch is not None
        starts.extend(batch.rows)
        bench.claimer.lost(bid)

    rested(bench, bids)
    assert starts == [("a", 0, 30)]


def test_a_bid_tells_whether_there_may_be_more_than_what_is_let_in() -> None:
    assert bid_of(bench_of(a=0)).may_have_more
    bench, bids = bench_of(a=0), list[Bid]()

    def has_found_all() -> bool:
        if bench.claimer.idle.is_set():
            bids.append(bid_of(bench))
            bench.claimer.lost(bids[0])
        return bids != []

    bench.run(has_found_all)
    assert not bids[0].may_have_more


def test_a_claim_leaves_the_room_of_a_bid_alone() -> None:
    bench = bench_of(slots=4)
    bids = [bid_of(bench)]
    assert bids[0].limit == 4
    bench.slots = 6

    def has_claimed() -> bool:
        if len(bench.jobs) == 2 and bids:
            bench.slots = 2
            bench.claimer.lost(bids.pop())
        return not bids

    bench.run(has_claimed)
    assert bench.store.limits == [2]


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_claim_for_which_a_bid_left_no_room_is_made_after_it(is_lost: bool) -> None:
    bench, turns = bench_of(slots=4), iter(range(MANY_TURNS))
    claimer, bids = bench.claimer, [bid_of(bench)]

    def has_claimed() -> bool:
        if next(turns, None) is None and bids:
            assert bench.store.limits == []
            assert not claimer.idle.is_set()
            bid = bids.pop()
            if is_lost:
                claimer.lost(bid)
            else:
                with pytest.raises(StopIteration):
                    claimer.took(bid, None).send(None)
        return len(bench.jobs) == 4

    bench.run(has_claimed)
    assert bench.store.limits == [4]


def test_who_has_not_tried_gives_the_records_back() -> None:
    claimer = (bench := bench_of()).claimer
    claimer.records.add([job(1, claim_id=7)])
    claimer.ended([end(1)])
    bid = bid_of(bench)
    assert bid.done == [7]
    asyncio.run(claimer.took(bid, None))
    assert (claimer.claims, bench.jobs) == (0, [])
    assert bid_of(bench).done == [7]


def test_what_was_claimed_is_held_and_the_next_claim_goes_beyond() -> None:
    claimer = (bench := bench_of(slots=4)).claimer
    claimer.records.add([job(1, claim_id=7)])
    claimer.ended([end(1)])
    jobs = [job(2), job(3)]
    asyncio.run(claimer.took(bid_of(bench), jobs))
    assert (claimer.claims, bench.jobs) == (1, jobs)
    assert claimer.records.held == {(2, 1): jobs[0], (3, 1): jobs[1]}
    assert claimer.frontier.published() == {A: 3}
    bid = bid_of(bench)
    assert (bid.limit, bid.done) == (2, [])


def test_what_was_claimed_while_the_worker_stops_is_given_back() -> None:
    bench = bench_of()
    bid = bid_of(bench)
    bench.claimer.close()
    asyncio.run(bench.claimer.took(bid, [job(2), job(3)]))
    assert bench.store.given_back == [2, 3]
    assert (bench.jobs, bench.claimer.records.held) == ([], {})


def test_after_a_bid_the_claimer_has_all_its_room_again() -> None:
    bench = bench_of(slots=4)
    asyncio.run(bench.claimer.took(bid_of(bench), [job(100)]))
    bench.run(lambda: len(bench.jobs) == 4)
    assert bench.store.limits == [3]


def test_lanes_that_a_bid_passed_over_grow_older(time: Time) -> None:
    bench = bench_of(slots=1)
    bench.lanes.add([HIGH])
    bench.lanes.ageing = Ageing(1.0)
    urgent = replace(job(1), priority=HIGH.priority)
    asyncio.run(bench.claimer.took(bid_of(bench), [urgent]))
    assert [ask.lanes for ask in bench.lanes.asks(time.now + 4.9)] == [(HIGH, A)]
    assert [ask.lanes for ask in bench.lanes.asks(time.now + 5.1)] == [(A,), (HIGH, A)]


def test_a_bid_that_was_not_filled_came_to_all_its_lanes(time: Time) -> None:
    bench = bench_of(slots=4)
    bench.lanes.add([HIGH])
    bench.lanes.ageing = Ageing(1.0)
    bench.lanes.ageing.passed([A], HIGH.priority, time.now)
    urgent = replace(job(1), priority=HIGH.priority)
    asyncio.run(bench.claimer.took(bid_of(bench), [urgent]))
    assert [ask.lanes for ask in bench.lanes.asks(time.now + 9.0)] == [(HIGH, A)]


class Losing:
    """A claimer that has lost a bid, and a store that says that it holds jobs."""

    def __init__(self, time: Time) -> None:
        self.time, self.store = time, Asked(a=0)
        self.bench = Bench(self.store, slots=4)
        self.bench.claimer.records.return_done([7])
        self.claimer = self.bench.claimer

    def lose(self) -> None:
        self.claimer.lost(bid_of(self.bench))
        self.store.unheard = [1, 2]

    def gives_back_at_once(self) -> None:
        self.bench.run(lambda: self.store.given_back != [])
        assert self.store.given_back == [1, 2]


def test_what_a_lost_bid_claimed_is_given_back(time: Time) -> None:
    losing = Losing(time)
    losing.lose()
    assert losing.claimer.records.take_done() == [7]
    losing.gives_back_at_once()
    assert losing.bench.jobs == []


def test_what_is_committed_late_is_given_back_by_a_later_look(time: Time) -> None:
    losing = Losing(time)
    losing.lose()
    losing.store.unheard = []
    turns = iter(range(MANY_TURNS))

    def are_given_back() -> bool:
        if next(turns, None) is None and not losing.store.unheard:
            assert losing.store.reconciled == 1
            losing.store.unheard = [1, 2]
            time.now += SOON - 0.1
            losing.claimer.look()
            assert losing.store.given_back == []
            time.now += 0.2
        return losing.store.given_back != []

    losing.bench.run(are_given_back)
    assert losing.store.given_back == [1, 2]


def test_who_rests_looks_once_a_bid_is_lost(time: Time) -> None:
    losing = Losing(time)
    lost: list[float] = []

    def are_given_back() -> bool:
        if losing.claimer.may_be_asked_for() and not lost:
            losing.lose()
            lost.append(time.now)
        return losing.store.given_back != []

    losing.bench.run(are_given_back)
    assert losing.store.given_back == [1, 2]


def test_a_second_doubt_does_not_put_the_question_off(time: Time) -> None:
    claimer = Losing(time).claimer
    claimer._doubt()
    time.now += SOON - 1.0
    claimer._doubt()
    assert not claimer._is_in_doubt(time.now + 0.9)
    assert claimer._is_in_doubt(time.now + 1.1)


def test_in_doubt_no_bid_is_made_and_nobody_is_told_that_it_is_idle(time: Time) -> None:
    losing = Losing(time)
    losing.lose()
    assert losing.claimer.bid(ENDED) is None
    assert asyncio.run(losing.claimer._round()) is False
    assert not losing.claimer.idle.is_set()
    losing.gives_back_at_once()


def test_the_store_is_not_asked_while_a_bid_is_open(time: Time) -> None:
    losing = Losing(time)
    bids = [bid_of(losing.bench)]
    losing.claimer._doubt(at_once=True)
    losing.store.unheard = [1, 2]
    turns = iter(range(MANY_TURNS))

    def are_given_back() -> bool:
        if next(turns, None) is None and bids:
            assert losing.store.reconciled == 0
            losing.claimer.lost(bids.pop())
        return losing.store.given_back != []

    losing.bench.run(are_given_back)
    assert bids == []
    assert losing.store.given_back == [1, 2]


def test_what_nobody_could_take_over_is_given_back(time: Time) -> None:
    losing = Losing(time)
    bid = bid_of(losing.bench)
    losing.store.unheard = [1, 2]

    def breaks(_jobs: object) -> None:
        raise ValueError("a fault of ours")

    losing.claimer._put = breaks
    losing.claimer.records.add = breaks  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="a fault of ours"):
        asyncio.run(losing.claimer.took(bid, [job(1), job(2)]))
    losing.gives_back_at_once()


def test_what_could_not_be_set_aside_is_asked_for_later(time: Time) -> None:
    losing = Losing(time)
    losing.store.cut_at = "set_aside"
    losing.claimer.know(Known(paused_tasks=frozenset({"t"})))
    losing.store.unheard = [1, 2]
    asyncio.run(losing.claimer.took(bid_of(losing.bench), [job(1), job(2)]))
    assert (losing.bench.jobs, losing.claimer.records.held) == ([], {})
    losing.gives_back_at_once()
