"""What an adapter for a caller's connection offers, and what all adapters share.

The connection is the caller's: nothing is retried, and no transaction of theirs is committed or
rolled back. Only where the connection is in autocommit and no transaction is open does an
operation get one of its own. Row factories and isolation stay as the caller set them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

from jobpipe.errors import ConfigError, StoreUnavailable
from jobpipe.store.port import Operation
from jobpipe.store.statements import Prepared

T = TypeVar("T")

Statements: TypeAlias = Mapping[str, Prepared]
Placeholder: TypeAlias = Literal["named", "dollar", "percent"]
"""How the statements name their parameters: ``:name``, ``$1`` or ``%(name)s``."""

BUSY_STATES = ("08", "40", "53", "55P03", "57", "25P02")
"""Connection gone, undone by a conflict, out of resources, lock not free, cancelled or shutting
down, transaction already failed."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What it takes to run an operation on a caller's own connection."""

    dialect: str
    statements: Statements
    clock: Callable[[], int]
    expected: str
    """What tells this store from others: the file's path, or the store's id."""


class Opened(Protocol):
    """A transaction that was begun on a connection, to be ended once."""

    @property
    def is_open(self) -> bool:
        """Tell whether it still stands: the user of the connection has not ended it."""
        ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...


class AsyncOpened(Protocol):
    """The same on a connection that is awaited."""

    @property
    def is_open(self) -> bool: ...

    async def commit(self) -> None: ...

    async def rollback(self) -> None: ...


class Caller(Protocol):
    """Runs operations on a kind of connection that blocks."""

    kind: str
    dialect: str
    placeholder: Placeholder

    def run(
        self,
        connection: Any,
        operation: Operation[T],
        statements: Statements,
        clock: Callable[[], int],
    ) -> T:
        """Run the operation on the connection.

        ``clock`` gives ``:now`` on SQLite, ``:clock_shift`` on PostgreSQL. Raises
        StoreUnavailable, with the connection's error as its cause, when that error is about
        locks, isolation or the connection itself.
        """
        ...

    def same_store(self, connection: Any, expected: str, statements: Statements) -> bool:
        """Tell whether the connection leads to the expected store, without disturbing it.

        ``expected`` is the file's path on SQLite, the store's id on PostgreSQL.
        """
        ...

    def begin(self, connection: Any) -> Opened:
        """Begin a transaction on the connection; raises ConfigError when one is open already."""
        ...


class AsyncCaller(Protocol):
    """Runs operations on a kind of connection that is awaited; else like ``Caller``."""

    kind: str
    dialect: str
    placeholder: Placeholder

    async def run(
        self,
        connection: Any,
        operation: Operation[T],
        statements: Statements,
        clock: Callable[[], int],
    ) -> T: ...

    async def same_store(self, connection: Any, expected: str, statements: Statements) -> bool: ...

    async def begin(self, connection: Any) -> AsyncOpened: ...


def unavailable(kind: str, error: BaseException) -> StoreUnavailable:
    """Return what to raise from an error that is about the connection or its transaction."""
    return StoreUnavailable(
        f"the given {kind} could not be used: {error}",
        help="Roll back the transaction on that connection and do it again; nothing was stored.",
    )


def already_open(kind: str) -> ConfigError:
    """Return what to raise when a transaction is to begin where one is open."""
    return ConfigError(
        f"the {kind} given to transaction(on=) is in a transaction already",
        help="Commit or roll back what is open on it before the block begins.",
    )


def is_busy(error: BaseException) -> bool:
    """Tell whether a PostgreSQL error is about the connection, a lock or the isolation."""
    state = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""
    return isinstance(error, OSError) or state.startswith(BUSY_STATES)
