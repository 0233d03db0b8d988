"""The two PostgreSQL drivers against real servers: modes, cuts, restarts, poolers, refusals."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from jobpipe.errors import ConfigError, StoreUnavailable
from jobpipe.store.port import Batch, Mode, Op, Operation, Statement, operation
from jobpipe.store.postgres import dialect as dialects
from jobpipe.store.postgres import overdue
from jobpipe.store.postgres.async_driver import PostgresAsyncStore
from jobpipe.store.postgres.driver import PostgresStore
from tests.servers.postgres import PostgresServer
from tests.waiting import until

SCHEMA = "shelf"
SQL = {
    "make": 'CREATE SCHEMA "shelf"',
    "make_table": "CREATE TABLE {p}item (id bigint PRIMARY KEY, name text, args json)",
    "insert": (
        "INSERT INTO {p}item SELECT * FROM unnest(CAST(:id AS bigint[]), CAST(:name AS text[]),"
        " CAST(:args AS json[])) RETURNING id"
    ),
    "items": "SELECT id, name, args FROM {p}item WHERE name LIKE '%' ORDER BY id",
    "add": "INSERT INTO {p}item VALUES (CAST(:id AS bigint), CAST(:name AS text)) RETURNING id",
    "rename": (
        "UPDATE {p}item SET name = CAST(:name AS text) WHERE id = CAST(:id AS bigint) RETURNING id"
    ),
    "clock": "SELECT :now AS now, CAST(extract(epoch FROM now()) * 1000000 AS bigint) AS server",
    "plan": "EXPLAIN SELECT id FROM {p}item WHERE id > :now",
    "hang_up": "SELECT pg_terminate_backend(pg_backend_pid())",
    "pid": "SELECT pg_backend_pid() AS pid",
    "isolation": "SELECT current_setting('transaction_isolation') AS level",
    "missing": "SELECT * FROM {p}nowhere",
    "slow": "SELECT pg_sleep(60) AS nothing",
    "limit": "SELECT current_setting('idle_in_transaction_session_timeout') AS value",
}
Run = Callable[[Operation[Any]], Any]


def shelf(shift: Callable[[], int] = dialects.no_shift) -> dialects.Dialect:
    prefix = dialects.schema_prefix(SCHEMA)
    texts = {name: sql.replace("{p}", prefix) for name, sql in SQL.items()}
    return dialects.of(texts, SCHEMA, shift)


class AsyncRun:
    """An async store whose ``run`` blocks, so that one test serves both drivers."""

    def __init__(self, url: str, dialect: dialects.Dialect, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self._store = PostgresAsyncStore(url, dialect, **options)

    def run(self, wanted: Operation[Any]) -> Any:
        return self._runner.run(self._store.run(wanted))

    def close(self) -> None:
        self._runner.run(self._store.close())
        self._runner.close()


DRIVERS: dict[str, Any] = {"sync": PostgresStore, "async": AsyncRun}


@pytest.fixture(params=list(DRIVERS))
def open_store(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Open a store of either driver; it is closed after the test."""
    opened: list[Any] = []

    def open_one(url: str, **options: Any) -> Any:
        options.setdefault("dialect", shelf())
        opened.append(DRIVERS[request.param](url, **options))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., Any], postgres_url: str) -> Any:
    one = open_store(postgres_url)
    one.run(set_up())
    return one


def one(name: str, mode: Mode = Mode.ONE, /, **params: Any) -> Operation[Any]:
    return Operation(name, mode, lambda: ask(name, params))


def ask(name: str, params: dict[str, Any]) -> Op[Any]:
    rows = yield Statement(name, params)
    return [dict(row) for row in rows]  # type: ignore[call-overload]


@operation(Mode.TRANSACTION)
def set_up() -> Op[None]:
    yield Statement("make")
    yield Statement("make_table")


@operation(Mode.ONE)
def insert(rows: list[tuple[int, str | None, str | None]]) -> Op[list[int]]:
    answer = yield Statement("insert", batch=Batch(("id", "name", "args"), rows))
    return [row["id"] for row in answer]


@operation(Mode.TRANSACTION)
def add_all(ids: list[int], fail: bool = False) -> Op[int]:
    for id in ids:
        yield Statement("add", {"id": id, "name": "x"})
    if fail:
        raise LookupError("not this time")
    return len(ids)


@operation(Mode.ONE)
def one_too_many() -> Op[None]:
    yield Statement("pid")
    yield Statement("pid")


@operation(Mode.ONE)
def none_needed() -> Op[str]:
    return "nothing to ask"
    yield Statement("pid")


def cut_everyone(url: str) -> int:
    """End every other session in the database and wait until they are gone."""
    with psycopg.connect(url, autocommit=True) as connection:
        return len(
            connection.execute(
                "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
        )


def items(store: Any) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in store.run(one("items", Mode.READ))]


def test_a_batch_is_stored_and_json_comes_back_as_text(store: Any) -> None:
    assert store.run(insert([(1, "a%s", '{"b":  1}'), (2, None, None)])) == [1, 2]
    assert store.run(insert([])) == []
    assert items(store) == [(1, "a%s", '{"b":  1}')]


@pytest.mark.parametrize(
    "names",
    [
        ["", "NULL", "a,b", '"', "\\", "{}", " space ", "\t\n\r", "äß€😀"],
        ["between\x1ftexts", "\x1f"],
        ["beside", None],
    ],
    ids=["odd texts", "separators", "a null"],
)
def test_texts_of_a_batch_come_back_as_they_were(store: Any, names: list[str | None]) -> None:
    store.run(insert([(n, name, None) for n, name in enumerate(names)]))
    assert [name for _, name, _ in items(store)] == [name for name in names if name is not None]


def test_a_transaction_is_all_or_nothing(store: Any) -> None:
    assert store.run(add_all([1, 2])) == 2
    with pytest.raises(LookupError):
        store.run(add_all([3], fail=True))
    with pytest.raises(Exception, match="duplicate key"):
        store.run(add_all([4, 1]))
    assert [row[0] for row in items(store)] == [1, 2]


def test_transactions_are_read_committed(store: Any, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "ALTER ROLE CURRENT_USER SET default_transaction_isolation = 'repeatable read'"
        )
    try:
        for mode in Mode:
            assert store.run(one("isolation", mode)) == [{"level": "read committed"}]
    finally:
        with psycopg.connect(postgres_url) as connection:
            connection.execute("ALTER ROLE CURRENT_USER RESET default_transaction_isolation")


def test_an_operation_of_one_statement_sends_at_most_one(store: Any) -> None:
    assert store.run(none_needed()) == "nothing to ask"
    with pytest.raises(RuntimeError, match="one_too_many is declared as one statement"):
        store.run(one_too_many())


def test_now_is_the_servers_clock_moved_by_the_shift(
    open_store: Callable[..., Any], postgres_url: str
) -> None:
    shifts = iter([0, 3_600_000_000])
    moved = open_store(postgres_url, dialect=shelf(lambda: next(shifts)))
    (true,) = moved.run(one("clock"))
    (later,) = moved.run(one("clock"))
    assert 0 <= true["now"] - true["server"] < 1_000_000
    assert 0 <= later["now"] - later["server"] - 3_600_000_000 < 1_000_000


def test_now_serves_as_an_index_condition(store: Any) -> None:
    plan = "\n".join(row["QUERY PLAN"] for row in store.run(one("plan", Mode.READ)))
    assert "Index Cond" in plan


def test_an_idle_connection_that_was_cut_is_replaced_unnoticed(
    store: Any, postgres_url: str
) -> None:
    store.run(add_all([1]))
    for id in (2, 3, 4):
        assert cut_everyone(postgres_url) == 1
        assert store.run(one("add", id=id, name="x")) == [{"id": id}]
    assert len(items(store)) == 4


def test_a_cut_under_one_statement_leaves_the_outcome_unknown(store: Any) -> None:
    with pytest.raises(StoreUnavailable, match="unknown whether it was stored") as caught:
        store.run(one("hang_up"))
    assert caught.value.outcome_unknown
    assert caught.value.__cause__ is not None
    assert len(store.run(one("pid"))) == 1


@pytest.mark.parametrize("mode", [Mode.READ, Mode.TRANSACTION])
def test_a_cut_before_any_commit_starts_the_operation_once_more(store: Any, mode: Mode) -> None:
    pids: set[int] = set()

    def cut_once() -> Op[int]:
        (row,) = yield Statement("pid")
        pids.add(row["pid"])
        if len(pids) == 1:
            yield Statement("hang_up")
        rows = yield Statement("pid")
        return len(rows)

    assert store.run(Operation("cut_once", mode, cut_once)) == 1
    assert len(pids) == 2
    with pytest.raises(StoreUnavailable, match="nothing was stored") as caught:
        store.run(one("hang_up", mode))
    assert not caught.value.outcome_unknown


def test_a_crash_of_the_server_is_survived(store: Any, postgres_server: PostgresServer) -> None:
    store.run(add_all([1]))
    postgres_server.stop("immediate")
    try:
        with pytest.raises(StoreUnavailable, match="cannot be reached") as caught:
            store.run(one("add", id=2, name="x"))
        assert not caught.value.outcome_unknown
    finally:
        postgres_server.start()
    assert store.run(one("add", id=3, name="x")) == [{"id": 3}]
    assert [row[0] for row in items(store)] == [1, 3]


def test_a_run_waits_for_a_server_that_is_coming_back(
    open_store: Callable[..., Any], postgres_server: PostgresServer, postgres_url: str
) -> None:
    patient = open_store(postgres_url, connect_seconds=60)
    patient.run(set_up())
    postgres_server.stop("immediate")
    restart = threading.Timer(0.2, postgres_server.start)
    restart.start()
    try:
        assert patient.run(one("add", id=1, name="x")) == [{"id": 1}]
    finally:
        restart.join()


def test_a_migrated_table_makes_old_plans_no_trouble(store: Any, postgres_url: str) -> None:
    for _ in range(6):
        store.run(one("items", Mode.READ))
    with psycopg.connect(postgres_url) as connection:
        connection.execute("ALTER TABLE shelf.item ALTER COLUMN name TYPE varchar(50)")
    assert store.run(one("items", Mode.TRANSACTION)) == []


@pytest.mark.parametrize(
    "change, kind, words",
    [
        ({"password": "wr0ng-s3cret"}, ConfigError, "refuses the login"),
        ({"database": "/nowhere"}, ConfigError, "has no such database"),
        ({"port": 1}, StoreUnavailable, "cannot be reached"),
        ({"host": "nowhere.invalid"}, StoreUnavailable, "cannot be reached"),
        ({"user": "nobody_known"}, ConfigError, "refuses the login"),
    ],
)
def test_a_wrong_url_is_named_without_its_password(
    open_store: Callable[..., Any],
    locked_server: PostgresServer,
    change: dict[str, Any],
    kind: type[Exception],
    words: str,
) -> None:
    part = {"user": "postgres", "password": "right-s3cret", "host": "127.0.0.1"}
    part |= {"port": locked_server.port, "database": "/postgres"} | change  # type: ignore[operator]
    url = "postgresql://{user}:{password}@{host}:{port}{database}".format(**part)
    wrong = open_store(url, connect_seconds=0.1)
    with pytest.raises(kind, match=words) as caught:
        wrong.run(one("pid"))
    shown = f"{caught.value} {caught.value.help} {caught.value.__cause__}"  # type: ignore[attr-defined]
    assert "s3cret" not in shown
    assert "***" in shown


@pytest.fixture(scope="module")
def locked_server() -> Iterator[PostgresServer]:
    """A server that asks for a password."""
    with PostgresServer() as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("ALTER ROLE postgres PASSWORD 'right-s3cret'")
            (file,) = connection.execute("SHOW hba_file").fetchone() or ("",)
            with open(file, "w", encoding="utf-8") as rules:
                rules.write("host all all 127.0.0.1/32 scram-sha-256\n")
            connection.execute("SELECT pg_reload_conf()")
        yield server


def test_a_url_that_cannot_be_read_is_refused_without_showing_it(
    open_store: Callable[..., Any],
) -> None:
    bad = open_store("postgresql://u:s3cret@127.0.0.1:port/x?sslmode=purple")
    with pytest.raises(ConfigError) as caught:
        bad.run(one("pid"))
    assert "s3cret" not in f"{caught.value} {caught.value.help} {caught.value.__cause__}"


def test_a_missing_schema_says_what_to_do(store: Any) -> None:
    with pytest.raises(ConfigError, match="no Jobpipe schema") as caught:
        store.run(one("missing"))
    assert "jobpipe db migrate" in caught.value.help


def test_a_read_only_server_is_named(open_store: Callable[..., Any], postgres_url: str) -> None:
    name = urlsplit(postgres_url).path.removeprefix("/")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable, match="is read-only"):
        open_store(postgres_url).run(set_up())


def test_a_deadlock_is_run_again(open_store: Callable[..., Any], postgres_url: str) -> None:
    stores = [open_store(postgres_url) for _ in range(2)]
    stores[0].run(set_up())
    stores[0].run(add_all([1, 2]))
    both_hold_one = threading.Barrier(2)
    locked: list[int] = []

    def cross(ids: tuple[int, int]) -> Op[int]:
        yield Statement("rename", {"id": ids[0], "name": "x"})
        locked.append(ids[0])
        if len(locked) <= 2:
            both_hold_one.wait(30)
        yield Statement("rename", {"id": ids[1], "name": "x"})
        return 1

    orders = [(1, 2), (2, 1)]
    results: list[int] = []
    threads = [
        threading.Thread(
            target=lambda s=s, o=o: results.append(
                s.run(Operation("cross", Mode.TRANSACTION, lambda: cross(o)))
            )
        )
        for s, o in zip(stores, orders, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1, 1]
    assert len(locked) == 3


def test_a_transaction_mode_pooler_serves_every_mode(
    open_store: Callable[..., Any], pgbouncer_url: tuple[str, str]
) -> None:
    pooled, direct = pgbouncer_url
    open_store(direct).run(set_up())
    stores = [open_store(pooled, pooler="transaction", size=2) for _ in range(3)]
    for turn in range(5):
        for number, store in enumerate(stores):
            id = turn * 10 + number
            assert store.run(insert([(id, "x", "{}")])) == [id]
            assert store.run(add_all([100 + id])) == 1
            assert len(items(store)) == 2 * (turn * 3 + number + 1)
    with pytest.raises(StoreUnavailable) as caught:
        stores[0].run(one("hang_up"))
    assert caught.value.__cause__ is not None
    assert len(items(stores[0])) == 30


@pytest.mark.parametrize("pooler", ["none", "transaction"])
def test_each_transaction_has_a_limit_for_standing_still(
    open_store: Callable[..., Any], pgbouncer_url: tuple[str, str], pooler: str
) -> None:
    pooled, direct = pgbouncer_url
    store = open_store(pooled if pooler == "transaction" else direct, pooler=pooler)
    assert store.run(one("limit", Mode.TRANSACTION))[0]["value"] == "10s"
    outside = open_store(direct)
    assert outside.run(one("limit", Mode.ONE))[0]["value"] == "0"
    outside.run(one("limit", Mode.TRANSACTION))
    assert outside.run(one("limit", Mode.ONE))[0]["value"] == "0"


def in_one_loop(work: Callable[[PostgresAsyncStore], Coroutine[Any, Any, Any]], url: str) -> Any:
    async def main() -> Any:
        store = PostgresAsyncStore(url, shelf())
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(main())


def test_many_tasks_behind_a_pooler_share_connections(pgbouncer_url: tuple[str, str]) -> None:
    pooled, direct = pgbouncer_url
    setting = PostgresStore(direct, shelf())
    setting.run(set_up())

    async def main() -> int:
        stores = [
            PostgresAsyncStore(pooled, shelf(), pooler="transaction", size=10) for _ in range(3)
        ]
        await asyncio.gather(
            *(stores[n % 3].run(insert([(n, "x", None)])) for n in range(300)),
            *(stores[n % 3].run(one("items", Mode.READ)) for n in range(100)),
        )
        for store in stores:
            await store.close()
        return len(items(setting))

    try:
        assert asyncio.run(main()) == 300
    finally:
        setting.close()


@pytest.mark.parametrize("mode", [Mode.ONE, Mode.TRANSACTION])
def test_a_statement_that_takes_too_long_is_a_cut(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, mode: Mode
) -> None:
    async def work(store: PostgresAsyncStore) -> None:
        await store.run(one("pid"))  # sets the timer that has to look again for the next statement
        with pytest.raises(StoreUnavailable) as caught:
            await store.run(one("slow", mode))
        assert caught.value.outcome_unknown is (mode is Mode.ONE)
        assert await store.run(one("pid"))

    monkeypatch.setattr(overdue, "STATEMENT_SECONDS", 0.3)
    in_one_loop(work, postgres_url)


def test_an_async_store_serves_one_loop_after_the_other(postgres_url: str) -> None:
    store = PostgresAsyncStore(postgres_url, shelf())
    pids = [asyncio.run(store.run(one("pid")))[0]["pid"] for _ in range(3)]
    assert len(set(pids)) == 3
    gc.collect()


def test_who_hangs_up_in_another_thread_leaves_no_connection_open(postgres_url: str) -> None:
    async def main() -> None:
        store = PostgresAsyncStore(postgres_url, shelf())
        await asyncio.gather(*(store.run(one("pid")) for _ in range(2)))
        await asyncio.to_thread(store.hang_up)
        with psycopg.connect(postgres_url) as other:
            until(lambda: _open_now(other) == 0)
        assert await store.run(one("pid"))
        await store.close()

    asyncio.run(main())


def test_who_hangs_up_when_the_loop_is_closed_hears_nothing(postgres_url: str) -> None:
    store = PostgresAsyncStore(postgres_url, shelf())
    asyncio.run(store.run(one("pid")))
    store.hang_up()


def test_a_close_that_is_cut_short_leaves_no_connection_open(postgres_url: str) -> None:
    async def main() -> None:
        store = PostgresAsyncStore(postgres_url, shelf())
        await asyncio.gather(*(store.run(one("pid")) for _ in range(3)))
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing

    asyncio.run(main())
    gc.collect()  # who was left would say so


def test_a_cancelled_run_leaves_no_broken_connection(postgres_url: str) -> None:
    async def work(store: PostgresAsyncStore) -> int:
        for _ in range(3):
            reached = asyncio.Event()

            def steps(reached: asyncio.Event = reached) -> Op[None]:
                yield Statement("pid")
                reached.set()
                yield Statement("slow")

            task = asyncio.create_task(store.run(Operation("slow", Mode.TRANSACTION, steps)))
            await reached.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return len(await store.run(one("pid")))

    assert in_one_loop(work, postgres_url) == 1


def test_tasks_wait_for_their_turn_when_all_connections_are_busy(postgres_url: str) -> None:
    async def work(store: PostgresAsyncStore) -> int:
        rows = await asyncio.gather(*(store.run(one("pid")) for _ in range(100)))
        return len({row[0]["pid"] for row in rows})

    assert 1 <= in_one_loop(work, postgres_url) <= 8


def _open_now(connection: psycopg.Connection[Any]) -> int:
    (count,) = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'jobpipe'"
        " AND datname = current_database()"
    ).fetchone() or (0,)
    connection.rollback()
    return int(count)


def test_threads_share_a_sync_store(postgres_url: str) -> None:
    store = PostgresStore(postgres_url, shelf(), size=3)
    store.run(set_up())
    threads = [
        threading.Thread(target=lambda n=n: store.run(add_all([n * 10, n * 10 + 1])))
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(items(store)) == 40
    with psycopg.connect(postgres_url) as connection:
        assert 1 <= _open_now(connection) <= 3
    store.close()
    store.close()


def child_pid(store: PostgresStore, answers: Any) -> None:
    answers.put(store.run(one("pid"))[0]["pid"])


def test_a_forked_child_opens_its_own_connections(postgres_url: str) -> None:
    store = PostgresStore(postgres_url, shelf())
    parents = store.run(one("pid"))[0]["pid"]
    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()
    child = fork.Process(target=child_pid, args=(store, answers))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert answers.get() != parents
    assert store.run(one("pid"))[0]["pid"] == parents
    store.close()
