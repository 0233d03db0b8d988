"""Runs operations on SQLAlchemy's ``Session`` and ``Connection``, and on their awaited kinds.

Everything goes through SQLAlchemy, which alone knows when its driver's transaction begins. The
awaited kinds run the same code by their ``run_sync``. The drivers it may use: psycopg, psycopg2
and asyncpg; on SQLite the standard library's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from jobpipe.errors import ConfigError
from jobpipe.store.binding import array_parameters
from jobpipe.store.callers.caller import (
    Placeholder,
    Statements,
    already_open,
    is_busy,
    unavailable,
)
from jobpipe.store.callers.identity import leads_to, no_shift
from jobpipe.store.callers.sqlite3_ import Sqlite3Caller
from jobpipe.store.port import Mode, Operation, Row, Rows, Statement
from jobpipe.store.stepping import step

T = TypeVar("T")

DRIVERS: dict[str, tuple[str, Placeholder]] = {
    "psycopg": ("postgresql", "percent"),
    "psycopg2": ("postgresql", "percent"),
    "asyncpg": ("postgresql", "dollar"),
    "pysqlite": ("sqlite", "named"),
}


class SqlalchemyCaller:
    """Caller for one session or connection of SQLAlchemy: its engine decides about the dialect."""

    dialect: str
    placeholder: Placeholder

    def __init__(self, kind: str, target: Any) -> None:
        self.kind: str = kind
        bind = target.get_bind() if _is_session(target) else target.engine
        driver = bind.dialect.driver
        if driver not in DRIVERS:
            raise ConfigError(
                f"on= is a {kind} on the driver {driver}, which cannot carry a job",
                help=f"Use one of: {', '.join(DRIVERS)}.",
            )
        self.dialect, self.placeholder = DRIVERS[driver]

    def run(
        self,
        connection: Any,
        operation: Operation[T],
        statements: Statements,
        clock: Callable[[], int],
    ) -> T:
        """Run the operation in the transaction that SQLAlchemy has begun, or begins now."""
        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        try:
            inner = connection.connection() if _is_session(connection) else connection
            if self.dialect == "sqlite":
                driver = inner.connection.driver_connection
                return Sqlite3Caller().run(driver, operation, statements, clock)
            return self._run(inner, operation, statements, clock)
        except DBAPIError as error:
            if error.connection_invalidated or (error.orig is not None and is_busy(error.orig)):
                raise unavailable(self.kind, error) from error
            raise
        except SQLAlchemyError as error:  # closed, or in a transaction that has failed
            raise unavailable(self.kind, error) from error

    def same_store(self, connection: Any, expected: str, statements: Statements) -> bool:
        """Compare the store's id, or on SQLite the file."""
        if self.dialect == "sqlite":
            inner = connection.connection() if _is_session(connection) else connection
            driver = inner.connection.driver_connection
            return Sqlite3Caller().same_store(driver, expected, statements)
        return self.run(connection, leads_to(expected), statements, no_shift)

    def begin(self, connection: Any) -> SqlalchemyOpened:
        """Begin a transaction."""
        if connection.in_transaction():
            raise already_open(self.kind)
        opened = SqlalchemyOpened(connection, connection.begin())
        try:
            inner = connection.connection() if _is_session(connection) else connection
            if getattr(inner.connection.dbapi_connection, "autocommit", False) is True:
                raise ConfigError(
                    f"the {self.kind} given to transaction(on=) is in autocommit",
                    help="Use an engine without isolation_level='AUTOCOMMIT'.",
                )
            if self.dialect == "sqlite":  # its driver would begin with the first write
                Sqlite3Caller().begin(inner.connection.driver_connection)
        except BaseException:
            opened.rollback()
            raise
        return opened

    def _run(
        self,
        inner: Any,
        operation: Operation[T],
        statements: Statements,
        clock: Callable[[], int],
    ) -> T:
        def execute(statement: Statement) -> Rows:
            prepared = statements[statement.name]
            values = {**array_parameters(statement), "clock_shift": clock()}
            given = {name: values[name] for name in prepared.parameters}
            by_place = self.placeholder == "dollar"
            parameters = tuple(given.values()) if by_place else given
            return _rows(inner.exec_driver_sql(prepared.sql, parameters))

        if operation.mode is Mode.TRANSACTION:
            with inner.begin_nested():
                return step(operation, execute)
        return step(operation, execute)


class SqlalchemyOpened:
    """A transaction of SQLAlchemy."""

    def __init__(self, connection: Any, transaction: Any) -> None:
        self._connection = connection
        self._transaction = transaction

    @property
    def is_open(self) -> bool:
        """Tell whether it is still the same: SQLAlchemy begins another after a commit."""
        return self._connection.get_transaction() is self._transaction

    def commit(self) -> None:
        """Make it last; a session has written what waited in it before."""
        self._connection.commit()

    def rollback(self) -> None:
        """Undo it."""
        self._connection.rollback()


class SqlalchemyAsyncCaller:
    """The same for ``AsyncSession`` and ``AsyncConnection``."""

    dialect: str
    placeholder: Placeholder

    def __init__(self, kind: str, target: Any) -> None:
        self.kind: str = kind
        inner = target.sync_session if hasattr(target, "sync_session") else target.sync_connection
        if inner is None:
            raise ConfigError(f"on= is an {kind} that was not started", help="Await it first.")
        self._caller = SqlalchemyCaller(kind, inner)
        self.dialect, self.placeholder = self._caller.dialect, self._caller.placeholder

    async def run(
        self,
        connection: Any,
        operation: Operation[T],
        statements: Statements,
        clock: Callable[[], int],
    ) -> T:
        """Run like ``SqlalchemyCaller.run``."""
        result: T = await connection.run_sync(self._caller.run, operation, statements, clock)
        return result

    async def same_store(self, connection: Any, expected: str, statements: Statements) -> bool:
        """Compare like ``SqlalchemyCaller.same_store``."""
        return bool(await connection.run_sync(self._caller.same_store, expected, statements))

    async def begin(self, connection: Any) -> SqlalchemyAsyncOpened:
        """Begin a transaction."""
        return SqlalchemyAsyncOpened(connection, await connection.run_sync(self._caller.begin))


class SqlalchemyAsyncOpened:
    """A transaction of SQLAlchemy's awaited kinds."""

    def __init__(self, connection: Any, opened: SqlalchemyOpened) -> None:
        self._connection = connection
        self._opened = opened

    @property
    def is_open(self) -> bool:
        """Tell whether it has been neither committed nor rolled back."""
        return self._opened.is_open

    async def commit(self) -> None:
        """Make it last."""
        await self._connection.commit()

    async def rollback(self) -> None:
        """Undo it."""
        await self._connection.rollback()


def _is_session(target: Any) -> bool:
    return hasattr(target, "get_bind")


def _rows(result: Any) -> Sequence[Row]:
    rows: Sequence[Row] = result.mappings().all() if result.returns_rows else ()
    return rows
