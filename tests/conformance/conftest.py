"""A fresh store for each test, on every driver."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
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


SHARED_PLACES = 8
"""So many take turns: what a test leaves behind has ended before its place is taken again."""


@pytest.fixture(scope="session")
def shared_places(shared_database: str) -> Iterator[SharedPlace]:
    return cycle([SharedPlace(server_place(shared_database)) for _ in range(SHARED_PLACES)])


def find_place(store: str, request: pytest.FixtureRequest, folder: Path) -> Place:
    """Return an empty place in the kind of store that is named."""
    if store == "sqlite":
        return file_place(folder)
    shared: SharedPlace = next(request.getfixturevalue("shared_places"))
    shared.empty()
    if store == "postgresql":
        return shared.place
    pooler: Pgbouncer = request.getfixturevalue("pgbouncer")
    return shared.through(pooler.url(shared.place.direct))


@pytest.fixture
def clock() -> MovedClock:
    """The time of the store, as the test moves it."""
    return MovedClock()


@pytest.fixture(params=DRIVERS)
def lab(
    request: pytest.FixtureRequest, tmp_path: Path, clock: MovedClock, loop_thread: LoopThread
) -> Iterator[Lab]:
    """An empty store on the bench."""
    store, style = request.param.split("-")
    place = find_place(store, request, tmp_path)
    blocking, awaited = open_stores(place, clock)
    blocking.migrate()
    yield Lab(place, clock, blocking, awaited, loop_thread if style == "async" else None)
    loop_thread.run(awaited.close())
    blocking.close()
