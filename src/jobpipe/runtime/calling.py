"""Calls the function of a prepared attempt where it belongs, inside the application's middleware.

What is `async def` runs on the event loop, what is `def` in a thread; neighbours of one kind share
the loop's context or the thread, and each change from one to the other copies the context, so
that what a middleware sets is seen below it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

from jobpipe.runtime.attempt import Attempt, Prepared
from jobpipe.runtime.below import below
from jobpipe.runtime.context import running_job
from jobpipe.runtime.crossing import Crossing
from jobpipe.runtime.dependencies import Shared, call_with, run_now
from jobpipe.runtime.executors.async_ import InContext
from jobpipe.runtime.executors.process import Processes
from jobpipe.runtime.executors.thread import Threads
from jobpipe.runtime.hooks import OutcomeHooks
from jobpipe.tasks.hooks import Hooks


class Caller:
    """Makes the calls of one worker; ``current_job()`` works in whatever they call."""

    def __init__(
        self,
        hooks: Hooks,
        shared: Shared,
        *,
        threads: Threads | None = None,
        processes: Processes | None = None,
    ) -> None:
        self.shared = shared
        self.threads = threads or Threads()
        self.processes = processes
        """Where attempts run in a process of their own; None within such a one."""
        self.is_closing = False
        self.outcome_hooks = OutcomeHooks(hooks, self.threads)
        self._middleware = hooks.middleware
        self._end_below = below.begin()

    async def call(self, attempt: Attempt, prepared: Prepared) -> object:
        """Return what the task's function returns, or raise what it raises."""
        context = copy_context()
        context.run(running_job.set, attempt.job)
        if self._middleware or prepared.task.dependencies is not None:
            nested = Nested(self, attempt, prepared)
            return await InContext(nested.on_loop(0), context)
        function = prepared.function
        if prepared.is_async:
            coroutine = context.run(function, *prepared.args, **prepared.kwargs)
            return await InContext(coroutine, context)
        return await self.threads.run(context, function, prepared.args, prepared.kwargs)

    def close(self) -> None:
        """Let idle threads end; busy ones end after their call."""
        self.is_closing = True
        self.threads.close()
        self._end_below()
        if self.processes is not None:
            self.processes.close()


class Nested:
    """One call of a task inside its middleware, layer by layer; the task is the last layer."""

    def __init__(self, caller: Caller, attempt: Attempt, prepared: Prepared) -> None:
        self._caller = caller
        self._job = attempt.job
        self._prepared = prepared
        self._layers = tuple(caller._middleware)

    async def on_loop(self, depth: int) -> Any:
        """Call the layers from this one on, being on the loop."""
        if depth == len(self._layers):
            if self._prepared.is_async:
                return await self._task_on_loop()
        elif self._layers[depth].is_async:
            return await self._layers[depth].function(self._job, partial(self.on_loop, depth + 1))
        crossing = Crossing(lambda: self._caller.is_closing)
        args = (crossing, depth)
        ended = self._caller.threads.run(copy_context(), self.in_thread, args, {})
        return await crossing.until(ended)

    def in_thread(self, crossing: Crossing, depth: int) -> Any:
        """Call the layers from this one on, being in a thread."""
        if depth == len(self._layers):
            if not self._prepared.is_async:
                return self._task_in_thread(crossing)
        elif not self._layers[depth].is_async:
            call_next = partial(self.in_thread, crossing, depth + 1)
            return self._layers[depth].function(self._job, call_next)
        return crossing.ask(partial(self.on_loop, depth))

    async def _task_on_loop(self) -> Any:
        needs = self._prepared.task.dependencies
        if needs is None:
            return await self._task({})
        return await call_with(needs, self._job, self._caller.shared, _here, self._task)

    def _task_in_thread(self, crossing: Crossing) -> Any:
        needs = self._prepared.task.dependencies
        if needs is None:
            return self._task({})
        context = copy_context()  # one for all, so that a generator goes on where it began

        async def do(awaited: bool, function: Callable[..., Any], *args: Any) -> Any:
            if awaited:
                return crossing.ask(partial(_here, True, function, *args), context)
            return function(*args)

        async def task(values: dict[str, object]) -> Any:
            return self._task(values)

        return run_now(call_with(needs, self._job, self._caller.shared, do, task))

    def _task(self, values: dict[str, object]) -> Any:
        """Call the function; what it returns is awaited where it is `async def`."""
        return self._prepared.function(*self._prepared.args, **self._prepared.kwargs, **values)


async def _here(awaited: bool, function: Callable[..., Any], *args: Any) -> Any:
    value = function(*args)
    return await value if awaited else value
