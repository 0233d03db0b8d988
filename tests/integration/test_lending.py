"""What tasks are lent to write with: a buffering connection on SQLite, fresh ones on PostgreSQL."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from jobpipe.errors import ConfigError, InvalidTransition, StoreUnavailable
from jobpipe.store import callers
from jobpipe.store.ops.read import ping
from jobpipe.store.port import Mode, Op, Statement, operation
from jobpipe.store.postgres import dialect as dialects
from jobpipe.store.postgres.lender import PostgresLender
from jobpipe.store.sqlite.driver import SqliteStore
from jobpipe.store.sqlite.lender import BufferedBlock, SqliteLender
from tests.servers.postgres import PostgresServer


@operation(Mode.ONE)
def ask() -> Op[int]:
    """Stands for the success that is written last."""
    rows = yield Statement("ping")
    return int(rows[0]["now"])


@operation(Mode.ONE)
def refuse() -> Op[int]:
    yield Statement("ping")
    raise LookupError("not any more")


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(str(tmp_path / "lent.db") if request.param == "file" else ":memory:")
    store.migrate()
    block = BufferedBlock(store)
    block.connection.execute("CREATE TABLE item (n INTEGER PRIMARY KEY)")
    block.commit(ask())
    yield store
    store.close()


def items(store: SqliteStore) -> list[int]:
    block = SqliteLender(store).begin()
    rows = [row["n"] for row in block.connection.execute("SELECT n FROM item ORDER BY n")]
    block.rollback()
    return rows


def test_reads_answer_and_writes_wait(store: SqliteStore) -> None:
    block = SqliteLender(store).begin()
    block.connection.execute("INSERT INTO item VALUES (?)", (1,))
    block.connection.execute("INSERT INTO item VALUES (:n)", {"n": 2})
    block.connection.executemany("INSERT INTO item VALUES (?)", iter([(3,), (4,)]))
    block.connection.executemany("INSERT INTO item VALUES (?)", [])
    assert block.connection.execute("SELECT count(*) FROM item").fetchone()[0] == 0
    assert items(store) == []
    assert block.commit(ask()) > 0
    assert items(store) == [1, 2, 3, 4]
    with pytest.raises(sqlite3.ProgrammingError, match="has ended"):
        block.connection.execute("SELECT 1")


def test_parameters_are_kept_as_they_were(store: SqliteStore) -> None:
    block, given = SqliteLender(store).begin(), [7]
    block.connection.execute("INSERT INTO item VALUES (?)", given)
    given[0] = 8
    block.commit(ask())
    assert items(store) == [7]


def test_mistakes_are_told_at_once(store: SqliteStore) -> None:
    connection = SqliteLender(store).begin().connection
    with pytest.raises(sqlite3.OperationalError, match="syntax"):
        connection.execute("INSERT item")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        connection.execute("INSERT INTO nowhere VALUES (1)")
    with pytest.raises(sqlite3.ProgrammingError):
        connection.execute("INSERT INTO item VALUES (?)", ())
    with pytest.raises(sqlite3.ProgrammingError, match="for writes"):
        connection.executemany("SELECT ?", [(1,)])
    with pytest.raises(sqlite3.ProgrammingError, match="it has no rows"):
        connection.execute("INSERT INTO item VALUES (1) RETURNING n").fetchone()


STEERING = ["COMMIT", "ROLLBACK", "BEGIN", "SAVEPOINT s", "PRAGMA query_only = 0", "ATTACH '' AS x"]


@pytest.mark.parametrize("sql", STEERING)
def test_the_connection_is_not_for_the_task_to_steer(store: SqliteStore, sql: str) -> None:
    with pytest.raises(ConfigError, match=r"not inside job\.transaction"):
        SqliteLender(store).begin().connection.execute(sql)


def test_what_fails_at_the_end_is_undone(store: SqliteStore) -> None:
    block = SqliteLender(store).begin()
    block.connection.execute("INSERT INTO item VALUES (1)")
    with pytest.raises(LookupError):
        block.commit(refuse())
    assert items(store) == []


def test_a_block_that_undoes_everything_leaves_its_neighbours_alone(store: SqliteStore) -> None:
    """OR ROLLBACK ends the whole transaction of the writer."""
    for n in (1, 2):
        block = SqliteLender(store).begin()
        block.connection.execute("INSERT OR ROLLBACK INTO item VALUES (1)")
        neighbours = [store.writer().submit(ask()) for _ in range(3)]
        ended = block.submit(ask())
        neighbours += [store.writer().submit(ask()) for _ in range(3)]
        assert all(each.result(10) for each in neighbours)
        assert (ended.exception(10) is None) == (n == 1)
    assert items(store) == [1]


def test_a_job_cannot_be_enqueued_on_what_buffers(store: SqliteStore) -> None:
    connection = SqliteLender(store).begin().connection
    for find in (callers.blocking, callers.awaited):
        with pytest.raises(ConfigError, match="which id a job will have"):
            find(connection)


@pytest.fixture
def lender(postgres_url: str) -> Iterator[PostgresLender]:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE item (n int)")
    lender = PostgresLender(postgres_url, dialects.load("lent"), pooler="none", size=1)
    yield lender
    lender.close()


def test_a_connection_comes_back_as_it_was(lender: PostgresLender) -> None:
    block = lender.begin()
    pid = block.connection.info.backend_pid
    block.connection.execute("SET search_path TO nowhere")
    block.connection.execute("SELECT pg_advisory_lock(7)")
    block.connection.execute("CREATE TEMP TABLE scratch (n int)")
    block.commit(ping())
    again = lender.begin()
    assert again.connection.info.backend_pid == pid
    left = again.connection.execute(
        "SELECT current_setting('search_path'), to_regclass('scratch'),"
        " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
    ).fetchone()
    assert left == ('"$user", public', None, 0)
    again.rollback()


def test_a_connection_that_was_changed_is_not_lent_again(lender: PostgresLender) -> None:
    block = lender.begin()
    pid = block.connection.info.backend_pid
    block.connection.row_factory = dict_row
    block.commit(ping())
    again = lender.begin()
    assert again.connection.info.backend_pid != pid
    assert again.connection.execute("SELECT 1").fetchone() == (1,)
    again.rollback()


def test_an_awaited_connection_comes_back_as_it_was(lender: PostgresLender) -> None:
    async def twice() -> tuple[Any, ...]:
        block = await lender.abegin()
        pid = block.connection.get_server_pid()
        await block.connection.execute("SET search_path TO nowhere")
        await block.connection.execute("SELECT pg_advisory_lock(7)")
        await block.commit(ping())
        again = await lender.abegin()
        row = await again.connection.fetchrow(
            "SELECT current_setting('search_path'),"
            " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
        )
        same = again.connection.get_server_pid() == pid
        await again.rollback()
        await lender.aclose()
        return (*row, same)

    assert asyncio.run(twice()) == ('"$user", public', 0, True)


def test_what_a_restart_left_behind_is_not_lent(
    postgres_server: PostgresServer, postgres_url: str, lender: PostgresLender
) -> None:
    async def awaited() -> None:
        for _ in range(2):
            block = await lender.abegin()
            await block.connection.execute("INSERT INTO item VALUES (2)")
            await block.commit(ping())
            postgres_server.terminate_backends(postgres_url)
        await lender.aclose()

    for _ in range(2):
        block = lender.begin()
        block.connection.execute("INSERT INTO item VALUES (1)")
        block.commit(ping())
        postgres_server.terminate_backends(postgres_url)
    asyncio.run(awaited())
    with closing(psycopg.connect(postgres_url)) as connection:
        rows = connection.execute("SELECT n FROM item ORDER BY n").fetchall()
    assert rows == [(1,), (1,), (2,), (2,)]


def test_a_cut_in_the_block_is_heard_and_undone(
    postgres_server: PostgresServer, postgres_url: str, lender: PostgresLender
) -> None:
    block = lender.begin()
    block.connection.execute("INSERT INTO item VALUES (1)")
    postgres_server.terminate_backends(postgres_url)
    with pytest.raises((StoreUnavailable, InvalidTransition)):
        block.commit(ping())
    again = lender.begin()
    assert again.connection.execute("SELECT count(*) FROM item").fetchone() == (0,)
    again.rollback()
