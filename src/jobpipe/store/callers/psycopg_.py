"""Runs operations on a caller's ``psycopg.Connection``, which blocks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from jobpipe.store.binding import array_parameters
from jobpipe.store.callers.caller import Placeholder, Statements, already_open, is_busy, unavailable
from jobpipe.store.callers.identity import leads_to, no_shift
from jobpipe.store.port import Mode, Operation, Rows, Statement
from jobpipe.store.stepping import step

if TYPE_CHECKING:
    from psycopg import Connection, Cursor

T = TypeVar("T")


class PsycopgCaller:
    """Caller for psycopg's blocking connection."""

    kind = "psycopg.Connection"
    dialect = "postgresql"
    placeholder: Placeholder = "percent"

    def run(
        self,
        connection: Connection[Any],
        operation: Operation[T],
        statements: Statements,
        clock: Callable[[], int],
    ) -> T:
        """Run the operation in the caller's transaction, or in one of its own in autocommit."""
        from psycopg import Error, OperationalError

        cursor = _own_cursor(connection)

        def execute(statement: Statement) -> Rows:
            values = {**array_parameters(statement), "clock_shift": clock()}
            cursor.execute(statements[statement.name].sql.encode(), values)
            return cursor.fetchall() if cursor.description else ()

        try:
            with cursor, _undone_together(connection, cursor, operation.mode):
                return step(operation, execute)
        except Error as error:
            if isinstance(error, OperationalError) or is_busy(error):
                raise unavailable(self.kind, error) from error
            raise

    def same_store(
        self, connection: Connection[Any], expected: str, statements: Statements
    ) -> bool:
        """Compare the store's id."""
        return self.run(connection, leads_to(expected), statements, no_shift)

    def begin(self, connection: Connection[Any]) -> PsycopgOpened:
        """Begin a transaction; while it stands, psycopg refuses ``commit()`` and ``rollback()``."""
        from psycopg import OperationalError
        from psycopg.pq import TransactionStatus

        if connection.info.transaction_status in (
            TransactionStatus.INTRANS,
            TransactionStatus.INERROR,
        ):
            raise already_open(self.kind)
        try:
            return PsycopgOpened(connection)
        except OperationalError as error:
            raise unavailable(self.kind, error) from error


class PsycopgOpened:
    """A transaction on psycopg's blocking connection."""

    def __init__(self, connection: Connection[Any]) -> None:
        self._connection = connection
        self._transaction = connection.transaction()
        self._transaction.__enter__()

    @property
    def is_open(self) -> bool:
        """Tell whether the server is in a transaction."""
        from psycopg.pq import TransactionStatus

        return self._connection.info.transaction_status is not TransactionStatus.IDLE

    def commit(self) -> None:
        """Make it last."""
        self._transaction.__exit__(None, None, None)

    def rollback(self) -> None:
        """Undo it."""
        from psycopg import Rollback

        self._transaction.__exit__(Rollback, Rollback(), None)


def _own_cursor(connection: Connection[Any]) -> Cursor[dict[str, Any]]:
    """Return a cursor whose rows have names and whose JSON is text, whatever the caller set."""
    from psycopg import Cursor
    from psycopg.rows import dict_row
    from psycopg.types.string import TextLoader

    cursor = Cursor(connection, row_factory=dict_row)
    for kind in ("json", "jsonb"):
        cursor.adapters.register_loader(kind, TextLoader)
    return cursor


def _undone_together(
    connection: Connection[Any], cursor: Cursor[Any], mode: Mode
) -> AbstractContextManager[Any]:
    """Return what makes several statements one: a savepoint, or in autocommit a transaction."""
    from psycopg.pq import TransactionStatus

    if mode is not Mode.TRANSACTION:
        return nullcontext()
    if not connection.autocommit and connection.info.transaction_status is TransactionStatus.IDLE:
        # Opens the caller's transaction; transaction() would else make, and commit, its own.
        cursor.execute(b"")
    return connection.transaction()
