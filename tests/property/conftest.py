"""An empty store for a machine, and what empties it between two lives."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.conformance.drivers import Place, file_place, server_place

TABLES = (
    "job",
    "attempt",
    "worker",
    "claim",
    "cancel_request",
    "idempotency",
    "lane",
    "look",
    "queue",
    "tally",
    "flow",
    "member",
    "edge",
    "place",
    "growth",
    "gate",
    "gate_job",
    "held_key",
)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return file_place(tmp_path)
    return server_place(request.getfixturevalue("postgres_url"))


@pytest.fixture
def clear(place: Place) -> Iterator[Callable[[], None]]:
    """Empty the store, so that one store serves every example."""
    deletes = [f"DELETE FROM {place.prefix}{table}" for table in TABLES]
    if place.is_file:
        with closing(sqlite3.connect(place.direct, isolation_level=None)) as file:

            def clear_file() -> None:
                for delete in deletes:
                    file.execute(delete)

            yield clear_file
        return
    with closing(psycopg.connect(place.direct, autocommit=True)) as server:
        script = "; ".join(deletes).encode()

        def clear_server() -> None:
            server.execute(script)

        yield clear_server
