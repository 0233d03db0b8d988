"""A fresh store for each test, on every driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.clock import MovedClock
from tests.conformance.drivers import (
    DRIVERS,
    Place,
    SharedPlace,
    file_place,
    open_stores,
    server_place,
)
from tests.conformance.lab import Lab
from tests.conformance.loop import LoopThread
from tests.servers.pgbouncer import Pgbouncer
from tests.servers.postgres import PostgresServer


@pytest.fixture(scope="session")
def loop_thread() -> Iterator[LoopThread]:
    """One event loop for whatever is awaited."""
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture(scope="session")
def shared_database(postgres_server: PostgresServer) -> str:
    """One database for the whole run: a schema a test is much quicker than a database a test."""
    # It goes with the server: to drop thousands of schemas one by one takes minutes.
    return postgres_server.create_database()


def find_place(store: str, request: pytest.FixtureRequest, folder: Path) -> Place:
    """Return an empty place in the kind of store that is named."""
    if store == "sqlite":
        return file_place(folder)
    url: str = request.getfixturevalue("shared_database")
    if store == "postgresql":
        return server_place(url)
    pooler: Pgbouncer = request.getfixturevalue("pgbouncer")
    return server_place(url, pooler.url(url))


@pytest.fixture
def clock() -> MovedClock:
    """The time of the store, as the test moves it."""
    return MovedClock()


@pytest.fixture(scope="session")
def shared_place(shared_database: str) -> SharedPlace:
    return SharedPlace(server_place(shared_database))


@pytest.fixture(params=DRIVERS)
def lab(
    request: pytest.FixtureRequest, tmp_path: Path, clock: MovedClock, loop_thread: LoopThread
) -> Iterator[Lab]:
    """An empty store on the bench."""
    store, style = request.param.split("-")
    place = file_place(tmp_path) if store == "sqlite" else empty_place(store, request)
    blocking, awaited = open_stores(place, clock)
    blocking.migrate()
    yield Lab(place, clock, blocking, awaited, loop_thread if style == "async" else None)
    loop_thread.run(awaited.close())
    blocking.close()


def empty_place(store: str, request: pytest.FixtureRequest) -> Place:
    """Return the place that the tests of operations share, emptied."""
    shared: SharedPlace = request.getfixturevalue("shared_place")
    shared.empty()
    if store == "postgresql":
        return shared.place
    pooler: Pgbouncer = request.getfixturevalue("pgbouncer")
    return shared.through(pooler.url(shared.place.direct))
