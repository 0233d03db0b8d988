"""What the tasks of a worker process share: set up before its first job, torn down after the last.

It is entered once a process, in the order of declaration, and left in reverse. A set-up that
raises ends the worker before it has begun; a tear-down that raises is told and stops nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import copy_context
from types import TracebackType
from typing import Any, Self

from jobpipe.errors import JobpipeError
from jobpipe.runtime.executors.thread import Threads
from jobpipe.runtime.failure import brief
from jobpipe.tasks.hooks import Hook
from jobpipe.telemetry.events import TearDownFailed, emit

TEAR_DOWN_SECONDS = 30.0
"""Longest tear-down of one lifespan."""

Leave = Callable[[], Awaitable[object]]


class Lifespans:
    """The lifespans of one process: ``async with`` sets them up and tears them down."""

    def __init__(self, declared: Sequence[Hook]) -> None:
        self._declared = declared
        self._values: dict[Callable[..., Any], object] = {}
        self._entered: list[tuple[Hook, Leave]] = []
        self._threads = Threads()

    @property
    def values(self) -> Mapping[Callable[..., Any], object]:
        """What each lifespan function has yielded."""
        return self._values

    async def __aenter__(self) -> Self:
        """Set up all; raises JobpipeError with the text of what one of them raised."""
        for hook in self._declared:
            try:
                self._values[hook.function] = await self._enter(hook)
            except BaseException as error:
                await self._leave_all()
                if not isinstance(error, Exception):
                    raise
                raise JobpipeError(
                    f"the set-up of lifespan {hook.name} failed: {brief(error)}",
                    help="Mend what the message names, then start the worker again.",
                ) from error
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Tear down all, the last one first."""
        await self._leave_all()

    async def _enter(self, hook: Hook) -> object:
        if hook.is_async:
            manager = asynccontextmanager(hook.function)()
            value: object = await manager.__aenter__()
            self._entered.append((hook, lambda: manager.__aexit__(None, None, None)))
            return value
        blocking = contextmanager(hook.function)()
        value = await self._in_thread(blocking.__enter__)
        leave = self._in_thread
        self._entered.append((hook, lambda: leave(blocking.__exit__, None, None, None)))
        return value

    def _in_thread(self, function: Callable[..., Any], *args: Any) -> Awaitable[Any]:
        """One call after the other, they all get the same thread."""
        return self._threads.run(copy_context(), function, args, {})

    async def _leave_all(self) -> None:
        while self._entered:
            hook, leave = self._entered.pop()
            try:
                async with asyncio.timeout(TEAR_DOWN_SECONDS):
                    await leave()
            except Exception as error:
                emit(TearDownFailed(lifespan=hook.name, error=brief(error)), error)
        self._values.clear()
        self._threads.close()
