"""What the harness itself asks of the PostgreSQL cluster that it has started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
from psycopg import sql


@contextmanager
def held_snapshot(url: str) -> Iterator[None]:
    """Let another session hold a REPEATABLE READ transaction inside the block."""
    with closing(psycopg.connect(url)) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT 1")
        yield


@contextmanager
def autovacuum_off(url: str) -> Iterator[None]:
    """Switch autovacuum off for the whole cluster inside the block."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute("ALTER SYSTEM SET autovacuum = off")
        connection.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            connection.execute("ALTER SYSTEM RESET autovacuum")
            connection.execute("SELECT pg_reload_conf()")


def dead_rows(url: str) -> int:
    """Return how many dead rows the tables of the database hold, as its statistics say."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        row = connection.execute("SELECT sum(n_dead_tup) FROM pg_stat_user_tables").fetchone()
    return int(row[0] or 0) if row else 0


def transactions(url: str) -> int:
    """Return how many transactions the database has ended; a look counts as one itself."""
    database = url.rsplit("/", 1)[-1]
    with closing(psycopg.connect(f"{url.rsplit('/', 1)[0]}/postgres", autocommit=True)) as there:
        row = there.execute(
            "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s",
            [database],
        ).fetchone()
    return int(row[0]) if row else 0


def analyze(url: str, *tables: str) -> None:
    """Take fresh statistics of these tables."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        for table in tables:
            connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(*table.split("."))))


def leave_alone(url: str, table: str) -> None:
    """Keep autovacuum, and with it ANALYZE, away from a table."""
    name = sql.Identifier(*table.split("."))
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute(sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = off)").format(name))
