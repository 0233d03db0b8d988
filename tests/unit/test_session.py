"""What a connection of the async driver prepares, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest

from jobpipe.store.port import Statement
from jobpipe.store.postgres import dialect, session
from jobpipe.store.postgres.overdue import Overdue
from jobpipe.store.postgres.session import Needs, Session

NAMES = ("one", "two", "three", "four", "five", "enqueue_now")
DIALECT = dialect.of({name: f"SELECT '{name}'" for name in NAMES}, "jobpipe")


class Line:
    """Stands for a connection: writes down what is sent to it."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def prepare(self, sql: str) -> Any:
        self.sent.append(f"prepare {_named(sql)}")
        return _Statement(self, _named(sql))

    async def fetch(self, sql: str) -> list[Any]:
        self.sent.append(f"run unprepared {_named(sql)}")
        return []


class _Statement:
    def __init__(self, line: Line, name: str) -> None:
        self._line, self._name = line, name

    async def fetch(self) -> list[Any]:
        self._line.sent.append(f"run {self._name}")
        return []


def _named(sql: str) -> str:
    return sql.removeprefix("SELECT '").removesuffix("'")


class Bench:
    """A session on a line, and what an operation has needed so far."""

    def __init__(self, *, keeps: bool = True) -> None:
        self.line = Line()
        self.needs: Needs = {}
        self._session = Session(self.line, Overdue(lambda: None), DIALECT, keeps=keeps)

    async def run(self, *names: str) -> list[str]:
        """Run an operation that sends these, and return what went over the line."""
        self.line.sent.clear()
        await self._session.bring(self.needs)
        for name in names:
            await self._session.execute(self.needs, Statement(name))
        return list(self.line.sent)


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run


@on_a_loop
async def test_a_statement_is_prepared_once() -> None:
    bench = Bench()
    assert await bench.run("one", "two") == ["prepare one", "run one", "prepare two", "run two"]
    assert await bench.run("two", "one") == ["run two", "run one"]


@on_a_loop
async def test_what_was_needed_on_another_connection_is_prepared_before() -> None:
    bench = Bench()
    bench.needs |= {"one": None, "two": None}
    expected = ["prepare one", "prepare two", "run two", "prepare three", "run three"]
    assert await bench.run("two", "three") == expected
    assert list(bench.needs) == ["one", "two", "three"]


@on_a_loop
async def test_a_connection_that_keeps_nothing_prepares_nothing() -> None:
    bench = Bench(keeps=False)
    for _ in range(2):
        assert await bench.run("one") == ["run unprepared one"]


@on_a_loop
async def test_old_plans_are_made_anew_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    monkeypatch.setattr(session, "PLAN_SECONDS", -1.0)
    await bench.run("one", "two", "three", "four")
    monkeypatch.undo()
    assert await bench.run() == ["prepare one", "prepare two", "prepare three"]
    assert await bench.run("one") == ["prepare four", "run one"]
    assert await bench.run() == []


@on_a_loop
async def test_what_was_never_run_has_no_plan_and_a_lasting_one_never_a_wrong_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "PLAN_SECONDS", -1.0)
    bench = Bench()
    bench.needs["one"] = None
    sent = await bench.run("enqueue_now", "two")
    assert [each for each in sent if each.startswith("prepare")] == [
        "prepare one",
        "prepare enqueue_now",
        "prepare two",
    ]
    assert await bench.run() == ["prepare two"]
