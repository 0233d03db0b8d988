"""One stay in a thread during which its code may ask the event loop to run something.

The task that waits for the thread runs what is asked, so a cancel reaches it like any other
code on the loop. The thread itself cannot be stopped: the first cancel is kept for what it asks
next, and only a second one, or the end of the worker, leaves the thread behind.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

from jobpipe.runtime.executors.async_ import InContext

Make = Callable[[], Coroutine[Any, Any, Any]]


@dataclass(frozen=True, slots=True)
class _Asked:
    make: Make
    context: Context
    answer: Future[Any] = field(default_factory=Future)


class Crossing:
    """Made on the loop, used by one thread: ``ask`` there, ``until`` here."""

    def __init__(self, is_closing: Callable[[], bool]) -> None:
        self._is_closing = is_closing
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._lock = threading.Lock()
        self._asked: deque[_Asked] = deque()
        self._over = False

    def ask(self, make: Make, context: Context | None = None) -> Any:
        """Run a coroutine on the loop and wait for it (from the thread).

        It runs in the context that is given, or in a copy of the thread's.
        Raises CancelledError when the attempt was cancelled, or goes on without this thread.
        """
        asked = _Asked(make, context or copy_context())
        with self._lock:
            if self._over:
                raise asyncio.CancelledError
            self._asked.append(asked)
        with suppress(RuntimeError):  # a closed loop: whoever closed it has ended the stay too
            self._loop.call_soon_threadsafe(self._woken.set)
        return asked.answer.result()

    async def until(self, ended: asyncio.Future[Any]) -> Any:
        """Run what is asked until the thread has ended; return or raise what it did."""
        ended.add_done_callback(lambda _: self._woken.set())
        cancelled = False
        try:
            while not ended.done():
                try:
                    await self._woken.wait()
                except asyncio.CancelledError:
                    if cancelled or self._is_closing():
                        raise
                    cancelled = True
                self._woken.clear()
                while self._asked:
                    await self._answer(self._asked.popleft(), cancelled)
        finally:
            self._end()
        return ended.result()

    async def _answer(self, asked: _Asked, cancelled: bool) -> None:
        if cancelled:
            asked.answer.set_exception(asyncio.CancelledError())
            return
        try:
            value = await InContext(asked.make(), asked.context)
        except BaseException as error:
            asked.answer.set_exception(error)
            if isinstance(error, GeneratorExit) or self._is_closing():
                raise
        else:
            asked.answer.set_result(value)

    def _end(self) -> None:
        with self._lock:
            self._over = True
        while self._asked:
            self._asked.popleft().answer.set_exception(asyncio.CancelledError())
