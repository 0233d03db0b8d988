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
    assert round_.run(admit()) is not None
    starts: list[int] = []

    def waiting() -> Op[object]:
        starts.append(1)
        return (yield from prune_gates(10).start())

    with pytest.raises(StoreUnavailable, match="wait too long for a lock") as caught:
        store.run(Operation("waiting", Mode.TRANSACTION, waiting))
    assert caught.value.help is not None
    assert "round of admission" in caught.value.help
    assert len(starts) == 1
    round_.commit()
    assert store.run(prune_gates(10)) == (0, None)


def test_a_session_that_was_ended_for_standing_still_is_lost() -> None:
    assert errors.is_lost(psycopg.errors.IdleInTransactionSessionTimeout())
    assert errors.is_lost(asyncpg.IdleInTransactionSessionTimeoutError("terminating connection"))


def run_blocking(url: str, operation: Operation[Any]) -> Any:
    with closing(PostgresStore(url, dialect.load("jobpipe"))) as store:
        return store.run(operation)


def run_awaited(url: str, operation: Operation[Any]) -> Any:
    async def main() -> Any:
        store = PostgresAsyncStore(url, dialect.load("jobpipe"))
        try:
            return await store.run(operation)
        finally:
            await store.close()

    return asyncio.run(main())


@pytest.mark.parametrize("run", [run_blocking, run_awaited])
@pytest.mark.parametrize("begin", [rounds.begin_round, rounds.await_round])
def test_who_stood_still_begins_anew(
    parties: list[Party],
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[[str, Operation[Any]], Any],
    begin: Callable[[], Op[Any]],
) -> None:
    other, *_ = parties
    monkeypatch.setattr(driver, "LIMIT_STANDSTILL", LIMIT_STANDSTILL.replace("10s", "300ms"))
    monkeypatch.setattr(async_driver, "BEGIN", BEGIN.replace("10s", "300ms"))
    starts: list[int] = []

    def round_() -> Op[Rows]:
        starts.append(1)
        yield from begin()
        if len(starts) == 1:  # nothing of this process moves, until somebody else may do a round
            until(lambda: other.run(admit()) is not None)
            other.commit()
        return (yield Statement("take_looks", {"since": 0, "limit": 10}))

    assert run(postgres_url, Operation("round", Mode.TRANSACTION, round_)) == []
    assert len(starts) == 2


def test_who_stands_still_between_the_two_parts_of_a_statement_holds_nothing(
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

    async def main() -> None:
        store = PostgresAsyncStore(postgres_url, dialect.load("jobpipe"))
        round_once = Operation("round", Mode.TRANSACTION, round_)
        await store.run(round_once)  # only here nobody can know what it will need
        await store.close()
        monkeypatch.setattr(asyncpg.Connection, "prepare", prepare_and_stand_still)
        assert await store.run(round_once) == []
        assert len(stood_still) == 2
        assert await store.run(round_once) == []
        assert len(stood_still) == 2
        await store.close()

    asyncio.run(main())
