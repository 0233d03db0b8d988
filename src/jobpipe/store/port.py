"""What an operation is, and what a driver does with one.

An operation is a generator: it yields a ``Statement``, receives the rows, and returns its result.
It is therefore written once and runs on our connections or the caller's, sync or async, and in a
unit test with no database at all.

Rules of an operation: no side effect before it returns; no clock; it never catches a database
error (conflicts come back as rows, by ON CONFLICT). A driver may start it again from the
beginning, which is why it is handed over as a recipe (``start``).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import wraps
from typing import Any, Generic, ParamSpec, Protocol, TypeAlias, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
P = ParamSpec("P")


class Row(Protocol):
    """One row of an answer; columns are read by name."""

    def __getitem__(self, column: str, /) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...


Rows: TypeAlias = Sequence[Row]


VARIES = object()
"""Stands in ``Batch.plain`` for a value of the row's own."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Many rows for one statement, which reads them as arrays (``unnest``, ``json_each``).

    The statement sees them under the names in ``columns``. PostgreSQL gets one array a column
    (``:task`` is ``text[]``), SQLite one JSON array of rows (``:rows``, in the order of
    ``columns``). A column that holds nothing but its value in ``plain`` (None without that, or
    where it varies) may be left out: PostgreSQL gets an empty array, which ``unnest`` fills up with
    NULL, and its statement knows what that stands for. On SQLite a statement that names ``:plain``
    gets the rows that agree with ``plain`` there, cut to the columns that vary, the first of these
    alone in ``:plain_ids``, and the other rows in ``:rows``.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    plain: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """One named statement of the dialect's ``sql/*.sql`` with its parameters.

    A list among the parameters is an array on PostgreSQL and a JSON array on SQLite. ``:now``
    need not be given: the driver answers it with the store's clock.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    batch: Batch | None = None


Op: TypeAlias = Generator[Statement, Rows, T]


class Mode(Enum):
    """How a driver must run an operation."""

    READ = "read"
    """Reads only: no transaction; SQLite runs it beside the writer."""
    ONE = "one"
    """One statement, which is its own transaction."""
    TRANSACTION = "transaction"


@dataclass(frozen=True, slots=True)
class Operation(Generic[T_co]):
    """A recipe for a generator of statements; ``start()`` makes a fresh one."""

    name: str
    mode: Mode
    start: Callable[[], Op[T_co]]


def operation(mode: Mode) -> Callable[[Callable[P, Op[T]]], Callable[P, Operation[T]]]:
    """Declare a generator function as an operation named like the function."""

    def declare(steps: Callable[P, Op[T]]) -> Callable[P, Operation[T]]:
        @wraps(steps)
        def recipe(*args: P.args, **kwargs: P.kwargs) -> Operation[T]:
            return Operation(steps.__name__, mode, lambda: steps(*args, **kwargs))

        return recipe

    return declare


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What differs between stores, by name; nothing else may differ."""

    dialect: str
    """The name to show: ``sqlite`` or ``postgresql``."""
    frontier: bool
    """Claims start at a frontier, since dead index entries may pile up below it."""
    peek: bool
    """Looking whether there is work is much cheaper than an empty claim."""
    exclusive_writer: bool
    """While somebody holds the write lock nobody can claim or sweep, so a late heartbeat is not
    yet a lost lease."""
    shared: bool
    """Other processes can reach the same store (not so for SQLite ``:memory:``)."""


class Store(Protocol):
    """Runs operations and blocks; safe to use from many threads."""

    @property
    def capabilities(self) -> Capabilities: ...

    def run(self, operation: Operation[T]) -> T:
        """Run the operation and return its result.

        Raises StoreUnavailable when the store cannot be reached or written. Then either nothing
        was stored, or (when a connection broke during the commit) the result is unknown; the
        message tells which.
        """
        ...

    def close(self) -> None:
        """Free connections and threads; closing twice is fine."""
        ...


class AsyncStore(Protocol):
    """Runs operations without blocking the event loop it is first used on."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def run(self, operation: Operation[T]) -> T: ...

    async def close(self) -> None: ...
