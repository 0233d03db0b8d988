"""Runs functions in daemon threads, so that one that never ends cannot hold up the process."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import Context
from typing import Any


class Work:
    """A call to make, and the future of the running loop that waits for it."""

    __slots__ = ("args", "context", "function", "future", "kwargs")

    def __init__(
        self,
        context: Context,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> None:
        self.context = context
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class Threads:
    """Threads made as they are needed and kept; as many as there are calls at once.

    A thread makes all the calls that wait, one after the other, and wakes the next thread before
    each: while calls are short that one finds nothing left, and when one is long it goes on.
    """

    def __init__(self) -> None:
        self._work: deque[Work] = deque()
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()
        """What wakes one thread; False ends it."""
        self._is_waking = False
        """A thread was woken that has not looked yet."""
        self._lock = threading.Lock()
        self._idle = 0
        self._made = 0
        self._ended: deque[tuple[Work, Any, BaseException | None]] = deque()
        self._told = False

    def run(
        self,
        context: Context,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> asyncio.Future[Any]:
        """Call the function in a thread, in the context; the future belongs to this loop."""
        work = Work(context, function, args, kwargs)
        self._work.append(work)
        with self._lock:
            if self._idle == 0:
                self._made += 1
                name = f"jobpipe-slot-{self._made}"
                threading.Thread(target=self._serve, name=name, daemon=True).start()
            else:
                self._idle -= 1
        self._wake_one()
        return work.future

    def close(self) -> None:
        """Let idle threads end; busy ones end after their call."""
        for _ in range(self._made):
            self._wake.put(False)

    def _wake_one(self) -> None:
        if not self._is_waking:
            self._is_waking = True
            self._wake.put(True)

    def _serve(self) -> None:
        while self._wake.get():
            self._is_waking = False
            self._tell()
            while (work := self._next()) is not None:
                try:
                    value, error = work.context.run(work.function, *work.args, **work.kwargs), None
                except BaseException as raised:  # a task may even raise SystemExit
                    value, error = None, raised
                with self._lock:
                    self._idle += 1
                self.report(work, value, error)
                del work, value, error

    def _next(self) -> Work | None:
        try:
            work = self._work.popleft()
        except IndexError:  # another thread was faster
            return None
        if self._work:
            self._wake_one()
        return work

    def report(self, work: Work, value: Any, error: BaseException | None) -> None:
        """Hand the end to the loop; ends that come close together wake it once.

        Where a thread was woken and has not looked yet, it is for that one to tell.
        """
        self._ended.append((work, value, error))
        if not self._is_waking:
            self._tell()

    def _tell(self) -> None:
        if self._told:
            return
        try:
            loop = self._ended[0][0].future.get_loop()
        except IndexError:  # the loop has seen it already
            return
        self._told = True
        # A closed loop means that the worker is gone and gave the job back long ago.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(self._settle_ended)

    def _settle_ended(self) -> None:
        self._told = False
        while self._ended:
            work, value, error = self._ended.popleft()
            _settle(work.future, value, error)


def _settle(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    elif isinstance(error, StopIteration | GeneratorExit):
        # A future cannot carry the one, and the other would end the slot's task too.
        what = type(error).__name__
        future.set_exception(RuntimeError(f"the task raised {what}: {error}"))
    else:
        future.set_exception(error)
