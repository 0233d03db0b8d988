"""The SQL that ``db sql`` prints makes a store that needs no migration."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg

from jobpipe import Jobpipe


def test_the_printed_sql_makes_a_whole_sqlite_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    application = Jobpipe(url)
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        connection.executescript(application.schema_sql())
    assert application.schema_status().pending == ()
    assert application.migrate() == ()
    assert application.check_store() == []
    application.close()


def test_the_printed_sql_makes_a_whole_postgresql_store(postgres_url: str) -> None:
    application = Jobpipe(postgres_url, schema="by_hand")
    with closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
        connection.execute(application.schema_sql())
    assert application.schema_status().pending == ()
    assert application.migrate() == ()
    assert application.check_store() == []
    application.close()
