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
from jobpipe.store.postgres.session import Needs, Session, Unprepared

NAMES = ("one", "two", "three", "enqueue_now")
DIALECT = dialect.of({name: f"SELECT '{name}'" for name in NAMES}, "jobpipe")


class Refused(Exception):
    """The server does not prepare a statement."""


class Line:
    """Stands for a connection: writes down what is sent to it."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.in_transaction = False
        self.refuses = ""

    def is_in_transaction(self) -> bool:
        return self.in_transaction

    async def execute(self, sql: str) -> None:
        self.sent.append(sql)

    async def prepare(self, sql: str) -> Any:
        if _named(sql) == self.refuses:
            raise Refused
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

    async def run(self, *names: str, in_transaction: bool = False) -> list[str]:
        """Run an operation that sends these, and return what went over the line."""
        self.line.sent.clear()
        await self._session.bring(self.needs)
        self.line.in_transaction = in_transaction
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
    assert await bench.run("one") == ["prepare one", "SELECT", "run one"]
    assert await bench.run("one") == ["run one"]


@on_a_loop
async def test_what_was_needed_on_another_connection_is_prepared_before() -> None:
    bench = Bench()
    bench.needs |= {"one": None, "two": None}
    assert await bench.run("two") == ["prepare one", "prepare two", "SELECT", "run two"]


@on_a_loop
async def test_nothing_is_prepared_within_a_transaction() -> None:
    bench = Bench()
    with pytest.raises(Unprepared):
        await bench.run("one", in_transaction=True)
    assert bench.line.sent == []
    expected = ["prepare one", "SELECT", "run one"]
    assert await bench.run("one", in_transaction=True) == expected


@on_a_loop
async def test_a_connection_that_keeps_nothing_prepares_nothing() -> None:
    bench = Bench(keeps=False)
    for _ in range(2):
        assert await bench.run("one", in_transaction=True) == ["run unprepared one"]


@on_a_loop
async def test_an_old_plan_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    monkeypatch.setattr(session, "PLAN_SECONDS", -1.0)
    await bench.run("one", "two")
    monkeypatch.undo()
    assert await bench.run("one") == ["prepare one", "prepare two", "SELECT", "run one"]
    assert await bench.run("one", "two") == ["run one", "run two"]


@on_a_loop
async def test_what_was_never_run_has_no_plan_and_a_lasting_one_never_a_wrong_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "PLAN_SECONDS", -1.0)
    bench = Bench()
    bench.needs["one"] = None
    await bench.run("enqueue_now", "two")
    assert await bench.run() == ["prepare two", "SELECT"]


@on_a_loop
async def test_what_cannot_be_prepared_stands_only_in_the_way_of_who_sends_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "PLAN_SECONDS", -1.0)
    bench = Bench()
    await bench.run("one")
    bench.line.refuses = "one"
    with pytest.raises(Refused):
        await bench.run("two")
    assert await bench.run("two") == ["prepare two", "SELECT", "run two"]
    with pytest.raises(Refused):
        await bench.run("one")
