"""Who stands still in the midst of a transaction keeps nobody waiting for long (PostgreSQL)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import Any

import asyncpg
import psycopg
import pytest

from jobpipe.errors import StoreUnavailable
from jobpipe.store.ops import rounds
from jobpipe.store.ops.admit import admit
from jobpipe.store.ops.gates import prune_gates
from jobpipe.store.port import Mode, Op, Operation, Rows, Statement
from jobpipe.store.postgres import async_driver, dialect, driver, errors
from jobpipe.store.postgres.async_driver import PostgresAsyncStore
from jobpipe.store.postgres.attempts import BEGIN, LIMIT_STANDSTILL
from jobpipe.store.postgres.driver import PostgresStore
from tests.integration.test_postgres_driver import open_store
from tests.integration.test_report_locks import Party, parties
from tests.waiting import until

__all__ = ["open_store", "parties"]


def setting(party: Party, name: str) -> str:
    row = party.connection.execute("SELECT current_setting(%s) AS value", [name]).fetchone()
    value: str = row["value"]
    return value


def test_who_waited_for_a_round_waits_for_other_locks_as_before(parties: list[Party]) -> None:
    party, *_ = parties
    party.connection.execute("SET lock_timeout = '7s'")
    party.commit()
    party.run(prune_gates(10))
    assert setting(party, "lock_timeout") == "7s"


def test_who_waits_for_a_round_that_does_not_end_is_told(
    parties: list[Party],
    open_store: Callable[..., Any],
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    round_, *_ = parties
    store = open_store(postgres_url, dialect=dialect.load("jobpipe"))
    monkeypatch.setattr(rounds, "AWAIT_MS", 100)
    starts: list[int] = []

    def start() -> Op[object]:
        starts.append(1)
        return (yield from prune_gates(10).start())

    waiting = Operation("waiting", Mode.TRANSACTION, start)
    store.run(waiting)  # begins anew with each statement that it sends for the first time
    starts.clear()
    assert round_.run(admit()) is not None
    with pytest.raises(StoreUnavailable, match="wait too long for a lock") as caught:
        store.run(waiting)
    assert caught.value.help is not None
    assert "round of admission" in caught.value.help
    assert len(starts) == 1
    round_.commit()
    assert store.run(prune_gates(10)) == (0, None)


def test_a_session_that_was_ended_for_standing_still_is_lost() -> None:
    assert errors.is_lost(psycopg.errors.IdleInTransactionSessionTimeout())
    assert errors.is_lost(asyncpg.IdleInTransactionSessionTimeoutError("terminating connection"))


def run_blocking(url: str, *operations: Operation[Any]) -> list[Any]:
    with closing(PostgresStore(url, dialect.load("jobpipe"))) as store:
        return [store.run(operation) for operation in operations]


def run_awaited(url: str, *operations: Operation[Any]) -> list[Any]:
    async def main() -> list[Any]:
        store = PostgresAsyncStore(url, dialect.load("jobpipe"))
        try:
            return [await store.run(operation) for operation in operations]
        finally:
            await store.close()

    return asyncio.run(main())


@pytest.mark.parametrize("run", [run_blocking, run_awaited])
@pytest.mark.parametrize("begin", [rounds.begin_round, rounds.await_round])
def test_who_stood_still_begins_anew(
    parties: list[Party],
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[..., list[Any]],
    begin: Callable[[], Op[Any]],
) -> None:
    other, *_ = parties
    monkeypatch.setattr(driver, "LIMIT_STANDSTILL", LIMIT_STANDSTILL.replace("10s", "300ms"))
    monkeypatch.setattr(async_driver, "BEGIN", BEGIN.replace("10s", "300ms"))
    starts: list[int] = []

    def round_(*, stands_still: bool) -> Op[Rows]:
        starts.append(1)
        yield from begin()
        if stands_still and len(starts) == 1:  # until somebody else may do a round
            until(lambda: other.run(admit()) is not None)
            other.commit()
        return (yield Statement("take_looks", {"since": 0, "limit": 10}))

    def practise() -> Op[Rows]:
        rows = yield from round_(stands_still=False)
        starts.clear()
        return rows

    practice = Operation("round", Mode.TRANSACTION, practise)
    real = Operation("round", Mode.TRANSACTION, lambda: round_(stands_still=True))
    assert run(postgres_url, practice, real) == [[], []]
    assert len(starts) == 2


def test_who_stands_still_between_the_two_parts_of_a_statement_keeps_nobody_waiting(
    parties: list[Party], postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the server sees no idle session to be ended: asyncpg waits with the statement's values
    until the server has prepared it."""
    other, *_ = parties
    prepare = asyncpg.Connection.prepare
    stood_still: list[str] = []

    async def prepare_and_stand_still(connection: Any, query: str, **options: Any) -> Any:
        statement = await prepare(connection, query, **options)
        assert other.run(admit()) is not None, f"kept from its round by {query}"
        other.commit()
        stood_still.append(query)
        return statement

    def round_() -> Op[Rows]:
        yield from rounds.begin_round()
        return (yield Statement("take_looks", {"since": 0, "limit": 10}))

    monkeypatch.setattr(asyncpg.Connection, "prepare", prepare_and_stand_still)
    round_once = Operation("round", Mode.TRANSACTION, round_)
    assert run_awaited(postgres_url, round_once, round_once) == [[], []]
    assert len(stood_still) == 2


def test_what_was_prepared_keeps_nobody_from_a_migration(
    parties: list[Party], postgres_url: str
) -> None:
    other, *_ = parties
    tables = "LOCK TABLE jobpipe.worker, jobpipe.look IN ACCESS EXCLUSIVE MODE NOWAIT"

    def needs_two() -> Op[None]:
        yield Statement("workers")
        yield Statement("take_looks", {"since": 0, "limit": 10})

    def sends_nothing() -> Op[None]:
        yield from ()

    async def main() -> None:
        store = PostgresAsyncStore(postgres_url, dialect.load("jobpipe"))
        await store.run(Operation("some", Mode.READ, needs_two))
        await store.close()
        await store.run(Operation("some", Mode.READ, sends_nothing))  # prepares both
        other.connection.execute(tables)
        other.commit()
        await store.close()

    asyncio.run(main())
