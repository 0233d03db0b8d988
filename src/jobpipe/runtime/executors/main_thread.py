"""Runs functions on the main thread of a child process, where SIGTERM interrupts them.

It stands in for ``Threads``: what is called while the main thread is busy gets a thread.
"""

from __future__ import annotations

import asyncio
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import Context
from types import FrameType
from typing import Any

from jobpipe.runtime.executors.thread import Threads, Work


class Interrupted(BaseException):
    """The worker ends this attempt: cancelled, timed out, or the worker stops."""


class MainThread(Threads):
    """Calls on the main thread, for the loop of another thread."""

    def __init__(self, hear_term: Callable[[bool], None]) -> None:
        super().__init__()
        self._calls: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._free = threading.Semaphore(1)
        self._in_call = False
        self._held = False
        self._interrupted = False
        self._hear_term = hear_term
        """Hears of SIGTERM, and whether it interrupts a call on the main thread."""

    def run(
        self,
        context: Context,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> asyncio.Future[Any]:
        """Call the function on the main thread if it is free, or else in another."""
        if not self._free.acquire(blocking=False):
            return super().run(context, function, args, kwargs)
        work = Work(context, function, args, kwargs)
        self._calls.put(work)
        return work.future

    def serve(self) -> None:
        """Make the calls (on the main thread) until ``close``."""
        self.listen()
        while (work := self._calls.get()) is not None:
            try:
                value, error = self._make(work), None
            except BaseException as raised:
                value, error = None, raised
            self._free.release()
            self.report(work, value, error)
            del work, value, error

    def listen(self) -> None:
        """Take SIGTERM (on the main thread), whatever the last job made of it."""
        with suppress(ValueError):
            signal.signal(signal.SIGTERM, self._on_term)

    def close(self) -> None:
        """Let ``serve`` return after the call that it makes."""
        super().close()
        self._calls.put(None)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Do something (on any thread) that an interruption must not cut in half."""
        if self._held or threading.current_thread() is not threading.main_thread():
            yield
            return
        self._held = True
        try:
            yield
        finally:
            self._held = False
            if self._interrupted:
                self._interrupted = False
                raise Interrupted

    def _make(self, work: Work) -> Any:
        self._interrupted = False
        self.listen()
        self._in_call = True
        try:
            return work.context.run(work.function, *work.args, **work.kwargs)
        finally:
            self._in_call = False

    def _on_term(self, _number: int, _frame: FrameType | None) -> None:
        self._hear_term(self._in_call)
        if self._in_call and self._held:
            self._interrupted = True
        elif self._in_call:
            raise Interrupted
