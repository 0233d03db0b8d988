"""Outcomes on their way to the store: gathered, written again after a cut, halved when refused."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from jobpipe.errors import StoreUnavailable
from jobpipe.model.job import Finish
from jobpipe.model.state import Reason, State
from jobpipe.runtime import finisher as module
from jobpipe.runtime.finisher import BATCH_MAX, Finisher, Refused
from jobpipe.store.ops.finish import Finished, finish
from jobpipe.store.port import Operation
from jobpipe.store.stepping import step

LIMIT_SECONDS = 10.0


def outcome(id: int, **fields: Any) -> Finish:
    given: dict[str, Any] = {"token": 1, "state": State.SUCCEEDED, "outcome": "succeeded"}
    return Finish(id=id, **{**given, **fields})


class Store:
    """Takes outcomes, except where the test says otherwise."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.written: dict[int, str] = {}
        self.cuts: list[str] = []
        """For the next writes: ``before`` or ``after`` the commit the connection breaks."""
        self.poison: set[int] = set()
        self.gate = asyncio.Event()
        self.gate.set()

    async def run(self, operation: Operation[Any]) -> Any:
        if operation.name == "finish":
            await self.gate.wait()
        return step(operation, self._answer)

    def _answer(self, statement: Any) -> list[dict[str, Any]]:
        if statement.name == "read_tokens":
            ids = statement.params["ids"]
            return [
                {"id": id, "token": 1, "state": self.written[id]}
                for id in ids
                if id in self.written
            ]
        rows = statement.batch.rows
        self.batches.append([row[0] for row in rows])
        cut = self.cuts.pop(0) if self.cuts else ""
        if cut == "before":
            raise StoreUnavailable
        if any(row[0] in self.poison and row[3] != Reason.UNSTORABLE for row in rows):
            raise ValueError("this data is refused")
        taken = [row for row in rows if row[0] not in self.written and row[1] == 1]
        self.written |= {row[0]: row[2] for row in taken}
        if cut == "after":
            raise StoreUnavailable
        return [
            {"id": row[0], "state": row[2], "cancel_requested": False, "marked": False}
            for row in taken
        ]


class Bench:
    """A finisher at work, and what it said was written."""

    def __init__(self) -> None:
        self.store = Store()
        self.told: list[tuple[list[int], list[int]]] = []
        self.finisher = Finisher(self.store, self._write, self._written)  # type: ignore[arg-type]

    async def _write(self, outcomes: Sequence[Finish]) -> list[Finished]:
        try:
            return await self.store.run(finish(outcomes, 0))
        except ValueError as error:
            raise Refused from error

    def _written(self, batch: Sequence[Finish], taken: Sequence[Finished]) -> None:
        self.told.append(([end.id for end in batch], [end.id for end in taken]))

    async def run(self, *rounds: Sequence[Finish]) -> None:
        """Hand over each round at once, and wait until it is settled."""
        working = asyncio.create_task(self.finisher.run())
        async with asyncio.timeout(LIMIT_SECONDS):
            for outcomes in rounds:
                for each in outcomes:
                    self.finisher.put(each)
                assert not self.finisher.is_drained
                await self.finisher.drained()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHORTEST_PAUSE", 0.0)


def run(bench: Bench, *rounds: Sequence[Finish]) -> Bench:
    asyncio.run(bench.run(*rounds))
    return bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_is_handed_over_together_is_written_together(bench: Bench) -> None:
    run(bench, [outcome(n) for n in range(3)], [outcome(7)])
    assert bench.store.batches == [[0, 1, 2], [7]]
    assert bench.told == [([0, 1, 2], [0, 1, 2]), ([7], [7])]


def test_a_batch_is_bounded(bench: Bench) -> None:
    run(bench, [outcome(n) for n in range(BATCH_MAX + 1)])
    assert [len(batch) for batch in bench.store.batches] == [BATCH_MAX, 1]


def test_an_outcome_is_written_again_until_the_store_answers(bench: Bench) -> None:
    bench.store.cuts = ["before", "before"]
    run(bench, [outcome(1)])
    assert bench.store.batches == [[1], [1], [1]]
    assert bench.told == [([1], [1])]


def test_an_outcome_that_stood_when_the_connection_broke_was_not_refused(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.store.cuts = ["after"]
    run(bench, [outcome(1)])
    assert bench.store.batches == [[1], [1]]
    assert bench.told == [([1], [])]
    assert not [record for record in caplog.records if "refused" in record.getMessage()]


def test_a_stale_outcome_is_reported_and_dropped(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    run(bench, [outcome(1), outcome(2, token=9)])
    assert bench.told == [([1, 2], [1])]
    assert any(record.levelname == "WARNING" for record in caplog.records)


def test_one_outcome_that_the_store_refuses_ends_unstorable_and_spares_the_others(
    bench: Bench,
) -> None:
    bench.store.poison = {3}
    run(bench, [outcome(n) for n in range(8)])
    assert bench.store.written == {
        **{n: "succeeded" for n in range(8) if n != 3},
        3: "failed",
    }
    assert [id for _, taken in bench.told for id in taken] == [0, 1, 2, 3, 4, 5, 6, 7]


def test_an_unstorable_outcome_tells_why() -> None:
    end = module.unstorable(outcome(3, duration_us=7, result='"x"'), ValueError("too odd\x00"))
    assert (end.id, end.token, end.state, end.reason) == (3, 1, State.FAILED, Reason.UNSTORABLE)
    assert (end.result, end.duration_us) == (None, 7)
    assert "too odd" in str(end.error)


def test_what_is_taken_back_is_not_written(bench: Bench) -> None:
    async def case() -> list[int]:
        bench.store.gate.clear()
        working = asyncio.create_task(bench.finisher.run())
        bench.finisher.put(outcome(1))
        while bench.finisher._pending:  # noqa: ASYNC110  # one turn of the loop at a time
            await asyncio.sleep(0)
        bench.finisher.put(outcome(2))
        unwritten = [end.id for end in bench.finisher.take_unwritten()]
        bench.store.gate.set()
        async with asyncio.timeout(LIMIT_SECONDS):
            await bench.finisher.drained()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return unwritten

    assert asyncio.run(case()) == [1, 2]
    assert bench.store.batches == [[1]]
