"""Runs operations on a caller's ``asyncpg.Connection``, also one lent by asyncpg's pool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeVar

from jobpipe.store.binding import array_parameters
from jobpipe.store.callers.caller import Placeholder, Statements, already_open, is_busy, unavailable
from jobpipe.store.callers.identity import leads_to, no_shift
from jobpipe.store.port import Mode, Operation, Rows, Statement
from jobpipe.store.stepping import astep

T = TypeVar("T")


class AsyncpgCaller:
    """Caller for asyncpg's connection."""

    kind = "asyncpg.Connection"
    dialect = "postgresql"
    placeholder: Placeholder = "dollar"

    async def run(
        self,
        connection: Any,
        operation: Operation[T],
        statements: Statements,
        clock: Callable[[], int],
    ) -> T:
        """Run the operation in the caller's transaction, or in one of its own without any."""
        from asyncpg import Record

        def execute(statement: Statement) -> Awaitable[Rows]:
            prepared = statements[statement.name]
            values = {**array_parameters(statement), "clock_shift": clock()}
            rows: Awaitable[Rows] = connection.fetch(
                prepared.sql, *[values[name] for name in prepared.parameters], record_class=Record
            )
            return rows

        together: AbstractAsyncContextManager[Any] = nullcontext()
        try:
            if operation.mode is Mode.TRANSACTION:
                together = connection.transaction()  # a savepoint inside the caller's own
            async with together:
                return await astep(operation, execute)
        except Exception as error:
            if _is_about_the_connection(error):
                raise unavailable(self.kind, error) from error
            raise

    async def same_store(self, connection: Any, expected: str, statements: Statements) -> bool:
        """Compare the store's id."""
        return await self.run(connection, leads_to(expected), statements, no_shift)

    async def begin(self, connection: Any) -> AsyncpgOpened:
        """Begin a transaction."""
        if connection.is_in_transaction():
            raise already_open(self.kind)
        transaction = connection.transaction()
        try:
            await transaction.start()
        except Exception as error:
            if _is_about_the_connection(error):
                raise unavailable(self.kind, error) from error
            raise
        return AsyncpgOpened(connection, transaction)


class AsyncpgOpened:
    """A transaction on asyncpg's connection."""

    def __init__(self, connection: Any, transaction: Any) -> None:
        self._connection = connection
        self._transaction = transaction

    @property
    def is_open(self) -> bool:
        """Tell whether the server is in a transaction."""
        return bool(self._connection.is_in_transaction())

    async def commit(self) -> None:
        """Make it last."""
        await self._transaction.commit()

    async def rollback(self) -> None:
        """Undo it."""
        await self._transaction.rollback()


def _is_about_the_connection(error: Exception) -> bool:
    from asyncpg import DataError, InterfaceError, InternalClientError

    if isinstance(error, InternalClientError):  # the server's end came between two steps of its own
        return True
    if isinstance(error, InterfaceError):  # closed, given back, or busy with another call
        return not isinstance(error, DataError)
    return is_busy(error)
