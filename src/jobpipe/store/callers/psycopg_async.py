"""Runs operations on a caller's ``psycopg.AsyncConnection``."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from jobpipe.store.binding import array_parameters
from jobpipe.store.callers.caller import Placeholder, Statements, already_open, is_busy, unavailable
from jobpipe.store.callers.identity import leads_to, no_shift
from jobpipe.store.port import Mode, Operation, Rows, Statement
from jobpipe.store.stepping import astep

if TYPE_CHECKING:
    from psycopg import AsyncConnection, AsyncCursor, AsyncTransaction

T = TypeVar("T")


class PsycopgAsyncCaller:
    """Caller for psycopg's awaited connection."""

    kind = "psycopg.AsyncConnection"
    dialect = "postgresql"
    placeholder: Placeholder = "percent"

    async def run(
        self,
        connection: AsyncConnection[Any],
        operation: Operation[T],
        statements: Statements,
        clock: Callable[[], int],
    ) -> T:
        """Run the operation in the caller's transaction, or in one of its own in autocommit."""
        from psycopg import Error, OperationalError

        cursor = _own_cursor(connection)

        async def execute(statement: Statement) -> Rows:
            values = {**array_parameters(statement), "clock_shift": clock()}
            await cursor.execute(statements[statement.name].sql.encode(), values)
            return await cursor.fetchall() if cursor.description else ()

        try:
            async with cursor, await _undone_together(connection, cursor, operation.mode):
                return await astep(operation, execute)
        except Error as error:
            if isinstance(error, OperationalError) or is_busy(error):
                raise unavailable(self.kind, error) from error
            raise

    async def same_store(
        self, connection: AsyncConnection[Any], expected: str, statements: Statements
    ) -> bool:
        """Compare the store's id."""
        return await self.run(connection, leads_to(expected), statements, no_shift)

    async def begin(self, connection: AsyncConnection[Any]) -> PsycopgAsyncOpened:
        """Begin a transaction; while it stands, psycopg refuses ``commit()`` and ``rollback()``."""
        from psycopg import OperationalError
        from psycopg.pq import TransactionStatus

        if connection.info.transaction_status in (
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        ):
            raise already_open(self.kind)
        transaction = connection.transaction()
        try:
            await transaction.__aenter__()
        except OperationalError as error:
            raise unavailable(self.kind, error) from error
        return PsycopgAsyncOpened(connection, transaction)


class PsycopgAsyncOpened:
    """A transaction on psycopg's awaited connection."""

    def __init__(
        self,
        connection: AsyncConnection[Any],
        transaction: AbstractAsyncContextManager[AsyncTransaction],
    ) -> None:
        self._connection = connection
        self._transaction = transaction

    @property
    def is_open(self) -> bool:
        """Tell whether the server is in a transaction."""
        from psycopg.pq import TransactionStatus

        return self._connection.info.transaction_status is not TransactionStatus.IDLE

    async def commit(self) -> None:
        """Make it last."""
        await self._transaction.__aexit__(None, None, None)

    async def rollback(self) -> None:
        """Undo it."""
        from psycopg import Rollback

        await self._transaction.__aexit__(Rollback, Rollback(), None)


def _own_cursor(connection: AsyncConnection[Any]) -> AsyncCursor[dict[str, Any]]:
    """Return a cursor whose rows have names and whose JSON is text, whatever the caller set."""
    from psycopg import AsyncCursor
    from psycopg.rows import dict_row
    from psycopg.types.string import TextLoader

    cursor = AsyncCursor(connection, row_factory=dict_row)
    for kind in ("json", "jsonb"):
        cursor.adapters.register_loader(kind, TextLoader)
    return cursor


async def _undone_together(
    connection: AsyncConnection[Any], cursor: AsyncCursor[Any], mode: Mode
) -> AbstractAsyncContextManager[Any]:
    """Return what makes several statements one: a savepoint, or in autocommit a transaction."""
    from psycopg.pq import TransactionStatus

    if mode is not Mode.TRANSACTION:
        return nullcontext()
    if not connection.autocommit and connection.info.transaction_status is TransactionStatus.IDLE:
        # Opens the caller's transaction; transaction() would else make, and commit, its own.
        await cursor.execute(b"")
    return connection.transaction()
