"""Finds the adapter for a caller's connection by the name of its type.

No database library is imported: whoever holds such a connection has done so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from jobpipe.errors import ConfigError
from jobpipe.store.callers.asyncpg_ import AsyncpgCaller
from jobpipe.store.callers.caller import AsyncCaller, Caller
from jobpipe.store.callers.psycopg_ import PsycopgCaller
from jobpipe.store.callers.psycopg_async import PsycopgAsyncCaller
from jobpipe.store.callers.sqlalchemy_ import SqlalchemyAsyncCaller, SqlalchemyCaller
from jobpipe.store.callers.sqlite3_ import Sqlite3AwaitedCaller, Sqlite3Caller

C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Kind(Generic[C_co]):
    """A kind of connection and what makes its adapter."""

    name: str
    make: Callable[[Any], C_co]


BLOCKING: dict[str, Kind[Caller]] = {
    "sqlite3.Connection": Kind(Sqlite3Caller.kind, lambda _: Sqlite3Caller()),
    "psycopg.Connection": Kind(PsycopgCaller.kind, lambda _: PsycopgCaller()),
    "sqlalchemy.orm.session.Session": Kind(
        "sqlalchemy Session", lambda given: SqlalchemyCaller("sqlalchemy Session", given)
    ),
    "sqlalchemy.engine.base.Connection": Kind(
        "sqlalchemy Connection", lambda given: SqlalchemyCaller("sqlalchemy Connection", given)
    ),
}
AWAITED: dict[str, Kind[AsyncCaller]] = {
    "sqlite3.Connection": Kind(Sqlite3AwaitedCaller.kind, lambda _: Sqlite3AwaitedCaller()),
    "psycopg.AsyncConnection": Kind(PsycopgAsyncCaller.kind, lambda _: PsycopgAsyncCaller()),
    "asyncpg.connection.Connection": Kind(AsyncpgCaller.kind, lambda _: AsyncpgCaller()),
    "asyncpg.pool.PoolConnectionProxy": Kind(AsyncpgCaller.kind, lambda _: AsyncpgCaller()),
    "sqlalchemy.ext.asyncio.session.AsyncSession": Kind(
        "sqlalchemy AsyncSession",
        lambda given: SqlalchemyAsyncCaller("sqlalchemy AsyncSession", given),
    ),
    "sqlalchemy.ext.asyncio.engine.AsyncConnection": Kind(
        "sqlalchemy AsyncConnection",
        lambda given: SqlalchemyAsyncCaller("sqlalchemy AsyncConnection", given),
    ),
}
KINDS = ", ".join(
    dict.fromkeys(
        [kind.name for kind in BLOCKING.values()] + [kind.name for kind in AWAITED.values()]
    )
)
BUFFERED = "jobpipe.store.sqlite.buffered.BufferedConnection"


def blocking(connection: object) -> Caller:
    """Return the adapter for use in code that blocks.

    Raises ConfigError for a connection that has to be awaited and for an unknown kind.
    """
    names = _names(connection)
    found = _pick(BLOCKING, names)
    if found:
        return found.make(connection)
    other = _pick(AWAITED, names)
    if other:
        raise ConfigError(
            f"on= is an {other.name}, which has to be awaited",
            help="Use `await task.using(on=connection).aenqueue(...)` or `async with`.",
        )
    raise _unknown(names)


def awaited(connection: object) -> AsyncCaller:
    """Return the adapter for use in async code.

    Raises ConfigError for a connection that would block the loop and for an unknown kind.
    """
    names = _names(connection)
    found = _pick(AWAITED, names)
    if found:
        return found.make(connection)
    other = _pick(BLOCKING, names)
    if other:
        raise ConfigError(
            f"on= is a {other.name}, which would block the event loop",
            help="Use `task.using(on=connection).enqueue(...)`, or an async connection.",
        )
    raise _unknown(names)


def _names(connection: object) -> tuple[str, ...]:
    parents = type(connection).__mro__
    return tuple(f"{parent.__module__}.{parent.__qualname__}" for parent in parents)


def _pick(callers: dict[str, C], names: tuple[str, ...]) -> C | None:
    return next((callers[name] for name in names if name in callers), None)


def _unknown(names: tuple[str, ...]) -> ConfigError:
    if BUFFERED in names:
        return ConfigError(
            "the connection of job.transaction() on SQLite keeps writes for later: it cannot say"
            " which id a job will have",
            help="Pass a sqlite3 connection of your own: job.transaction(on=connection).",
        )
    return ConfigError(
        f"on= is a {names[0]}, not a connection that can carry a job; one of: {KINDS}"
    )
