"""Whoever waits for the write lock is not passed by who has just had it."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jobpipe.store.sqlite import turn as turns
from jobpipe.store.sqlite.connection import connect
from jobpipe.store.sqlite.turn import Turn
from tests.waiting import until

ENOUGH_SECONDS = 20


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = str(tmp_path / "jobs.db")
    with closing(connect(path)) as connection:
        connection.execute("CREATE TABLE item (id INTEGER)")
    return path


@pytest.fixture
def connection(database: str) -> Iterator[sqlite3.Connection]:
    with closing(connect(database)) as connection:
        yield connection


def is_taken(database: str) -> bool:
    with open(f"{database}-turn", "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_who_has_just_written_waits_for_who_waited(
    database: str, connection: sqlite3.Connection
) -> None:
    order: list[str] = []

    def write_once() -> None:
        with closing(connect(database)) as other:
            turn = Turn(database)
            turn.begin_write(other)
            order.append("who waited")
            other.execute("COMMIT")
            turn.close()

    mine = Turn(database)
    for _ in range(20):
        order.clear()
        mine.begin_write(connection)
        waiter = threading.Thread(target=write_once)
        waiter.start()
        until(lambda: is_taken(database))
        connection.execute("COMMIT")
        mine.begin_write(connection)
        order.append("who came again")
        connection.execute("COMMIT")
        waiter.join(ENOUGH_SECONDS)
        assert order == ["who waited", "who came again"]
    mine.close()


def test_the_turn_is_free_as_soon_as_the_write_lock_is_ours(
    database: str, connection: sqlite3.Connection
) -> None:
    turn = Turn(database)
    turn.begin_write(connection)
    assert not is_taken(database)
    connection.execute("COMMIT")
    turn.close()


def test_a_turn_that_nobody_gives_on_is_not_waited_for_for_ever(
    database: str, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.05)
    with open(f"{database}-turn", "w") as frozen:
        fcntl.flock(frozen, fcntl.LOCK_EX)
        turn = Turn(database)
        turn.begin_write(connection)
        assert connection.in_transaction
        connection.execute("COMMIT")
        turn.close()


def test_where_the_file_cannot_be_opened_one_goes_on_without(
    database: str, connection: sqlite3.Connection
) -> None:
    Path(f"{database}-turn").mkdir()
    turn = Turn(database)
    turn.begin_write(connection)
    assert connection.in_transaction
    connection.execute("COMMIT")
    turn.close()
