"""Random lives of jobs, on each store, against the model."""

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
from tests.property.machine import Ground, Lives

EXAMPLES, STEPS = 400, 30

TABLES = (
    "job",
    "attempt",
    "worker",
    "claim",
    "cancel_request",
    "idempotency",
    "lane",
    "queue",
    "tally",
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
            yield lambda: [file.execute(delete) for delete in deletes] and None
    else:
        with closing(psycopg.connect(place.direct, autocommit=True)) as server:
            script = "; ".join(deletes).encode()
            yield lambda: server.execute(script) and None


def test_every_life_is_as_the_model_says(place: Place, clear: Callable[[], None]) -> None:
    """Takes up to half a minute: hundreds of lives of thirty steps, each step looked at."""
    clock = MovedClock()
    store, _ = open_stores(place, clock)
    store.migrate()
    Lives.ground = Ground(store.run, clock, clear)
    profile = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=False,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=True,
    )
    run_state_machine_as_test(Lives, settings=profile)
    store.close()
