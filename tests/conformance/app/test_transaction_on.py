"""``job.transaction(on=)``: the task's own connection, of every kind, on the same database."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from jobpipe import Jobpipe, State, current_job
from jobpipe.model.state import Reason
from jobpipe.store.ops import worker as ops
from tests.conformance.app.shelf import Shelf
from tests.conformance.app.site import Site
from tests.conformance.clock import MovedClock
from tests.conformance.conftest import find_place
from tests.waiting import until

Steps = Generator[Any, Any, None]


def engine_url(direct: str, driver: str) -> str:
    if direct.startswith("postgresql:"):
        return direct.replace("postgresql:", f"postgresql+{driver}:", 1)
    return f"sqlite:///{direct}"


class Opening:
    """Opens connections of one kind to a file or a server."""

    def __init__(self, name: str, kind: str, stores: str) -> None:
        self.name, self.kind, self.stores = name, kind, stores

    def __repr__(self) -> str:
        return self.name

    @property
    def is_sqlalchemy(self) -> bool:
        return self.name.endswith(("session", "connection"))

    def open(self, direct: str) -> Any:
        return getattr(self, self.name)(direct)

    def used(self, direct: str) -> Any:
        """Open one and begin a transaction on it."""
        return self._aused(direct) if self.kind == "async" else self._used(direct)

    @contextmanager
    def _used(self, direct: str) -> Iterator[Any]:
        with self.open(direct) as connection:
            connection.execute(text("SELECT 1") if self.is_sqlalchemy else "BEGIN")
            yield connection

    @asynccontextmanager
    async def _aused(self, direct: str) -> AsyncIterator[Any]:
        async with self.open(direct) as connection:
            if self.name == "sqlite3_awaited":
                connection.execute("BEGIN")
            elif self.is_sqlalchemy:
                await connection.execute(text("SELECT 1"))
            else:
                await connection.execute("BEGIN")
            yield connection

    @contextmanager
    def sqlite3(self, direct: str) -> Iterator[Any]:
        with closing(sqlite3.connect(direct)) as connection:
            yield connection

    @asynccontextmanager
    async def sqlite3_awaited(self, direct: str) -> AsyncIterator[Any]:
        with closing(sqlite3.connect(direct, isolation_level=None)) as connection:
            yield connection

    @contextmanager
    def psycopg(self, direct: str) -> Iterator[Any]:
        with closing(psycopg.connect(direct)) as connection:
            yield connection

    @contextmanager
    def psycopg_autocommit(self, direct: str) -> Iterator[Any]:
        with closing(psycopg.connect(direct, autocommit=True)) as connection:
            yield connection

    @asynccontextmanager
    async def psycopg_async(self, direct: str) -> AsyncIterator[Any]:
        connection = await psycopg.AsyncConnection.connect(direct)
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def asyncpg(self, direct: str) -> AsyncIterator[Any]:
        connection = await asyncpg.connect(direct)
        try:
            yield connection
        finally:
            await connection.close()

    @asynccontextmanager
    async def asyncpg_pool(self, direct: str) -> AsyncIterator[Any]:
        async with asyncpg.create_pool(direct, min_size=1, max_size=1) as pool, pool.acquire() as c:
            yield c

    @contextmanager
    def session(self, direct: str) -> Iterator[Any]:
        engine = create_engine(engine_url(direct, "psycopg"))
        try:
            with Session(engine) as session:
                yield session
        finally:
            engine.dispose()

    @contextmanager
    def connection(self, direct: str) -> Iterator[Any]:
        engine = create_engine(engine_url(direct, "psycopg"))
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()

    @asynccontextmanager
    async def async_session(self, direct: str) -> AsyncIterator[Any]:
        engine = create_async_engine(engine_url(direct, "asyncpg"))
        try:
            async with AsyncSession(engine) as session:
                yield session
        finally:
            await engine.dispose()

    @asynccontextmanager
    async def async_connection(self, direct: str) -> AsyncIterator[Any]:
        engine = create_async_engine(engine_url(direct, "psycopg"))
        try:
            async with engine.connect() as connection:
                yield connection
        finally:
            await engine.dispose()


OPENINGS = [
    Opening("sqlite3", "def", "sqlite"),
    Opening("sqlite3_awaited", "async", "sqlite"),
    Opening("psycopg", "def", "postgresql"),
    Opening("psycopg_autocommit", "def", "postgresql"),
    Opening("psycopg_async", "async", "postgresql"),
    Opening("asyncpg", "async", "postgresql"),
    Opening("asyncpg_pool", "async", "postgresql"),
    Opening("session", "def", "both"),
    Opening("connection", "def", "both"),
    Opening("async_session", "async", "postgresql"),
    Opening("async_connection", "async", "postgresql"),
]
PLACES = [
    (store, opening)
    for opening in OPENINGS
    for store in ("sqlite", "postgresql")
    if opening.stores in (store, "both")
]


Case = tuple[Site, Opening]


@pytest.fixture(params=PLACES, ids=lambda place: f"{place[0]}-{place[1]}")
def case(request: pytest.FixtureRequest, tmp_path: Path, clock: MovedClock) -> Iterator[Case]:
    """A kind of connection, and a store that it can lead to."""
    store, opening = request.param
    site = Site(find_place(store, request, tmp_path), clock, None)
    yield site, opening
    site.close()


@pytest.fixture
def site(case: Case) -> Site:
    return case[0]


@pytest.fixture
def opening(case: Case) -> Opening:
    return case[1]


@pytest.fixture
def shelf(site: Site, jp: Jobpipe, opening: Opening) -> Shelf:
    return Shelf(site, jp, opening.kind, text if opening.is_sqlalchemy else str)


def test_the_task_brings_the_connection(
    site: Site, jp: Jobpipe, shelf: Shelf, opening: Opening
) -> None:
    def inside(n: int) -> Steps:
        yield shelf.put(n)
        current_job().set_result(n)
        if current_job().attempt == 1:
            raise ValueError("not yet")

    task = shelf.task(inside, on=lambda: opening.open(site.place.direct))
    job = site.enqueue(task, 7)
    with site.running(jp):
        assert site.result(job) == 7
    assert shelf.items == [7]
    assert site.outcomes(jp, job) == ["failed", "succeeded"]


def test_what_is_refused_at_the_commit_is_undone(
    site: Site, jp: Jobpipe, shelf: Shelf, opening: Opening
) -> None:
    task = shelf.task(on=lambda: opening.open(site.place.direct), max_attempts=1)
    jobs = [site.enqueue(task, 7), site.enqueue(task, 7)]
    site.drain(jp, concurrency=1)
    assert [site.seen(job).state for job in jobs] == [State.SUCCEEDED, State.FAILED]
    assert shelf.items == [7]


def test_a_lost_attempt_commits_nothing(
    site: Site, jp: Jobpipe, shelf: Shelf, opening: Opening
) -> None:
    """The job is taken over before the block begins to write: SQLite has but one writer."""

    def take_over() -> Any:
        (worker,) = site.place.sql("SELECT id FROM {p}worker")
        jp._access.store("").run(ops.sweep([worker["id"]]))
        return opening.open(site.place.direct)

    job = site.enqueue(shelf.task(on=take_over, on_loss="fail"), 7)
    with site.running(jp):
        until(lambda: site.seen(job).state is State.FAILED)
        until(lambda: not site.place.sql("SELECT id FROM {p}job WHERE state = 'running'"))
    assert (site.seen(job).reason, shelf.items) == (Reason.LOST, [])


def test_a_job_enqueued_inside_comes_with_the_commit(
    site: Site, jp: Jobpipe, shelf: Shelf, opening: Opening
) -> None:
    done: list[int] = []

    @jp.task(name="other")
    def other(n: int) -> None:
        done.append(n)

    def inside(n: int) -> Steps:
        yield shelf.put(n)
        attempt = current_job().attempt
        if opening.kind == "async":
            yield other.using(on=shelf.connection).aenqueue(attempt)
        else:
            other.using(on=shelf.connection).enqueue(attempt)
        if attempt == 1:
            raise ValueError("not yet")

    job = site.enqueue(shelf.task(inside, on=lambda: opening.open(site.place.direct)), 7)
    with site.running(jp):
        until(lambda: done)
    assert (done, shelf.items, site.seen(job).state) == ([2], [7], State.SUCCEEDED)


def test_another_database_is_refused(
    site: Site,
    jp: Jobpipe,
    shelf: Shelf,
    opening: Opening,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    other = str(tmp_path / "other.db")
    if not shelf.is_file:
        other = request.getfixturevalue("postgres_url")
    job = site.enqueue(shelf.task(on=lambda: opening.open(other), max_attempts=1), 7)
    site.drain(jp)
    seen = site.seen(job)
    assert (seen.state, shelf.items) == (State.FAILED, [])
    assert seen.error is not None
    assert "on= leads to another database" in seen.error


def test_a_transaction_that_is_open_is_refused(
    site: Site, jp: Jobpipe, shelf: Shelf, opening: Opening
) -> None:
    """Else its commit would be more, or less, than the block."""
    job = site.enqueue(shelf.task(on=lambda: opening.used(site.place.direct), max_attempts=1), 7)
    site.drain(jp)
    seen = site.seen(job)
    assert (seen.state, shelf.items) == (State.FAILED, [])
    assert seen.error is not None
    assert "is in a transaction already" in seen.error
