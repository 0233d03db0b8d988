"""Outcomes that somebody minds: written, judged and followed by a claim in one transaction."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobpipe.errors import StoreUnavailable
from jobpipe.model.job import Finish
from jobpipe.model.state import State
from jobpipe.runtime.bidding import Bidder
from jobpipe.runtime.claimer import Bid
from jobpipe.runtime.finisher import Refused
from jobpipe.runtime.lanes import Ask
from jobpipe.runtime.turnover import Turnover
from jobpipe.store.ops.admit import Admitted
from jobpipe.store.ops.claim import claim
from jobpipe.store.ops.finish import Finished
from jobpipe.store.ops.turn_over import TurnedOver
from jobpipe.store.port import Operation

OUTCOME = Finish(id=1, token=1, state=State.SUCCEEDED, outcome="succeeded")
PLAIN = [Finished(1, State.SUCCEEDED, False)]
MINDED = [Finished(1, State.SUCCEEDED, False, marked=True)]
ROUND = Admitted((), (), is_scheduled=False, more=False)
BID = Bid(Ask(()), 5, [], claim(1, [], 5, after={}, done=[]), may_have_more=False)


class Scene:
    """A store that answers as it is told, and all that is told to others."""

    def __init__(self, *answers: Any) -> None:
        self.asked: list[str] = []
        self.said: list[object] = []
        self.fault: Exception | None = None
        self._answers = list(answers)
        bidder = Bidder(self, self)  # type: ignore[arg-type]
        self.turnover = Turnover(self, self, bidder, 1_000)  # type: ignore[arg-type]

    async def run(self, operation: Operation[Any]) -> Any:
        self.asked.append(operation.name)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask_for_round(self) -> int:
        return 7

    def admit(self) -> None:
        self.said.append("admit")

    def admitted(self, _began: float, round_: Admitted) -> None:
        self.said.append(round_)

    def bid(self, most: int) -> Bid:
        assert most == 1
        return BID

    def lost(self, bid: Bid) -> None:
        self.said.append(("lost", bid))

    async def took(self, bid: Bid, jobs: list[Any] | None) -> None:
        if self.fault is not None:
            raise self.fault
        self.said.append(("took", bid, jobs))

    def write(self, times: int = 1) -> list[list[Finished]]:
        async def written() -> list[list[Finished]]:
            return [await self.turnover.write([OUTCOME]) for _ in range(times)]

        return asyncio.run(written())


def test_outcomes_that_nobody_minds_are_written_alone() -> None:
    scene = Scene(PLAIN, PLAIN)
    assert scene.write(2) == [PLAIN, PLAIN]
    assert (scene.asked, scene.said) == (["finish", "finish"], [])


def test_once_somebody_minded_the_next_are_turned_over() -> None:
    scene = Scene(MINDED, TurnedOver(MINDED, ROUND), TurnedOver(PLAIN), PLAIN)
    assert scene.write(4) == [MINDED, MINDED, PLAIN, PLAIN]
    assert scene.asked == ["finish", "turn_over", "turn_over", "finish"]
    took = ("took", BID, None)
    assert scene.said == ["admit", took, ROUND, took]


def test_somebody_else_admits_just_now() -> None:
    scene = Scene(MINDED, TurnedOver(MINDED))
    scene.write(2)
    assert scene.said == ["admit", ("took", BID, None), "admit"]


def test_a_round_that_fails_costs_no_outcome() -> None:
    scene = Scene(MINDED, ValueError("a bad row"), MINDED)
    assert scene.write(2) == [MINDED, MINDED]
    assert scene.asked == ["finish", "turn_over", "finish"]
    assert scene.said == ["admit", ("took", BID, None), "admit"]


def test_an_error_after_the_commit_is_not_taken_for_a_refusal() -> None:
    scene = Scene(MINDED, TurnedOver(MINDED, ROUND, []))

    scene.fault = ValueError("a fault of ours")
    with pytest.raises(ValueError, match="a fault of ours"):
        scene.write(2)
    assert scene.asked == ["finish", "turn_over"]


def test_data_that_the_store_does_not_take_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        Scene(ValueError("a bad result")).write()
    assert str(refused.value.__cause__) == "a bad result"


def test_after_a_cut_outcomes_are_written_alone() -> None:
    scene = Scene(MINDED, StoreUnavailable("the round took too long"), MINDED)
    with pytest.raises(StoreUnavailable):
        scene.write(2)
    assert scene.write() == [MINDED]
    assert scene.asked == ["finish", "turn_over", "finish"]


def test_outcomes_do_not_wait_for_a_backlog_of_rounds() -> None:
    more = Admitted((), (), is_scheduled=False, more=True)
    scene = Scene(MINDED, TurnedOver(MINDED, more), MINDED)
    scene.write(3)
    assert scene.asked == ["finish", "turn_over", "finish"]


def test_what_slows_a_key_down_is_written_alone() -> None:
    scene = Scene(MINDED, MINDED)
    slowing = Finish(id=1, token=1, state=State.RETRYING, outcome="failed", slow_us=5)

    async def written() -> None:
        await scene.turnover.write([OUTCOME])
        await scene.turnover.write([slowing])

    asyncio.run(written())
    assert scene.asked == ["finish", "finish"]


def test_a_cut_is_told_to_who_writes_and_to_who_claims() -> None:
    scene = Scene(MINDED, StoreUnavailable("cut"))
    with pytest.raises(StoreUnavailable):
        scene.write(2)
    assert scene.said == ["admit", ("lost", BID)]
