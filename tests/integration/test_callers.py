"""Operations on connections that belong to the caller: their transaction decides."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg.rows import tuple_row

from jobpipe.errors import ConfigError, StoreUnavailable
from jobpipe.store import callers, statements
from jobpipe.store.port import Batch, Mode, Op, Operation, Statement, operation
from jobpipe.store.postgres import dialect as dialects

POSTGRES = {
    "add": (
        'INSERT INTO "shelf".item VALUES (CAST(:id AS bigint), CAST(:args AS json)) RETURNING id'
    ),
    "add_many": (
        'INSERT INTO "shelf".item SELECT * FROM unnest(CAST(:id AS bigint[]),'
        " CAST(:args AS json[])) RETURNING id, args"
    ),
    "lock": 'LOCK TABLE "shelf".item IN ACCESS EXCLUSIVE MODE NOWAIT',
    "missing": 'SELECT id FROM "shelf".nowhere',
    "now": "SELECT :now AS now",
    "store_exists": "SELECT to_regclass('shelf.store') IS NOT NULL AS found",
    "store_id": 'SELECT id FROM "shelf".store',
}
SQLITE = {
    "add": "INSERT INTO item VALUES (:id, :args) RETURNING id",
    "add_many": (
        "INSERT INTO item SELECT value ->> 0, value ->> 1 FROM json_each(:rows);\n"
        "SELECT id, args FROM item ORDER BY id"
    ),
    "missing": "SELECT id FROM nowhere",
    "now": "SELECT :now AS now",
}
IN_POSTGRES = dialects.of(POSTGRES, "shelf")
IN_SQLITE = statements.prepare(SQLITE, lambda name, _position: f":{name}")
TABLES = """
    CREATE SCHEMA shelf;
    CREATE TABLE shelf.item (id bigint PRIMARY KEY, args json);
    CREATE TABLE shelf.store (id text);
    INSERT INTO shelf.store VALUES ('right');
"""


@operation(Mode.ONE)
def add(id: int) -> Op[list[int]]:
    rows = yield Statement("add", {"id": id, "args": f'{{"n":  {id}}}'})
    return [row["id"] for row in rows]


@operation(Mode.ONE)
def add_many(ids: list[int]) -> Op[list[tuple[int, str]]]:
    rows = yield Statement("add_many", batch=Batch(("id", "args"), [(id, "[1,  2]") for id in ids]))
    return [(row["id"], row["args"]) for row in rows]


@operation(Mode.TRANSACTION)
def add_each(ids: list[int], fail: bool = False) -> Op[int]:
    for id in ids:
        yield Statement("add", {"id": id, "args": "{}"})
    if fail:
        raise LookupError("not this time")
    return len(ids)


@operation(Mode.ONE)
def ask(name: str) -> Op[list[Any]]:
    rows = yield Statement(name)
    return list(rows)


def still() -> int:
    return 0


@pytest.fixture
def url(postgres_url: str) -> str:
    with psycopg.connect(postgres_url) as connection:
        connection.execute(TABLES)
    return postgres_url


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "caller.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE item (id INTEGER PRIMARY KEY, args TEXT);")
    return path


def stored(place: str | Path) -> list[int]:
    """Return what another connection sees."""
    if isinstance(place, Path):
        with closing(sqlite3.connect(place)) as connection:
            return [id for (id,) in connection.execute("SELECT id FROM item ORDER BY id")]
    with psycopg.connect(place) as connection:
        return [id for (id,) in connection.execute("SELECT id FROM shelf.item ORDER BY id")]


def on(connection: Any, wanted: Operation[Any], clock: Callable[[], int] = still) -> Any:
    caller = callers.blocking(connection)
    known = IN_SQLITE if caller.placeholder == "named" else IN_POSTGRES.percent
    return caller.run(connection, wanted, known, clock)


async def aon(connection: Any, wanted: Operation[Any], clock: Callable[[], int] = still) -> Any:
    caller = callers.awaited(connection)
    known = {"named": IN_SQLITE, "dollar": IN_POSTGRES.dollar, "percent": IN_POSTGRES.percent}
    return await caller.run(connection, wanted, known[caller.placeholder], clock)


@pytest.fixture(params=["sqlite3", "psycopg"])
def blocking(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    """A blocking connection as libraries make it by default, and the place it leads to."""
    if request.param == "sqlite3":
        place: Any = request.getfixturevalue("file")
        connection: Any = sqlite3.connect(place, timeout=0)
    else:
        place = request.getfixturevalue("url")
        connection = psycopg.connect(place)
    yield connection, place
    connection.close()


@pytest.fixture(params=["sqlite3", "psycopg"])
def autocommit(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    if request.param == "sqlite3":
        place: Any = request.getfixturevalue("file")
        connection: Any = sqlite3.connect(place, timeout=0, isolation_level=None)
    else:
        place = request.getfixturevalue("url")
        connection = psycopg.connect(place, autocommit=True)
    yield connection, place
    connection.close()


def test_the_callers_commit_decides(blocking: tuple[Any, Any]) -> None:
    connection, place = blocking
    assert on(connection, add(1)) == [1]
    assert on(connection, add_each([2, 3])) == 2
    assert stored(place) == []
    connection.commit()
    assert stored(place) == [1, 2, 3]
    on(connection, add_each([4]))
    on(connection, add(5))
    connection.rollback()
    assert stored(place) == [1, 2, 3]


def test_json_is_text_and_a_batch_is_one_call(blocking: tuple[Any, Any]) -> None:
    connection, _place = blocking
    assert on(connection, add_many([1, 2])) == [(1, "[1,  2]"), (2, "[1,  2]")]


def test_autocommit_gets_a_transaction_of_its_own(autocommit: tuple[Any, Any]) -> None:
    connection, place = autocommit
    on(connection, add(1))
    on(connection, add_each([2, 3]))
    assert stored(place) == [1, 2, 3]
    with pytest.raises(LookupError):
        on(connection, add_each([4], fail=True))
    assert stored(place) == [1, 2, 3]


def test_a_failed_operation_leaves_nothing_in_the_callers_transaction(
    blocking: tuple[Any, Any],
) -> None:
    connection, place = blocking
    on(connection, add(1))
    with pytest.raises(LookupError):
        on(connection, add_each([2], fail=True))
    on(connection, add(3))
    connection.commit()
    assert stored(place) == [1, 3]


def test_a_failed_first_operation_leaves_the_connection_usable(blocking: tuple[Any, Any]) -> None:
    connection, place = blocking
    with pytest.raises(LookupError):
        on(connection, add_each([2], fail=True))
    on(connection, add_each([3]))
    connection.commit()
    assert stored(place) == [3]


def test_an_explicit_transaction_in_autocommit_is_the_callers(autocommit: tuple[Any, Any]) -> None:
    connection, place = autocommit
    connection.execute("BEGIN")
    on(connection, add_each([1]))
    on(connection, add(2))
    connection.execute("ROLLBACK")
    assert stored(place) == []


def test_errors_of_our_making_bubble(blocking: tuple[Any, Any]) -> None:
    connection, _place = blocking
    with pytest.raises((sqlite3.OperationalError, psycopg.errors.UndefinedTable)):
        on(connection, ask("missing"))


def test_a_locked_sqlite_file_is_unavailable_with_its_cause(file: Path) -> None:
    with closing(sqlite3.connect(file)) as other, closing(sqlite3.connect(file, timeout=0)) as own:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked") as caught:
            on(own, add(1))
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        other.rollback()
        assert on(own, add(1)) == [1]


def test_a_lock_on_postgresql_is_unavailable_with_its_cause(url: str) -> None:
    with psycopg.connect(url) as other, psycopg.connect(url) as own:
        other.execute("LOCK TABLE shelf.item")
        with pytest.raises(StoreUnavailable) as caught:
            on(own, ask("lock"))
        assert isinstance(caught.value.__cause__, psycopg.errors.LockNotAvailable)
        with pytest.raises(StoreUnavailable) as caught:
            on(own, add(1))
        assert isinstance(caught.value.__cause__, psycopg.errors.InFailedSqlTransaction)
        own.rollback()


def test_settings_of_the_connection_stay(url: str, file: Path) -> None:
    with psycopg.connect(url, row_factory=tuple_row) as connection:
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        on(connection, add_each([1]))
        assert connection.row_factory is tuple_row
        assert connection.execute("SHOW transaction_isolation").fetchone() == ("serializable",)
        assert not connection.autocommit
    with closing(sqlite3.connect(file)) as lite:
        on(lite, add(1))
        assert lite.row_factory is None
        assert lite.isolation_level == ""
        assert lite.execute("SELECT id FROM item").fetchone() == (1,)


def test_a_closed_connection_is_unavailable(file: Path) -> None:
    lite = sqlite3.connect(file)
    lite.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        on(lite, add(1))
    with pytest.raises(StoreUnavailable, match="closed"):
        callers.blocking(lite).same_store(lite, str(file), IN_SQLITE)


def test_the_clock_is_the_stores(url: str, file: Path) -> None:
    with closing(sqlite3.connect(file)) as lite:
        assert on(lite, ask("now"), lambda: 5)[0]["now"] == 5
    with psycopg.connect(url) as connection:
        (row,) = on(connection, ask("now"))
        (later,) = on(connection, ask("now"), lambda: 3_600_000_000)
        assert 3_600_000_000 <= later["now"] - row["now"] < 3_660_000_000


def test_the_identity_of_the_store_is_compared(url: str, file: Path, tmp_path: Path) -> None:
    with psycopg.connect(url) as connection:
        caller = callers.blocking(connection)
        assert caller.same_store(connection, "right", IN_POSTGRES.percent)
        assert not caller.same_store(connection, "wrong", IN_POSTGRES.percent)
        elsewhere = dialects.load("elsewhere").percent
        assert not caller.same_store(connection, "right", elsewhere)
        assert on(connection, add(1)) == [1]
    with closing(sqlite3.connect(file)) as lite:
        caller = callers.blocking(lite)
        link = tmp_path / "link.db"
        link.symlink_to(file)
        assert caller.same_store(lite, str(link), IN_SQLITE)
        assert not caller.same_store(lite, str(tmp_path / "other.db"), IN_SQLITE)
    with closing(sqlite3.connect(":memory:")) as memory:
        assert not caller.same_store(memory, str(file), IN_SQLITE)


async def by_psycopg(url: str, autocommit: bool) -> Any:
    return await psycopg.AsyncConnection.connect(url, autocommit=autocommit)


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_an_async_psycopg_connection(url: str, end: str) -> None:
    async def work() -> None:
        async with await by_psycopg(url, autocommit=False) as connection:
            with pytest.raises(LookupError):
                await aon(connection, add_each([9], fail=True))
            assert await aon(connection, add(1)) == [1]
            assert await aon(connection, add_each([2, 3])) == 2
            assert await aon(connection, add_many([4])) == [(4, "[1,  2]")]
            assert stored(url) == []
            await getattr(connection, end)()
        async with await by_psycopg(url, autocommit=True) as connection:
            await aon(connection, add_each([5, 6]))
            with pytest.raises(LookupError):
                await aon(connection, add_each([7], fail=True))
            same = await callers.awaited(connection).same_store(
                connection, "right", IN_POSTGRES.percent
            )
            assert same is True

    asyncio.run(work())
    assert stored(url) == ([1, 2, 3, 4, 5, 6] if end == "commit" else [5, 6])


async def with_json_codec(connection: Any) -> None:
    await connection.set_type_codec(
        "json", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
    )


async def on_asyncpg(connection: Any, end: str) -> None:
    await with_json_codec(connection)
    transaction = connection.transaction()
    await transaction.start()
    with pytest.raises(LookupError):
        await aon(connection, add_each([9], fail=True))
    assert await aon(connection, add(1)) == [1]
    assert await aon(connection, add_each([2, 3])) == 2
    await getattr(transaction, end)()
    assert not connection.is_in_transaction()
    await aon(connection, add_each([5]))
    with pytest.raises(LookupError):
        await aon(connection, add_each([6], fail=True))
    same = await callers.awaited(connection).same_store(connection, "wrong", IN_POSTGRES.dollar)
    assert same is False


@pytest.mark.parametrize("end", ["commit", "rollback"])
@pytest.mark.parametrize("lent", [True, False])
def test_an_asyncpg_connection(url: str, end: str, lent: bool) -> None:
    async def work() -> None:
        if lent:
            async with asyncpg.create_pool(url, min_size=1) as pool, pool.acquire() as connection:
                await on_asyncpg(connection, end)
        else:
            connection = await asyncpg.connect(url)
            await on_asyncpg(connection, end)
            await connection.close()
            with pytest.raises(StoreUnavailable) as caught:
                await aon(connection, add(7))
            assert isinstance(caught.value.__cause__, asyncpg.InterfaceError)

    asyncio.run(work())
    assert stored(url) == ([1, 2, 3, 5] if end == "commit" else [5])
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT args FROM shelf.item WHERE id = 5").fetchone() == ({},)


def test_sqlite3_serves_async_code_too(file: Path) -> None:
    with closing(sqlite3.connect(file)) as lite:
        assert asyncio.run(aon(lite, add(1))) == [1]
        lite.commit()
    assert stored(file) == [1]


class OwnConnection(sqlite3.Connection):
    """A connection class of the caller's."""


def test_connections_are_known_by_their_type(file: Path, url: str) -> None:
    with closing(sqlite3.connect(file, factory=OwnConnection)) as lite:
        assert callers.blocking(lite).kind == "sqlite3.Connection"
    for choose in (callers.blocking, callers.awaited):
        with pytest.raises(ConfigError, match=r"is a builtins\.str.*asyncpg\.Connection"):
            choose("postgresql://")
    with psycopg.connect(url) as connection, pytest.raises(ConfigError, match="would block"):
        callers.awaited(connection)


@pytest.mark.parametrize("connect", [asyncpg.connect, psycopg.AsyncConnection.connect])
def test_an_async_connection_in_blocking_code_is_told_of_aenqueue(
    url: str, connect: Callable[[str], Awaitable[Any]]
) -> None:
    async def work() -> None:
        connection = await connect(url)
        with pytest.raises(ConfigError, match="has to be awaited") as caught:
            callers.blocking(connection)
        assert "aenqueue" in caught.value.help
        await connection.close()

    asyncio.run(work())
