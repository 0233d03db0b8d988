"""A round takes notes at the same cost, however many a pinned snapshot keeps of the past."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from jobpipe.store.postgres import dialect
from jobpipe.store.postgres.driver import PostgresStore
from tests.integration.test_pinned import pages

KNOWN = dialect.load("jobpipe")
FEW, MANY, LIVE = 2_000, 40_000, 500
SLACK_PAGES = 50


@pytest.fixture
def connection(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with closing(PostgresStore(postgres_url, KNOWN)) as fresh:
        fresh.migrate()
    with closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        connection.execute("ALTER TABLE jobpipe.look SET (autovacuum_enabled = false)")
        yield connection


def cost(connection: psycopg.Connection[Any], past: int) -> int:
    """Take so many notes, then count the pages that the next ones touch."""
    connection.execute(
        f"INSERT INTO jobpipe.look (job_id) SELECT generate_series(1, {past})".encode()
    )
    row = connection.execute("SELECT max(id) FROM jobpipe.look").fetchone()
    assert row is not None
    connection.execute("DELETE FROM jobpipe.look")
    connection.execute(
        f"INSERT INTO jobpipe.look (job_id) SELECT generate_series(1, {LIVE})".encode()
    )
    values = {"take_looks": {"since": row[0] + 1, "limit": LIVE}}
    touched = pages(connection, values, "force_generic_plan")["take_looks"]
    connection.execute("DELETE FROM jobpipe.look")
    return touched


def test_dead_notes_cost_a_round_nothing(
    connection: psycopg.Connection[Any], postgres_url: str
) -> None:
    with closing(psycopg.connect(postgres_url)) as other:
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT count(*) FROM jobpipe.look")
        few = cost(connection, FEW)
        many = cost(connection, MANY)
    assert many <= few + SLACK_PAGES
