"""Finds the adapter for a caller's connection by the name of its type.

No database library is imported: whoever holds such a connection has done so.
"""

from __future__ import annotations

from typing import TypeVar

from jobpipe.errors import ConfigError
from jobpipe.store.callers.asyncpg_ import AsyncpgCaller
from jobpipe.store.callers.caller import AsyncCaller, Caller
from jobpipe.store.callers.psycopg_ import PsycopgCaller
from jobpipe.store.callers.psycopg_async import PsycopgAsyncCaller
from jobpipe.store.callers.sqlite3_ import Sqlite3AwaitedCaller, Sqlite3Caller

C = TypeVar("C")

BLOCKING: dict[str, Caller] = {
    "sqlite3.Connection": Sqlite3Caller(),
    "psycopg.Connection": PsycopgCaller(),
}
AWAITED: dict[str, AsyncCaller] = {
    "sqlite3.Connection": Sqlite3AwaitedCaller(),
    "psycopg.AsyncConnection": PsycopgAsyncCaller(),
    "asyncpg.connection.Connection": AsyncpgCaller(),
    "asyncpg.pool.PoolConnectionProxy": AsyncpgCaller(),
}
KINDS = ", ".join(
    dict.fromkeys(
        [each.kind for each in BLOCKING.values()] + [each.kind for each in AWAITED.values()]
    )
)


def blocking(connection: object) -> Caller:
    """Return the adapter for use in code that blocks.

    Raises ConfigError for a connection that has to be awaited and for an unknown kind.
    """
    names = _names(connection)
    found = _pick(BLOCKING, names)
    if found:
        return found
    other = _pick(AWAITED, names)
    if other:
        raise ConfigError(
            f"on= is an {other.kind}, which has to be awaited",
            help="Use `await task.using(on=connection).aenqueue(...)`.",
        )
    raise _unknown(connection)


def awaited(connection: object) -> AsyncCaller:
    """Return the adapter for use in async code.

    Raises ConfigError for a connection that would block the loop and for an unknown kind.
    """
    names = _names(connection)
    found = _pick(AWAITED, names)
    if found:
        return found
    other = _pick(BLOCKING, names)
    if other:
        raise ConfigError(
            f"on= is a {other.kind}, which would block the event loop",
            help="Use `task.using(on=connection).enqueue(...)`, or an async connection.",
        )
    raise _unknown(connection)


def _names(connection: object) -> tuple[str, ...]:
    parents = type(connection).__mro__
    return tuple(f"{parent.__module__}.{parent.__qualname__}" for parent in parents)


def _pick(callers: dict[str, C], names: tuple[str, ...]) -> C | None:
    return next((callers[name] for name in names if name in callers), None)


def _unknown(connection: object) -> ConfigError:
    name = _names(connection)[0]
    return ConfigError(f"on= is a {name}, not a connection that can carry a job; one of: {KINDS}")
