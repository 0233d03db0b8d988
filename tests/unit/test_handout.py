"""Who waits for jobs: in what order they are woken, and what happens when they go away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Literal, TypeVar

import pytest

from jobpipe.config.values import read_queues
from jobpipe.delivery.hub import Hint, Hub
from jobpipe.model.change import Change, Changes
from jobpipe.model.job import Claimed, Lane
from jobpipe.model.state import State
from jobpipe.model.worker import NewWorker
from jobpipe.policy.ageing import Ageing
from jobpipe.policy.retry import ListDelays
from jobpipe.runtime.handout import Handout, Wish
from jobpipe.runtime.lanes import LaneChoice
from jobpipe.runtime.referee import Referee
from jobpipe.runtime.telling import Telling
from jobpipe.runtime.unparker import Unparkers
from jobpipe.store.port import Capabilities, Operation
from jobpipe.store.stepping import step
from jobpipe.tasks.registry import Registry

T = TypeVar("T")

A, B = Lane("a", 0), Lane("b", 0)
LONG = 30.0


class Store:
    """Queues of numbers; the test holds the answers of some operations back by ``gates``."""

    capabilities = Capabilities(
        dialect="x", frontier=False, peek=False, exclusive_writer=False, shared=True
    )

    def __init__(self, **queued: int) -> None:
        self.queued = queued
        self.claims = 0
        self.given_back: list[int] = []
        self.ended: list[int] = []
        self.expired: set[int] = set()
        self.undoes = False
        self.gates: dict[str, asyncio.Event] = {}
        self.held_back = asyncio.Queue[str]()
        """The operations that have come to their gate."""
        self.suspect_in: set[str] = set()
        self._id = 0
        self._places: dict[int, str] = {}

    async def run(self, operation: Operation[T]) -> T:
        if self.undoes and operation.name == "hand_out":
            step(operation, self._answer)
        answer = step(operation, self._answer)
        if gate := self.gates.get(operation.name):
            self.held_back.put_nowait(operation.name)
            await gate.wait()
        await asyncio.sleep(0)
        return answer

    def _answer(self, statement: Any) -> list[dict[str, Any]]:
        match statement.name:
            case "register":
                return [{"id": 7}]
            case "grow_claim" | "keep_claim":
                return [{"lease_until": 1}]
            case "claim":
                self.claims += 1
                return self._taken(statement)
            case "give_back":
                ids = [row[0] for row in statement.batch.rows]
                self.given_back += ids
                for id in ids:
                    self.queued[self._places[id]] += 1
                facts = {"token": 1, "claim_id": 1, "priority": 0}
                return [{"id": id, "queue": self._places[id], "rank": id, **facts} for id in ids]
            case "held":
                return [{"id": id, "token": 1, "rank": id, "claim_id": 1} for id in self._running()]
            case "end_worker":
                self.ended.append(statement.params["worker"])
        return []

    def _running(self) -> list[int]:
        return [id for id in self._places if id not in self.expired]

    def _taken(self, statement: Any) -> list[dict[str, Any]]:
        taken: list[dict[str, Any]] = []
        for queue, priority, _after in statement.batch.rows:
            while self.queued.get(queue) and len(taken) < statement.params["limit"]:
                self.queued[queue] -= 1
                self._id += 1
                expired = self._id in self.expired
                facts = (self._id, 1, 1, "t", queue, priority, "{}", 1, None, expired, self._id)
                self._places[self._id] = queue
                more = 1, None, queue in self.suspect_in, None
                row = zip(Claimed.__struct_fields__, (*facts, *more), strict=True)
                taken.append(dict(row))
        return taken


class Resting(asyncio.Event):
    """Tells the test each time that somebody begins to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Semaphore(0)

    async def wait(self) -> Literal[True]:
        self.begun.release()
        return await super().wait()


class Watched(Wish):
    """A wish whose rests the test can wait for."""

    def __init__(self, *wanted: Any) -> None:
        super().__init__(*wanted)
        self.woken = self.rests = Resting()


def handout(store: Any, hub: Hub | None = None) -> Handout:
    referee = Referee(Registry(), ListDelays((1.0,)), 1_000)
    telling = Telling(hub or Hub())
    unparkers = Unparkers(store, lambda hint: None)
    made = Handout(store, referee, unparkers, telling, 1.0, Ageing(1.0))
    made.hint(Hint({A: 1, B: 1}))
    return made


def wish(queues: str = "a", slots: int = 1) -> Watched:
    worker = NewWorker(name="w", host="h", pid=0, pid_started="", slots=0, queues=[queues])
    return Watched(worker, 1_000_000, LaneChoice(read_queues(queues)), slots, None)


def granted(wished: Wish) -> list[int]:
    return [job.id for job in wished.jobs]


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await main()

    asyncio.run(bounded())


async def waiting(made: Handout, *wishes: Watched) -> list[asyncio.Task[bool]]:
    """Let them wait, in this order."""
    tasks = []
    for each in wishes:
        tasks.append(asyncio.create_task(made.grant(each, LONG)))
        await each.rests.begun.acquire()
    return tasks


def test_who_is_given_all_wakes_the_next() -> None:
    async def main() -> None:
        store = Store()
        made = handout(store)
        wishes = [wish(), wish(), wish()]
        tasks = await waiting(made, *wishes)
        claims, store.queued["a"] = store.claims, 2
        made.hint(Hint({A: 5}))
        assert [await task for task in tasks[:2]] == [True, True]
        assert [granted(each) for each in wishes] == [[1], [2], []]
        await wishes[2].rests.begun.acquire()
        assert store.claims == claims + 3  # the last one found nothing, and waits
        assert not tasks[2].done()
        made.close()
        assert await tasks[2] is False

    run(main)


def test_a_hint_wakes_those_whom_it_concerns() -> None:
    async def main() -> None:
        store = Store()
        made = handout(store)
        tasks = await waiting(made, wish("a"), wish("b"))
        claims, store.queued["b"] = store.claims, 1
        made.hint(Hint({B: 5}))
        assert await tasks[1]
        assert store.claims == claims + 1
        made.close()
        await tasks[0]

    run(main)


def test_a_hint_that_comes_during_a_claim_is_not_lost() -> None:
    async def main() -> None:
        store = Store()
        made = handout(store)
        gate = store.gates["hand_out"] = asyncio.Event()
        wished = wish()
        task = asyncio.create_task(made.grant(wished, LONG))
        await store.held_back.get()  # its claim has found nothing, and it does not know yet
        store.queued["a"] = 1
        made.hint(Hint({A: 5}))
        gate.set()
        assert await task
        assert granted(wished) == [1]

    run(main)


def test_who_goes_away_leaves_nothing_claimed() -> None:
    async def main() -> None:
        store = Store(a=2)
        made = handout(store)
        claiming = store.gates["hand_out"] = asyncio.Event()
        returning = store.gates["give_claim_back"] = asyncio.Event()
        gone = asyncio.create_task(made.grant(wish(slots=2), LONG))
        for gate in (claiming, returning):  # it is cancelled again and again
            await store.held_back.get()
            for _ in range(2):
                gone.cancel()
                await asyncio.sleep(0)
            gate.set()
        await asyncio.wait([gone])
        assert gone.cancelled()
        assert store.given_back == [1, 2]
        assert store.ended == [7]

    run(main)


@pytest.mark.parametrize("has_frontier", [True, False])
def test_a_suspect_that_was_given_back_is_looked_for_again(has_frontier: bool) -> None:
    async def main() -> None:
        store = Store(a=2, b=2)
        store.capabilities = replace(store.capabilities, frontier=has_frontier)
        store.suspect_in = {"b"}
        made, wished = handout(store), wish("a:1,b", slots=3)
        assert await made.grant(wished, 0)
        assert granted(wished) == [1]
        assert store.given_back == [2, 3]
        assert made.frontier.published() == {A: 1, B: 1}

    run(main)


def test_who_was_woken_and_gives_up_wakes_the_next() -> None:
    async def main() -> None:
        store = Store()
        made = handout(store)
        wishes = [wish(), wish()]
        tasks = await waiting(made, *wishes)
        store.queued["a"] = 1
        made.hint(Hint({A: 5}))
        tasks[0].cancel()  # in the same turn of the loop: it never claims
        assert await tasks[1]
        assert granted(wishes[1]) == [1]

    run(main)


def test_what_a_try_that_was_undone_had_found_is_not_handed_out() -> None:
    async def main() -> None:
        store = Store(a=1)
        store.undoes = True  # and then somebody else took the job
        wished = wish()
        assert not await handout(store).grant(wished, 0)
        assert granted(wished) == []

    run(main)


def test_several_queues_fill_one_claim() -> None:
    async def main() -> None:
        store = Store(a=5, b=5)
        wished = wish("a:2,b", slots=4)
        assert await handout(store).grant(wished, 0)
        assert [job.queue for job in wished.jobs] == ["a", "a", "b", "b"]
        assert wished.claim == 7

    run(main)


def test_a_look_asks_once_for_all_who_wait() -> None:
    async def main() -> None:
        store = Store()
        made = handout(store)
        assert made.question() is None
        tasks = await waiting(made, wish("a"), wish("*"), wish("b"))
        asked = made.question()
        assert asked is not None
        assert sorted(asked.after) == [A, B]
        made.close()
        await asyncio.gather(*tasks)

    run(main)


@pytest.mark.parametrize("is_watched", [True, False])
def test_what_becomes_of_jobs_is_told_while_somebody_watches(is_watched: bool) -> None:
    async def main() -> None:
        store, hub, hints = Store(a=3), Hub(), list[Hint]()
        hub.is_watched_elsewhere = is_watched
        hub.subscribe(hints.append)
        store.expired = {1}
        made = handout(store, hub)
        gate = store.gates["hand_out"] = asyncio.Event()
        gone = asyncio.create_task(made.grant(wish(slots=3), LONG))
        await store.held_back.get()
        gone.cancel()
        gate.set()
        await asyncio.wait([gone])
        runs, back = changes("running", 2, 3), changes("queued", 2, 3)
        told = [Hint(changes=runs), Hint(changes=changes("failed", 1)), Hint({A: 2}, changes=back)]
        assert hints == (told if is_watched else [Hint({A: 2})])

    run(main)


def changes(state: str, *ids: int) -> Changes:
    return Changes(tuple(Change(id, State(state), "a") for id in ids))
