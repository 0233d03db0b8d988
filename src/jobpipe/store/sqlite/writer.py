"""The one place of a process from which a database is written.

Whoever has the place writes what waits in one commit (group commit), answers everybody in it and
hands over: a thread that blocks takes the place itself when it is free or its turn, and for those
who may not block a thread of the writer's own does. Among several each operation stands in a
savepoint, so one that fails leaves its neighbours alone, and nobody hears of success before the
commit that holds it is on disk.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from jobpipe.errors import StoreUnavailable
from jobpipe.failpoint import failpoint
from jobpipe.store.port import Operation
from jobpipe.store.sqlite.connection import begin_write, commit, data_version
from jobpipe.store.sqlite.errors import poisons_connection, translate
from jobpipe.store.sqlite.waiting import Action, Awaited, Handed, Seat, Waiting

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
        self._connection: sqlite3.Connection | None = None
        self._is_committing = False
        self._gate = threading.Lock()
        """Guards the line, who leads, and the end."""
        self._line: list[Waiting] = []
        self._leader: int | None = None
        """The thread that has the place (0: it is on its way there); None means an empty line."""
        self._closed = False
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._calls: queue.SimpleQueue[bool] = queue.SimpleQueue()
        """True calls the thread to the place, False ends it."""

    def run(self, operation: Operation[T], first: Action | None = None) -> T:
        """Run an operation and return when its commit is on disk; see ``submit`` for ``first``."""
        seat = Seat(operation, first)
        me = threading.get_ident()
        try:
            with self._gate:
                self._refuse_if_closed()
                if self._leader == me:
                    raise StoreUnavailable(
                        "what interrupts a thread that is writing cannot write on its own"
                    )
                self._line.append(seat)
                if self._leader is None:
                    seat.leads, self._leader = True, me  # in this order: a signal may come between
            if not seat.leads:
                seat.turn.acquire()
            if seat.leads:
                self._lead(me)
        finally:  # also when a signal interrupts it: the others must not wait for ever
            if seat.leads or not seat.is_answered:
                self._leave(seat)
        result: T = seat.answer()
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
        """Commit what waits, then end."""
        with self._gate:
            self._closed = True
            if self._leader is None and not self._ended.is_set():
                self._end()
            if self._leader == threading.get_ident():  # interrupted: it ends as it hands over
                return
        self._ended.wait()
        if self._thread is not None:
            self._thread.join()

    def _hand_over(self, work: Waiting) -> None:
        with self._gate:
            self._refuse_if_closed()
            self._line.append(work)
            if self._leader is None:
                self._call_next()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store has been closed")

    # The place and the line; what is called with the gate held says so

    def _work(self) -> None:
        while self._calls.get():
            try:
                self._lead(threading.get_ident())
            finally:
                with self._gate:
                    self._call_next()

    def _leave(self, seat: Seat) -> None:
        with self._gate:
            seat.has_left = True
            if seat in self._line:
                self._line.remove(seat)
            if seat.leads:
                seat.leads = False
                self._call_next()

    def _call_next(self) -> None:
        """Give the place to whoever has waited longest; the gate is held."""
        if not self._line:
            self._leader = None
            if self._closed:
                self._end()
            return
        self._leader = 0
        longest = self._line[0]
        if isinstance(longest, Seat):
            longest.leads = True
            longest.turn.release()
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="jobpipe-writer", daemon=True)
            self._thread.start()
        self._calls.put(True)

    def _end(self) -> None:
        """Nobody has the place and nobody will; the gate is held."""
        self._calls.put(False)
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._ended.set()

    def _lead(self, me: int) -> None:
        """Write for those who wait now; the place is this thread's."""
        group: list[Waiting] = []
        try:
            with self._gate:
                self._leader = me
                group = self._line[:GROUP_MAX]
                del self._line[:GROUP_MAX]
            for part in _apart(group):
                self._settle(part)
        except BaseException:  # this thread is interrupted: the others keep their places
            with self._gate:
                self._line[:0] = [w for w in group if not w.is_answered and w.begin()]
            for work in group:
                if work.is_answered:
                    work.wake()
            raise

    # The transaction

    def _settle(self, group: list[Waiting]) -> None:
        # Whoever gave up before his turn came has nothing stored; nobody can give up after it.
        group = [work for work in group if work.begin()]
        try:
            for work in self._commit(group):
                work.succeed()
        except sqlite3.Error as error:
            self._abandon(error)
            _refuse(group, translate(error, self._path))
            return
        except Exception as error:  # whatever it is, nobody may wait for ever
            self._abandon(None)
            _refuse(group, error)
            return
        except BaseException:
            self._break_off(group)
            raise
        self._tidy()

    def _commit(self, group: list[Waiting]) -> list[Waiting]:
        """Run the group in one transaction; return those that now deserve success."""
        self._is_committing = False
        if self._connection is None:
            self._connection = self._open()
        connection = self._connection
        begin_write(connection)
        self.pulse = Pulse(self.pulse.commits + 1, data_version(connection))
        if len(group) == 1:
            done = group if self._attempt(connection, group[0], _ALONE) else []
        else:
            done = [work for work in group if self._attempt(connection, work, _AMONG_OTHERS)]
        for work in done:
            failpoint(work.operation.name, "before_commit")
        self._is_committing = True
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

    def _break_off(self, group: Sequence[Waiting]) -> None:
        """Undo the transaction of a thread that is interrupted, unless it may have ended."""
        connection = self._connection
        if connection is not None and connection.in_transaction:
            connection.execute("ROLLBACK")
        elif self._is_committing:
            cut = "the thread that stored for others was interrupted; it is unknown whether the"
            _refuse(group, StoreUnavailable(f"{cut} operation was stored", outcome_unknown=True))

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


def _refuse(group: Sequence[Waiting], error: BaseException) -> None:
    for work in group:
        if not work.is_answered:
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
