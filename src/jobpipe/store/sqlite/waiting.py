"""What stands in line for the writer's place: an operation and whoever waits for its answer.

A thread that blocks may be given the writer's place; for everybody else the writer's thread takes
it. An answer is given once, by whoever has the place.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from jobpipe.store.port import Operation

Action = Callable[[sqlite3.Connection], Any]


class Waiting:
    """An operation in line; ``first`` runs before it in the same transaction."""

    __slots__ = ("first", "is_answered", "operation", "result")

    def __init__(self, operation: Operation[Any], first: Action | None) -> None:
        self.operation = operation
        self.first = first
        self.result: Any = None
        self.is_answered = False

    def begin(self) -> bool:
        """Tell whether somebody still waits; from now on nobody can give up."""
        raise NotImplementedError

    def succeed(self) -> None:
        """Answer with the result: the commit that holds it is on disk."""
        raise NotImplementedError

    def fail(self, error: BaseException) -> None:
        """Answer that the operation was refused."""
        raise NotImplementedError

    def wake(self) -> None:
        """Make sure that the answer is heard: whoever gave it was interrupted; twice is fine."""


class Handed(Waiting):
    """Handed over by somebody who does not block."""

    __slots__ = ("_has_begun", "future")

    def __init__(self, operation: Operation[Any], first: Action | None) -> None:
        super().__init__(operation, first)
        self.future: Future[Any] = Future()
        self._has_begun = False

    def begin(self) -> bool:
        if not self._has_begun:
            self._has_begun = self.future.set_running_or_notify_cancel()
        return self._has_begun

    def succeed(self) -> None:
        self.future.set_result(self.result)
        self.is_answered = True

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)
        self.is_answered = True


class Awaited(Waiting):
    """Handed over on an event loop, which is woken once for the answer."""

    __slots__ = ("_loop", "future")

    def __init__(self, operation: Operation[Any], first: Action | None) -> None:
        super().__init__(operation, first)
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self._loop.create_future()

    def begin(self) -> bool:
        return not self.future.cancelled()

    def succeed(self) -> None:
        self._tell(_succeed, self.future, self.result)

    def fail(self, error: BaseException) -> None:
        self._tell(_fail, self.future, error)

    def _tell(self, *how: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(*how)
        self.is_answered = True


def _succeed(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


class Seat(Waiting):
    """A thread that blocks until it is answered or given the writer's place."""

    __slots__ = ("_error", "has_left", "leads", "turn")

    def __init__(self, operation: Operation[Any], first: Action | None) -> None:
        super().__init__(operation, first)
        self.turn = threading.Lock()
        """Free when the thread need not wait any more."""
        self.turn.acquire()
        self.leads = False
        self.has_left = False
        self._error: BaseException | None = None

    def begin(self) -> bool:
        return not self.has_left

    def succeed(self) -> None:
        self.is_answered = True
        self.wake()

    def fail(self, error: BaseException) -> None:
        self._error = error
        self.is_answered = True
        self.wake()

    def wake(self) -> None:
        if self.turn.locked():
            self.turn.release()

    def answer(self) -> Any:
        """Return the result or raise the error."""
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # its traceback leads here
        return self.result
