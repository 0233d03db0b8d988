"""Random lives of jobs that want keys, on each store, against the rules of their scopes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conformance.clock import MovedClock
from tests.conformance.drivers import Place, file_place, open_stores, server_place
from tests.property.machine import Ground
from tests.property.uniqueness import Keys

EXAMPLES, STEPS = {"sqlite": 200, "postgresql": 50}, 30
"""On PostgreSQL a step is ten times as slow, and the rounds are the same."""
TABLES = ("job", "attempt", "claim", "cancel_request", "held_key", "idempotency", "tally", "worker")


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
            yield lambda: [file.execute(delete) for delete in deletes] and None
    else:
        with closing(psycopg.connect(place.direct, autocommit=True)) as server:
            script = "; ".join(deletes).encode()
            yield lambda: server.execute(script) and None


@pytest.mark.timeout(300)
def test_every_key_is_held_as_its_scope_says(place: Place, clear: Callable[[], None]) -> None:
    """Takes one to two minutes: hundreds of lives of thirty steps, most of them commits."""
    clock = MovedClock()
    store, _ = open_stores(place, clock)
    store.migrate()
    Keys.ground = Ground(store.run, clock, clear)
    profile = settings(
        max_examples=EXAMPLES["sqlite" if place.is_file else "postgresql"],
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=True,
    )
    run_state_machine_as_test(Keys, settings=profile)
    store.close()
