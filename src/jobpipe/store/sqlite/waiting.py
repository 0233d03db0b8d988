"""What waits for the writer: an operation and whoever waits for its answer, which is given once."""

from __future__ import annotations

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from jobpipe.store.port import Operation

Action = Callable[[sqlite3.Connection], Any]


class Waiting(ABC):
    """An operation to be written; ``first`` runs before it in the same transaction."""

    __slots__ = ("first", "operation", "result")

    def __init__(self, operation: Operation[Any], first: Action | None) -> None:
        self.operation = operation
        self.first = first
        self.result: Any = None

    @abstractmethod
    def begin(self) -> bool:
        """Tell whether somebody still waits; from now on nobody can give up."""

    @abstractmethod
    def succeed(self) -> None:
        """Answer with the result: the commit that holds it is on disk."""

    @abstractmethod
    def fail(self, error: Exception) -> None:
        """Answer that the operation was refused, unless it is answered already."""


class Own(Waiting):
    """Written by the thread that asks."""

    __slots__ = ("_error",)

    def __init__(self, operation: Operation[Any], first: Action | None) -> None:
        super().__init__(operation, first)
        self._error: Exception | None = None

    def begin(self) -> bool:
        return True

    def succeed(self) -> None:
        """The result is there already."""

    def fail(self, error: Exception) -> None:
        self._error = self._error or error

    def answer(self) -> Any:
        """Return the result or raise the error."""
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # its traceback leads here
        return self.result


class Handed(Waiting):
    """Handed over to the writer's thread."""

    __slots__ = ("future",)

    def __init__(self, operation: Operation[Any], first: Action | None) -> None:
        super().__init__(operation, first)
        self.future: Future[Any] = Future()

    def begin(self) -> bool:
        return self.future.set_running_or_notify_cancel()

    def succeed(self) -> None:
        self.future.set_result(self.result)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


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

    def fail(self, error: Exception) -> None:
        self._tell(_fail, self.future, error)

    def _tell(self, *how: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(*how)


def _succeed(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
