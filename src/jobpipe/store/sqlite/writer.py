"""The one place of a process from which a database is written.

Whoever holds the place writes: a thread that blocks and finds nobody there writes its own
operation, everything else goes through the writer's thread, which commits together whatever waits
when it looks (group commit). Among several each operation stands in a savepoint, so one that fails
leaves its neighbours alone, and nobody hears of success before the commit that holds it is on disk.

A signal may interrupt a thread that writes for itself, never one that writes for others; and a lock
that is held by ``with`` is free again however its block is left.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from jobpipe.errors import StoreUnavailable
from jobpipe.failpoint import failpoint
from jobpipe.store.port import Operation
from jobpipe.store.sqlite.connection import begin_write, commit, data_version
from jobpipe.store.sqlite.errors import poisons_connection, translate
from jobpipe.store.sqlite.turn import Turn
from jobpipe.store.sqlite.waiting import Action, Awaited, Handed, Own, Waiting

T = TypeVar("T")

GROUP_MAX = 200
"""Most operations in one commit."""

Run = Callable[[sqlite3.Connection, Operation[Any]], Any]


class Pulse(NamedTuple):
    """What whoever watches the database need not find out by himself."""

    commits: int
    """How many transactions this writer has begun."""
    others: int
    """Another number since the last time: another connection had committed in between."""


class Writer:
    """Runs operations on one connection, many in one commit.

    ``open_connection`` is called on first use and again after an error that makes the handle
    unfit; ``run`` drives one operation; ``after_commit`` may make a checkpoint; ``turn`` is
    the place in the queue of processes for a file's write lock.
    """

    def __init__(
        self,
        path: str,
        open_connection: Callable[[], sqlite3.Connection],
        run: Run,
        after_commit: Callable[[sqlite3.Connection], None],
        turn: Turn | None = None,
    ) -> None:
        self.pulse = Pulse(0, 0)
        self._path = path
        self._open = open_connection
        self._run = run
        self._after_commit = after_commit
        self._turn = turn
        self._begin_write = turn.begin_write if turn is not None else begin_write
        self._connection: sqlite3.Connection | None = None
        self._place = threading.RLock()
        """Held by whoever writes; by the same thread again only where a signal interrupts it."""
        self._writing: int | None = None
        """The thread that writes just now."""
        self._gate = threading.RLock()
        """Guards the end, and the start of the thread."""
        self._closed = False
        self._thread: threading.Thread | None = None
        self._waiting: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()

    def run(self, operation: Operation[T], first: Action | None = None) -> T:
        """Run an operation and return when its commit is on disk; see ``submit`` for ``first``."""
        is_mine = self._writing == threading.get_ident()
        if not is_mine and (self._writing or not self._waiting.empty()):
            # Only a hint: a wrong one costs time alone.
            return self.submit(operation, first).result()
        work = Own(operation, first)
        with self._place:
            self._refuse_if_closed()
            self._write([work])
        result: T = work.answer()
        return result

    def submit(self, operation: Operation[T], first: Action | None = None) -> Future[T]:
        """Hand over an operation; the future ends when its commit is on disk (or refused).

        ``first`` runs before it and may do anything to the connection's transaction: so the two
        have one of their own, which no neighbour shares.
        """
        work = Handed(operation, first)
        try:
            self._hand_over(work)
        except StoreUnavailable as error:
            work.fail(error)
        return work.future

    async def arun(self, operation: Operation[T], first: Action | None = None) -> T:
        """Run an operation without blocking the loop; see ``submit``."""
        work = Awaited(operation, first)
        self._hand_over(work)
        result: T = await work.future
        return result

    def close(self) -> None:
        """Commit what waits, then end; called by a signal in the middle of a write, do neither."""
        if self._writing == threading.get_ident():
            self._closed = True
            return
        with self._gate:
            if self._thread is not None and not self._closed:
                self._waiting.put(None)
            self._closed = True
        if self._thread is not None:
            self._thread.join()
        with self._place:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()
            if self._turn is not None:
                self._turn.close()

    def _hand_over(self, work: Waiting) -> None:
        with self._gate:
            self._refuse_if_closed()
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="jobpipe-writer", daemon=True)
                thread.start()
                self._thread = thread
            self._waiting.put(work)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store has been closed")

    def _work(self) -> None:
        while (work := self._waiting.get()) is not None:
            with self._place:  # whoever comes while it waits for that is written too
                group, is_open = self._group_with(work)
                for part in _apart(group):
                    self._write(part)
            if not is_open:
                return

    def _group_with(self, first: Waiting) -> tuple[list[Waiting], bool]:
        """Return what waits, and whether more may come."""
        group = [first]
        while len(group) < GROUP_MAX and not self._waiting.empty():
            work = self._waiting.get()
            if work is None:
                return group, False
            group.append(work)
        return group, True

    def _write(self, group: Sequence[Waiting]) -> None:
        """Write the group in one transaction and answer everybody; the place is held."""
        if self._writing:
            raise StoreUnavailable("what interrupts a thread that is writing cannot write itself")
        self._writing = threading.get_ident()
        try:
            self._settle(group)
        finally:
            self._writing = None

    def _settle(self, group: Sequence[Waiting]) -> None:
        # Whoever gave up before his turn came has nothing stored; nobody can give up after it.
        group = [work for work in group if work.begin()]
        try:
            done = self._commit(group)
        except sqlite3.Error as error:
            self._abandon(error)
            _refuse(group, translate(error, self._path))
            return
        except Exception as error:  # whatever it is, nobody may wait for ever
            self._abandon(None)
            _refuse(group, error)
            return
        except BaseException:  # this thread writes for itself alone, and is interrupted
            self._roll_back()
            raise
        for work in done:
            work.succeed()
        self._tidy()

    def _commit(self, group: Sequence[Waiting]) -> Sequence[Waiting]:
        """Run the group in one transaction; return those that now deserve success."""
        if self._connection is None:
            self._connection = self._open()
        self._roll_back()  # what somebody was interrupted in, and then again as he undid it
        connection = self._connection
        self._begin_write(connection)
        self.pulse = Pulse(self.pulse.commits + 1, data_version(connection))
        if len(group) == 1:
            done = group if self._attempt(connection, group[0], _ALONE) else []
        else:
            done = [work for work in group if self._attempt(connection, work, _AMONG_OTHERS)]
        for work in done:
            failpoint(work.operation.name, "before_commit")
        if connection.in_transaction:
            commit(connection)
        for work in done:
            failpoint(work.operation.name, "after_commit")
        return done

    def _attempt(self, connection: sqlite3.Connection, work: Waiting, frame: _Frame) -> bool:
        for sql in frame.begin:
            connection.execute(sql)
        try:
            if work.first is not None:
                work.first(connection)
            work.result = self._run(connection, work.operation)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and poisons_connection(error):
                raise
            if not connection.in_transaction:  # undone as a whole (OR ROLLBACK)
                raise
            for sql in frame.undo:
                connection.execute(sql)
            if isinstance(error, sqlite3.Error):
                error = translate(error, self._path)
            work.fail(error)
            return False
        for sql in frame.end:
            connection.execute(sql)
        return True

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

    def _roll_back(self) -> None:
        """Undo the transaction, if there is one; keep the handle, which may hold all there is."""
        if self._connection is not None and self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

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


class _Frame(NamedTuple):
    """The statements around an operation inside the transaction."""

    begin: tuple[str, ...]
    end: tuple[str, ...]
    undo: tuple[str, ...]


_ALONE = _Frame((), (), ("ROLLBACK",))
_AMONG_OTHERS = _Frame(
    ("SAVEPOINT operation",),
    ("RELEASE operation",),
    ("ROLLBACK TO operation", "RELEASE operation"),
)


def _refuse(group: Sequence[Waiting], error: Exception) -> None:
    for work in group:
        work.fail(error)


def _apart(group: list[Waiting]) -> Iterator[list[Waiting]]:
    """Yield what may be committed together, in order."""
    together: list[Waiting] = []
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
