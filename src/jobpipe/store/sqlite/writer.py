"""The one thread of a process that writes to a database.

Whatever waits when it looks is committed together (group commit): each operation stands in a
savepoint of its own, so one that fails leaves its neighbours alone, and nobody hears of success
before the commit that holds it is on disk.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from jobpipe.errors import StoreUnavailable
from jobpipe.failpoint import failpoint
from jobpipe.store.port import Operation
from jobpipe.store.sqlite.connection import begin_write, commit, data_version
from jobpipe.store.sqlite.errors import poisons_connection, translate

T = TypeVar("T")

GROUP_MAX = 200
"""Most operations in one commit."""

Run = Callable[[sqlite3.Connection, Operation[Any]], Any]
Action = Callable[[sqlite3.Connection], Any]


class Pulse(NamedTuple):
    """What whoever watches the database need not find out by himself."""

    commits: int
    """How many transactions this writer has begun."""
    others: int
    """Another number since the last time: another connection had committed in between."""


class _Work:
    __slots__ = ("first", "future", "operation", "result")

    def __init__(self, operation: Operation[Any], first: Action | None) -> None:
        self.operation = operation
        self.first = first
        self.future: Future[Any] = Future()
        self.result: Any = None


class Writer:
    """Runs operations on its own thread and connection, many in one commit.

    ``open_connection`` is called on first use and again after an error that makes the handle
    unfit; ``run`` drives one operation; ``after_commit`` may make a checkpoint.
    """

    def __init__(
        self,
        path: str,
        open_connection: Callable[[], sqlite3.Connection],
        run: Run,
        after_commit: Callable[[sqlite3.Connection], None],
    ) -> None:
        self.pulse = Pulse(0, 0)
        self._path = path
        self._open = open_connection
        self._run = run
        self._after_commit = after_commit
        self._waiting: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._ended = False
        self._gate = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="jobpipe-writer", daemon=True)
        self._thread.start()

    def submit(self, operation: Operation[T], first: Action | None = None) -> Future[T]:
        """Hand over an operation; the future ends when its commit is on disk (or refused).

        ``first`` runs before it and may do anything to the connection's transaction: so the two
        have one of their own, which no neighbour shares.
        """
        work = _Work(operation, first)
        with self._gate:
            if self._closed:
                work.future.set_exception(StoreUnavailable("the store has been closed"))
            else:
                self._waiting.put(work)
        return work.future

    def close(self) -> None:
        """Commit what waits, then end the thread."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while True:
            group = self._next_group()
            for part in _apart(group):
                self._settle(part)
            if len(group) == 0 or self._ended:
                break
        if self._connection is not None:
            self._connection.close()

    def _next_group(self) -> list[_Work]:
        group: list[_Work] = []
        work = self._waiting.get()
        while work is not None:
            group.append(work)
            if len(group) == GROUP_MAX or self._waiting.empty():
                return group
            work = self._waiting.get()
        self._ended = True
        return group

    def _settle(self, group: list[_Work]) -> None:
        # Whoever gave up before his turn came has nothing stored; nobody can give up after it.
        group = [work for work in group if work.future.set_running_or_notify_cancel()]
        try:
            done = self._commit(group)
        except sqlite3.Error as error:
            self._abandon(error)
            reported = translate(error, self._path)
            for work in group:
                if not work.future.done():
                    work.future.set_exception(reported)
            return
        except Exception as error:  # whatever it is, nobody may wait for ever
            self._abandon(None)
            for work in group:
                if not work.future.done():
                    work.future.set_exception(error)
            return
        for work in done:
            work.future.set_result(work.result)
        self._tidy()

    def _commit(self, group: list[_Work]) -> list[_Work]:
        """Run the group in one transaction; return those whose futures now deserve success."""
        if self._connection is None:
            self._connection = self._open()
        connection = self._connection
        begin_write(connection)
        self.pulse = Pulse(self.pulse.commits + 1, data_version(connection))
        done = [work for work in group if self._attempt(connection, work)]
        for work in done:
            failpoint(work.operation.name, "before_commit")
        commit(connection)
        for work in done:
            failpoint(work.operation.name, "after_commit")
        return done

    def _tidy(self) -> None:
        """Make a checkpoint if it is time; what was committed stays so when that fails."""
        if self._connection is None:
            return
        try:
            self._after_commit(self._connection)
        except sqlite3.Error as error:
            self._abandon(error)
        except OSError:  # the lock's file cannot be opened: somebody else, or the next try, will
            return

    def _attempt(self, connection: sqlite3.Connection, work: _Work) -> bool:
        connection.execute("SAVEPOINT operation")
        try:
            if work.first is not None:
                work.first(connection)
            work.result = self._run(connection, work.operation)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and poisons_connection(error):
                raise
            if not connection.in_transaction:  # undone as a whole (OR ROLLBACK)
                raise
            connection.execute("ROLLBACK TO operation")
            connection.execute("RELEASE operation")
            if isinstance(error, sqlite3.Error):
                error = translate(error, self._path)
            work.future.set_exception(error)
            return False
        connection.execute("RELEASE operation")
        return True

    def _abandon(self, error: sqlite3.Error | None) -> None:
        """Undo the transaction; drop the handle unless the error is known to be harmless to it."""
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            error = None
        if error is None or poisons_connection(error):
            self._connection = None
            connection.close()


def _apart(group: list[_Work]) -> Iterator[list[_Work]]:
    """Yield what may be committed together, in order."""
    together: list[_Work] = []
    for work in group:
        if work.first is None:
            together.append(work)
            continue
        if together:
            yield together
        yield [work]
        together = []
    if together:
        yield together
