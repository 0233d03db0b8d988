"""Runs functions in daemon threads, so that one that never ends cannot hold up the process."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Work:
    """A call to make, and the future of the loop that waits for it."""

    context: Context
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]

    @classmethod
    def on_this_loop(
        cls,
        context: Context,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Work:
        """Return the work of a call whose future belongs to the running loop."""
        loop = asyncio.get_running_loop()
        return cls(context, function, args, kwargs, loop, loop.create_future())


class Threads:
    """Threads made as they are needed and kept; as many as there are calls at once."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
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
        kwargs: dict[str, Any],
    ) -> asyncio.Future[Any]:
        """Call the function in a thread, in the context; the future belongs to this loop."""
        work = Work.on_this_loop(context, function, args, kwargs)
        with self._lock:
            if self._idle == 0:
                self._made += 1
                name = f"jobpipe-slot-{self._made}"
                threading.Thread(target=self._serve, name=name, daemon=True).start()
            else:
                self._idle -= 1
        self._work.put(work)
        return work.future

    def close(self) -> None:
        """Let idle threads end; busy ones end after their call."""
        for _ in range(self._made):
            self._work.put(None)

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                value, error = work.context.run(work.function, *work.args, **work.kwargs), None
            except BaseException as raised:  # a task may even raise SystemExit
                value, error = None, raised
            with self._lock:
                self._idle += 1
            self.report(work, value, error)
            del work, value, error

    def report(self, work: Work, value: Any, error: BaseException | None) -> None:
        """Hand the end to the loop; ends that come close together wake it once."""
        self._ended.append((work, value, error))
        if self._told:
            return
        self._told = True
        # A closed loop means that the worker is gone and gave the job back long ago.
        with suppress(RuntimeError):
            work.loop.call_soon_threadsafe(self._settle_ended)

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
