"""The sync PostgreSQL store, on psycopg; safe to use from many threads and after a fork.

An operation of one statement runs in autocommit. JSON columns arrive as text, as they do from
every driver.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

import psycopg
from psycopg.rows import dict_row, tuple_row
from psycopg.types.string import TextLoader

from jobpipe.failpoint import failpoint
from jobpipe.store.migrations import Migration, SchemaStatus, load
from jobpipe.store.port import Capabilities, Mode, Operation, Rows, Statement
from jobpipe.store.postgres import errors, schema
from jobpipe.store.postgres.address import Address
from jobpipe.store.postgres.attempts import LIMIT_STANDSTILL, Attempts, Connecting
from jobpipe.store.postgres.capabilities import CAPABILITIES
from jobpipe.store.postgres.dialect import PACKAGE, Dialect, schema_prefix
from jobpipe.store.postgres.pool import Connection, Held, Pool
from jobpipe.store.stepping import step

T = TypeVar("T")


KEPT_ROWS = 10
"""Most rows of an answer that may lie in a cursor until its next use; none of those who read, as
their rows may be long."""

APART = "\x1f"
"""What stands between texts while they are joined; JSON writes it as an escape."""


@dataclass(slots=True)
class _Sent:
    """A statement as it goes to the server: always the same object, which psycopg knows again."""

    text: bytes
    columns: tuple[str, ...] | None = None
    """What the columns of its answer are called, once one has come."""


class PostgresStore:
    """Runs operations on PostgreSQL and blocks."""

    def __init__(
        self,
        url: str,
        dialect: Dialect,
        *,
        pooler: Literal["none", "transaction"] = "none",
        size: int = 8,
        connect_seconds: float = 2.0,
    ) -> None:
        self.dialect = dialect
        self._address = Address(url, pooled=pooler == "transaction")
        self._connect_seconds = connect_seconds
        self._migrations = load(PACKAGE, schema_prefix(dialect.schema))
        self._pool = Pool(self._connect, size)
        self._known: dict[str, _Sent] = {}

    @property
    def capabilities(self) -> Capabilities:
        return CAPABILITIES

    def run(self, operation: Operation[T]) -> T:
        """Run the operation, again after a conflict or a cut that cannot have stored anything."""
        attempts = Attempts(self._address)
        while True:
            held = self._pool.take()
            try:
                result = self._perform(held, operation, attempts)
            except Exception as error:
                lost = held.connection.broken or errors.is_lost(error)
                if lost or errors.sqlstate(error) in errors.STALE_PLANS:
                    self._pool.drop(held)
                    self._pool.forget_idle()
                else:
                    self._pool.give(held)
                pause = attempts.pause_after(error, lost=lost)
            except BaseException:  # interrupted in the middle of an exchange
                self._pool.drop(held)
                raise
            else:
                self._pool.give(held)
                return result
            time.sleep(pause)

    def schema_status(self) -> SchemaStatus:
        """Tell how far the schema is, without changing it."""
        return self._outside(partial(schema.status, migrations=self._migrations))

    def migrate(self) -> tuple[Migration, ...]:
        """Apply the missing migrations and return them; safe to call from many processes."""
        return self._outside(partial(schema.migrate, migrations=self._migrations))

    def schema_sql(self) -> str:
        """Return what ``migrate`` runs on an empty store."""
        return schema.script(self.dialect.schema, self._migrations)

    def schema_faults(self) -> list[str]:
        """Return what is wrong with the schema, in words; empty when all is well."""
        return self._outside(partial(schema.faults, migrations=self._migrations))

    def check(self) -> list[str]:
        """Return all that can be found wrong here: the server itself sees to its files."""
        return self.schema_faults()

    def close(self) -> None:
        """Close the connections; a later run opens new ones."""
        self._pool.forget_idle()

    def _outside(self, action: Callable[[Connection, Dialect], T]) -> T:
        connection = self._connect()
        try:
            return action(connection, self.dialect)
        except psycopg.Error as error:
            if connection.broken or errors.is_lost(error):
                raise errors.lost(error, self._address, outcome_unknown=False) from error
            meaning = errors.explain(error, self._address)
            if meaning is None:
                raise
            raise meaning from error
        finally:
            connection.close()

    def _perform(self, held: Held, operation: Operation[T], attempts: Attempts) -> T:
        execute = self._executor(held, keep=operation.mode is Mode.ONE)
        if operation.mode is Mode.TRANSACTION:
            attempts.may_be_stored = False
            with held.connection.transaction():
                held.connection.execute(LIMIT_STANDSTILL.encode())
                result = step(operation, execute)
                failpoint(operation.name, "before_commit")
                attempts.may_be_stored = True
        else:
            attempts.may_be_stored = operation.mode is Mode.ONE
            failpoint(operation.name, "before_commit")
            result = step(operation, execute)
        failpoint(operation.name, "after_commit")
        return result

    def _executor(self, held: Held, *, keep: bool) -> Callable[[Statement], Rows]:
        dialect, known = self.dialect, self._known

        def execute(statement: Statement) -> Rows:
            name = statement.name
            cursor = held.cursor or psycopg.RawCursor(held.connection, row_factory=tuple_row)
            held.cursor = None
            sent = known.get(name)
            if sent is None:
                sent = known[name] = _Sent(dialect.dollar[name].sql.encode())
            arguments = dialect.arguments(statement, dialect.dollar[name])
            if list in map(type, arguments):
                arguments = [array_text(v) if type(v) is list else v for v in arguments]
            cursor.execute(sent.text, arguments)
            if sent.columns is None:
                sent.columns = tuple(column.name for column in cursor.description or ())
            columns = sent.columns
            rows = cursor.fetchall() if columns else []
            if keep and len(rows) <= KEPT_ROWS:
                held.cursor = cursor
            return [dict(zip(columns, row, strict=True)) for row in rows]

        return execute

    def _connect(self) -> Connection:
        return connect(self._address, self._connect_seconds)


def array_text(values: list[Any]) -> object:
    """Return an array of texts as the text that PostgreSQL reads it from, others as they are.

    psycopg would write each element by itself, which costs more than storing the job.
    """
    if not values or type(values[0]) is not str:
        return values
    try:
        joined = APART.join(values)
    except TypeError:  # a NULL among them
        return values
    if joined.count(APART) >= len(values):
        return values
    quoted = joined.replace("\\", "\\\\").replace('"', '\\"').replace(APART, '","')
    return f'{{"{quoted}"}}'


def connect(address: Address, seconds: float) -> Connection:
    """Open a connection for operations, like ``dial``."""
    connection = dial(address, seconds)
    connection.row_factory = dict_row
    for kind in ("json", "jsonb"):
        connection.adapters.register_loader(kind, TextLoader)
    return connection


def dial(address: Address, seconds: float) -> psycopg.Connection[Any]:
    """Open a connection, trying for ``seconds`` while the server may only be restarting."""
    connecting = Connecting(address, seconds)
    options: dict[str, Any] = address.for_psycopg()
    while True:
        try:
            connection = psycopg.Connection[Any].connect(**options)
        except psycopg.OperationalError as error:
            pause = connecting.pause_after(error)
        except (psycopg.ProgrammingError, ValueError):
            raise errors.malformed(address) from None
        else:
            connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
            return connection
        time.sleep(pause)
