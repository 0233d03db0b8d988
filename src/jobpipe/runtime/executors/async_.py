"""Runs a coroutine inside the slot's own task, in a context of the job's own.

No task object is made for a job: the slot's task drives the coroutine step by step, and each
step runs in the job's copy of the context, so that what one job sets the next does not see.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


class InContext:
    """Awaitable that drives ``coroutine`` in ``context`` on the task that awaits it."""

    __slots__ = ("_context", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, T], context: Context) -> None:
        self._coroutine = coroutine
        self._context = context

    def __await__(self) -> Generator[Any, Any, Any]:
        run, step = self._context.run, self._coroutine.send
        argument: Any = None
        while True:
            try:
                awaited = run(step, argument)
            except StopIteration as end:
                return end.value
            except GeneratorExit as error:
                # Raised by the task itself; as such it would end the slot's task too.
                raise RuntimeError(f"the task raised GeneratorExit: {error}") from error
            try:
                argument = yield awaited
                step = self._coroutine.send
            except GeneratorExit:
                run(self._coroutine.close)
                raise
            except BaseException as error:
                step, argument = self._coroutine.throw, error
