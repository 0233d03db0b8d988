"""Who stands still in the midst of a round keeps nobody waiting for long (PostgreSQL)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg
import psycopg
import pytest

from jobpipe.errors import StoreUnavailable
from jobpipe.store.ops import rounds
from jobpipe.store.ops.admit import admit
from jobpipe.store.ops.gates import prune_gates
from jobpipe.store.port import Mode, Op, Operation, Rows, Statement
from jobpipe.store.postgres import dialect, errors
from tests.integration.test_postgres_driver import open_store
from tests.integration.test_report_locks import Party, parties
from tests.waiting import until

__all__ = ["open_store", "parties"]


def setting(party: Party, name: str) -> str:
    row = party.connection.execute("SELECT current_setting(%s) AS value", [name]).fetchone()
    value: str = row["value"]
    return value


@pytest.mark.parametrize("order", [admit(), prune_gates(10)])
def test_a_round_goes_on_though_somebody_stands_still_in_his(
    parties: list[Party], monkeypatch: pytest.MonkeyPatch, order: Operation[Any]
) -> None:
    frozen, other, _ = parties
    monkeypatch.setattr(rounds, "STANDSTILL_MS", 300)
    frozen.run(order)
    until(lambda: other.run(admit()) is not None)
    with pytest.raises(psycopg.Error, match="idle-in-transaction"):
        frozen.connection.execute("SELECT 1")


@pytest.mark.parametrize("order", [admit(), prune_gates(10)])
def test_the_bounds_of_a_round_end_with_it(parties: list[Party], order: Operation[Any]) -> None:
    party, *_ = parties
    party.connection.execute("SET lock_timeout = '7s'")
    party.commit()
    party.run(order)
    assert setting(party, "idle_in_transaction_session_timeout") == "10s"
    assert setting(party, "lock_timeout") == "7s"
    party.commit()
    assert setting(party, "idle_in_transaction_session_timeout") == "0"


def test_who_waits_for_a_round_that_does_not_end_is_told(
    parties: list[Party],
    open_store: Callable[..., Any],
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    round_, *_ = parties
    store = open_store(postgres_url, dialect=dialect.load("jobpipe"))
    monkeypatch.setattr(rounds, "AWAIT_MS", 100)
    monkeypatch.setattr(rounds, "STANDSTILL_MS", 5_000)  # who does not give up sees it end
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


def test_who_stood_still_begins_anew(
    parties: list[Party],
    open_store: Callable[..., Any],
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other, *_ = parties
    store = open_store(postgres_url, dialect=dialect.load("jobpipe"))
    monkeypatch.setattr(rounds, "STANDSTILL_MS", 300)
    starts: list[int] = []

    def round_() -> Op[Rows]:
        starts.append(1)
        assert (yield from rounds.begin_round()) is not None
        if len(starts) == 1:  # nothing of this process moves, until somebody else may do a round
            until(lambda: other.run(admit()) is not None)
            other.commit()
        return (yield Statement("take_looks", {"since": 0, "limit": 10}))

    assert store.run(Operation("round", Mode.TRANSACTION, round_)) == []
    assert len(starts) == 2
