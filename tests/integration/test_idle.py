"""What an idle worker asks of its store: one look a poll, whatever there may be to do."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from jobpipe import Jobpipe
from jobpipe.store.port import Operation
from jobpipe.store.postgres.async_driver import PostgresAsyncStore
from jobpipe.store.postgres.driver import PostgresStore
from jobpipe.store.sqlite.driver import SqliteAsyncStore, SqliteStore
from tests.waiting import until

POLL_SECONDS = 0.05
LOOKS = 20


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each operation was run, by any store."""
    counted: Counter[str] = Counter()
    for kind in (PostgresAsyncStore, PostgresStore, SqliteAsyncStore, SqliteStore):
        monkeypatch.setattr(kind, "run", counting(kind.run, counted))
    return counted


def counting(run: Any, counted: Counter[str]) -> Any:
    def count_and_run(store: Any, operation: Operation[Any]) -> Any:
        counted[operation.name] += 1
        return run(store, operation)

    return count_and_run


@pytest.mark.parametrize("place", ["postgres_url", "sqlite_url"])
def test_an_idle_worker_only_looks_and_keeps_its_lease(
    request: pytest.FixtureRequest, counted: Counter[str], place: str
) -> None:
    jp = Jobpipe(request.getfixturevalue(place), poll_seconds=POLL_SECONDS)

    @jp.task
    def work(number: int) -> None: ...

    with jp.running():
        for number in range(2):
            assert work.enqueue(number).result() is None
        until(lambda: counted["rollup"])  # the counters of two jobs; then little is left to do
        until(lambda: only_looked(counted))
    jp.close()


@pytest.mark.parametrize("place", ["postgres_url", "sqlite_url"])
def test_a_worker_whose_looks_fail_claims_by_itself(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    url = request.getfixturevalue(place)
    failed: list[str] = []
    for kind in (PostgresAsyncStore, SqliteAsyncStore):
        monkeypatch.setattr(kind, "run", failing(kind.run, failed))
    jp, other = Jobpipe(url, poll_seconds=POLL_SECONDS), Jobpipe(url)
    monkeypatch.setattr(other.hub, "ring", lambda _hint: None)

    async def work() -> None: ...

    for application in (jp, other):
        application.task(name="work")(work)

    with jp.running():
        assert jp.enqueue_named("work").result() is None  # the lane is known now
        failed.append("from now on")
        until(lambda: len(failed) > 1)
        assert other.enqueue_named("work").result(timeout=10) is None
    jp.close()
    other.close()


def failing(run: Any, failed: list[str]) -> Any:
    async def run_or_fail(store: Any, operation: Operation[Any]) -> Any:
        if failed and operation.name == "control":
            failed.append(operation.name)
            raise ValueError("a row that this version cannot read")
        return await run(store, operation)

    return run_or_fail


def only_looked(counted: Counter[str]) -> bool:
    """Wait for so many looks; tell whether nothing else was asked but one renewal."""
    counted.clear()
    until(lambda: counted["control"] >= LOOKS)
    return set(counted) <= {"control", "renew"} and counted["renew"] <= 1
