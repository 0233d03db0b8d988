"""The servers that the other tests rely on do what they say."""

from __future__ import annotations

import os
import signal
from contextlib import closing

import psycopg
import pytest

from tests.servers.postgres import PostgresServer


def test_each_database_is_empty_and_durable(postgres_url: str) -> None:
    with closing(psycopg.connect(postgres_url)) as connection:
        (tables,) = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone() or (None,)
        fsync = connection.execute("SHOW fsync").fetchone()
        commit = connection.execute("SHOW synchronous_commit").fetchone()
    assert (tables, fsync, commit) == (0, ("on",), ("on",))


def test_the_pooler_leads_to_the_same_database(pgbouncer_url: tuple[str, str]) -> None:
    pooled, direct = pgbouncer_url
    with closing(psycopg.connect(direct, autocommit=True)) as connection:
        connection.execute("CREATE TABLE seen AS SELECT 7 AS n")
    with closing(psycopg.connect(pooled)) as connection:
        assert connection.execute("SELECT n FROM seen").fetchone() == (7,)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_keeps_port_and_data(mode: str) -> None:
    with PostgresServer() as server:
        url = server.create_database()
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        before = server.pid
        server.stop(mode)
        assert server.pid is None
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url)
        server.start()
        assert server.pid != before
        with closing(psycopg.connect(url)) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_a_killed_server_starts_again() -> None:
    with PostgresServer() as server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGQUIT)
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
        server.start()
        psycopg.connect(server.url()).close()


def test_backends_are_cut_by_database(postgres_server: PostgresServer, postgres_url: str) -> None:
    with closing(psycopg.connect(postgres_url)) as connection:
        assert postgres_server.terminate_backends(postgres_url) == 1
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
