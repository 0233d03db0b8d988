"""What jobs say on its way to the store: gathered, in order, and before the outcome."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from jobpipe.errors import StoreUnavailable
from jobpipe.model.job import Finish
from jobpipe.model.report import Checkpoint, LogLine, Progress
from jobpipe.model.state import State
from jobpipe.runtime import reporter as module
from jobpipe.runtime import unwritten
from jobpipe.runtime.reporter import Reporter
from jobpipe.runtime.unwritten import Key
from jobpipe.store.port import Operation
from jobpipe.store.stepping import step

LIMIT_SECONDS = 10.0


class Store:
    """Takes what is said, except where the test says otherwise."""

    def __init__(self) -> None:
        self.written: list[tuple[str, list[tuple[Any, ...]]]] = []
        self.away = 0
        """So many writes find the store away."""
        self.over: set[Key] = set()
        self.poison = "poison"

    async def run(self, operation: Operation[Any]) -> Any:
        await asyncio.sleep(0)
        return step(operation, self._answer)

    def _answer(self, statement: Any) -> list[dict[str, Any]]:
        rows = statement.batch.rows
        if self.away:
            self.away -= 1
            raise StoreUnavailable
        if any(self.poison in row for row in rows):
            raise ValueError("this data is refused")
        self.written.append((statement.name, list(rows)))
        keys = {(row[0], row[1]) for row in rows} - self.over
        return [{"job_id": job_id, "token": token} for job_id, token in keys]

    def names(self) -> list[str]:
        return [name for name, _ in self.written]

    def rows(self, name: str) -> list[tuple[Any, ...]]:
        return [row for written, rows in self.written if written == name for row in rows]


class Bench:
    """A reporter at work; what it lets go and what it hears stands in order."""

    def __init__(self) -> None:
        self.store = Store()
        self.released: list[tuple[int, int]] = []
        """(job id, how many statements had been written by then)"""
        self.let_go: asyncio.Queue[int] = asyncio.Queue()
        self.refused: list[Key] = []
        self.reporter = Reporter(self.store, self._release, self.refused.append)  # type: ignore[arg-type]

    def _release(self, outcome: Finish) -> None:
        self.released.append((outcome.id, len(self.store.written)))
        self.let_go.put_nowait(outcome.id)

    def line(self, id: int, number: int = 1, message: str = "said") -> None:
        self.reporter.line(LogLine(id, 1, number, 0, 20, "x", message))

    def progress(self, id: int, done: float) -> None:
        self.reporter.progress(Progress(id, 1, done))

    def save(self, id: int, state: str) -> None:
        self.reporter.checkpoint(Checkpoint(id, 1, state))

    def settle(self, id: int) -> None:
        self.reporter.settle(Finish(id=id, token=1, state=State.SUCCEEDED, outcome="succeeded"))


def at_work(test: Callable[[Bench], Awaitable[None]]) -> Bench:
    """Run a test beside a reporter that works, and let it write all that it was told."""

    async def run() -> Bench:
        bench = Bench()
        working = asyncio.create_task(bench.reporter.run())
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                await test(bench)
                await bench.reporter.drained()
        finally:
            working.cancel()
        return bench

    return asyncio.run(run())


def test_an_outcome_before_which_nothing_was_said_goes_on_at_once() -> None:
    async def test(bench: Bench) -> None:
        bench.line(1)
        bench.settle(2)
        assert bench.released == [(2, 0)]

    at_work(test)


def test_what_was_said_is_written_before_the_outcome() -> None:
    async def test(bench: Bench) -> None:
        bench.line(1)
        bench.progress(1, 5)
        bench.save(1, "{}")
        bench.settle(1)
        assert bench.released == []

    bench = at_work(test)
    assert bench.store.names() == ["write_lines", "write_progress", "save_checkpoints"]
    assert bench.released == [(1, 3)]


def test_much_costs_few_statements_and_only_the_newest_progress_counts() -> None:
    async def test(bench: Bench) -> None:
        for number in range(2_500):
            bench.line(1, number)
            bench.progress(1, number)
            bench.save(1, f"{number}")
        for id in range(2, 12):
            bench.line(id)
            bench.settle(id)
        bench.settle(1)

    bench = at_work(test)
    assert bench.store.names() == ["write_lines"] * 3 + ["write_progress", "save_checkpoints"]
    assert [row[2] for row in bench.store.rows("write_lines")[:2_500]] == list(range(2_500))
    assert [row[2] for row in bench.store.rows("write_progress")] == [2_499]
    assert [row[2] for row in bench.store.rows("save_checkpoints")] == ["2499"]
    assert {id for id, _ in bench.released} == set(range(1, 12))


def test_an_outcome_does_not_hurry_the_progress_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GATHER_SECONDS", 3600.0)

    async def test(bench: Bench) -> None:
        for id in range(2, 22):
            bench.progress(1, id)
            bench.progress(id, 1)
            bench.settle(id)
            await bench.let_go.get()
        assert len([row for row in bench.store.rows("write_progress") if row[0] == 1]) == 1
        bench.settle(1)

    bench = at_work(test)
    assert [row[2] for row in bench.store.rows("write_progress") if row[0] == 1] == [2, 21]


def test_while_the_store_is_away_everything_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHORTEST_PAUSE", 0.001)

    async def test(bench: Bench) -> None:
        bench.store.away = 5
        bench.line(1)
        bench.settle(1)
        bench.line(2)

    bench = at_work(test)
    assert [row[0] for row in bench.store.rows("write_lines")] == [1, 2]
    assert [id for id, _ in bench.released] == [1]


def test_beyond_a_bound_lines_are_dropped_and_outcomes_are_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(unwritten, "WAITING_LINES", 10)

    async def test(bench: Bench) -> None:
        for id in range(15):
            bench.line(id)
            bench.settle(id)

    with caplog.at_level(logging.WARNING, "jobpipe"):
        bench = at_work(test)
    assert len(bench.store.rows("write_lines")) == 10
    assert sorted(id for id, _ in bench.released) == list(range(15))
    assert "5 lines of jobs' logs dropped: too many waited to be written" in caplog.messages


def test_bytes_that_wait_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwritten, "WAITING_BYTES", 3_000)

    async def test(bench: Bench) -> None:
        for id in range(10):
            bench.line(id, message="x" * 900)

    assert len(at_work(test).store.rows("write_lines")) == 3


def test_a_line_that_the_store_refuses_takes_no_other_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(bench: Bench) -> None:
        for id in range(1, 9):
            bench.line(id, message="poison" if id == 5 else "good")
            bench.settle(id)

    with caplog.at_level(logging.WARNING, "jobpipe"):
        bench = at_work(test)
    assert sorted(row[0] for row in bench.store.rows("write_lines")) == [1, 2, 3, 4, 6, 7, 8]
    assert sorted(id for id, _ in bench.released) == list(range(1, 9))
    assert bench.refused == []
    (told,) = caplog.messages
    assert told.startswith("job 5: a line of attempt token 1 could not be stored")


def test_an_attempt_that_is_over_is_told_and_its_outcome_goes_on() -> None:
    async def test(bench: Bench) -> None:
        bench.store.over = {(1, 1)}
        bench.line(1)
        bench.line(2)
        bench.settle(1)
        bench.settle(2)

    bench = at_work(test)
    assert bench.refused == [(1, 1)]
    assert {id for id, _ in bench.released} == {1, 2}


def test_at_the_end_of_a_lease_the_outcomes_that_wait_are_handed_over() -> None:
    async def test(bench: Bench) -> None:
        bench.line(1)
        bench.settle(1)
        assert [end.id for end in bench.reporter.take_held()] == [1]

    assert at_work(test).released == []


def test_large_states_go_in_statements_of_bounded_size() -> None:
    large = '"' + "x" * 700_000 + '"'

    async def test(bench: Bench) -> None:
        for id in range(3):
            bench.save(id, large)

    assert at_work(test).store.names() == ["save_checkpoints"] * 3
