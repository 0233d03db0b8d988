"""The drivers, in a few lines each: where a fresh store is, and how to open it."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from jobpipe.store.port import AsyncStore
from jobpipe.store.postgres import dialect
from jobpipe.store.postgres.async_driver import PostgresAsyncStore
from jobpipe.store.postgres.driver import PostgresStore
from jobpipe.store.sqlite.driver import SqliteAsyncStore, SqliteStore
from tests.conformance.clock import MovedClock

STORES = ("sqlite", "postgresql", "pgbouncer")
STYLES = ("sync", "async")
DRIVERS = [f"{store}-{style}" for store in STORES for style in STYLES]

_schemas = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one empty store is."""

    settings: dict[str, Any]
    """The settings of an application that uses it."""
    prefix: str
    """What stands before every table's name."""
    direct: str
    """The file, or the URL that leads to the server itself."""

    @property
    def is_file(self) -> bool:
        return not self.direct.startswith("postgresql:")

    def sql(self, text: str) -> list[dict[str, Any]]:
        """Run a statement (``{p}`` stands before tables) past Jobpipe."""
        statement = text.replace("{p}", self.prefix)
        if self.is_file:
            with closing(sqlite3.connect(self.direct)) as file, file:
                cursor = file.execute(statement)
                names = [column[0] for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        with psycopg.connect(self.direct, row_factory=dict_row) as connection:
            rows = connection.execute(statement.encode())
            return rows.fetchall() if rows.description else []


def file_place(folder: Path) -> Place:
    """A SQLite file that does not exist yet."""
    file = folder / f"jobs{next(_schemas)}.db"
    return Place({"url": f"sqlite:///{file}"}, "jobpipe_", str(file))


def server_place(url: str) -> Place:
    """A schema that does not exist yet in a database."""
    schema = f"t{next(_schemas)}"
    return Place({"url": url, "schema": schema}, f'"{schema}".', url)


def pooled(settings: dict[str, Any], url: str) -> dict[str, Any]:
    """Return the settings that lead through a pooler."""
    return {**settings, "url": url, "pooler": "transaction", "listen_url": settings["url"]}


_DROP_OTHERS = """
DO $$
DECLARE name text;
BEGIN
    FOR name IN
        SELECT tablename FROM pg_tables
        WHERE schemaname = '{schema}' AND tablename <> ALL (ARRAY{own})
    LOOP
        EXECUTE format('DROP TABLE %I.%I', '{schema}', name);
    END LOOP;
END $$
"""
"""What tests have made of their own."""


class SharedPlace:
    """A schema for many tests, one after the other: to empty it is a hundred times as quick as to
    make a new one."""

    def __init__(self, place: Place) -> None:
        self.place = place
        PostgresStore(place.direct, dialect.load(place.settings["schema"])).migrate()
        schema = place.settings["schema"]
        tables = place.sql(f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'")
        kept = ("store", "migration", "duty")
        self._empty = [
            _DROP_OTHERS.format(schema=schema, own=[row["tablename"] for row in tables]),
            *(
                f"DELETE FROM {place.prefix}{row['tablename']}"
                for row in tables
                if row["tablename"] not in kept
            ),
            f"UPDATE {place.prefix}duty SET position = 0, next_at = CASE name {_starts(place)} END",
            f"SELECT setval(CAST('{schema}.' || sequencename AS regclass), 1, false)"
            f" FROM pg_sequences WHERE schemaname = '{schema}'",
        ]

    def through(self, pooled_url: str) -> Place:
        """Return the same place, reached through a pooler."""
        settings = pooled(self.place.settings, pooled_url)
        return replace(self.place, settings=settings)

    def empty(self) -> None:
        """Make it as it was when it was new."""
        with psycopg.connect(self.place.direct, autocommit=True) as connection:
            connection.execute("; ".join(self._empty).encode())


def _starts(place: Place) -> str:
    rows = place.sql("SELECT name, next_at FROM {p}duty")
    return " ".join(f"WHEN '{row['name']}' THEN {row['next_at']}" for row in rows)


def open_stores(place: Place, clock: MovedClock) -> tuple[SqliteStore | PostgresStore, AsyncStore]:
    """Open the store at a place, blocking and awaited, on a clock that can be moved."""
    if place.is_file:
        file = SqliteStore(place.direct, clock=clock)
        return file, SqliteAsyncStore(file)
    known = dialect.load(place.settings["schema"], clock.shift)
    url, pooler = place.settings["url"], place.settings.get("pooler", "none")
    return (
        PostgresStore(url, known, pooler=pooler),
        PostgresAsyncStore(url, known, pooler=pooler),
    )
