"""Calls the function of an attempt where it belongs, inside the application's middleware.

What is `async def` runs on the event loop, what is `def` in a thread; neighbours of one kind share
the loop's context or the thread, and each change from one to the other copies the context, so
that what a middleware sets is seen below it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from functools import partial
from typing import Any

from jobpipe.runtime.attempt import Attempt
from jobpipe.runtime.below import below
from jobpipe.runtime.context import RunningJob, running_job
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

    def call(self, attempt: Attempt) -> Awaitable[object]:
        """Begin the call: what is awaited returns or raises what the task's function does."""
        context, job, callee = copy_context(), attempt.job, attempt.callee
        if self._middleware or callee.task.dependencies is not None:
            nested = Nested(self, attempt)
            return InContext(context.run(_for_job, job, nested.on_loop, (0,), {}), context)
        call = (job, callee.function, attempt.args, attempt.kwargs)
        if callee.is_async:
            return InContext(context.run(_for_job, *call), context)
        return self.threads.run(context, _for_job, call, {})

    def close(self) -> None:
        """Let idle threads end; busy ones end after their call."""
        self.is_closing = True
        self.threads.close()
        self._end_below()
        if self.processes is not None:
            self.processes.close()


class Nested:
    """One call of a task inside its middleware, layer by layer; the task is the last layer."""

    def __init__(self, caller: Caller, attempt: Attempt) -> None:
        self._caller = caller
        self._job = attempt.job
        self._attempt = attempt
        self._callee = attempt.callee
        self._layers = tuple(caller._middleware)

    async def on_loop(self, depth: int) -> Any:
        """Call the layers from this one on, being on the loop."""
        if depth == len(self._layers):
            if self._callee.is_async:
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
            if not self._callee.is_async:
                return self._task_in_thread(crossing)
        elif not self._layers[depth].is_async:
            call_next = partial(self.in_thread, crossing, depth + 1)
            return self._layers[depth].function(self._job, call_next)
        return crossing.ask(partial(self.on_loop, depth))

    async def _task_on_loop(self) -> Any:
        needs = self._callee.task.dependencies
        if needs is None:
            return await self._task({})
        return await call_with(needs, self._job, self._caller.shared, _here, self._task)

    def _task_in_thread(self, crossing: Crossing) -> Any:
        needs = self._callee.task.dependencies
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
        return self._callee.function(*self._attempt.args, **self._attempt.kwargs, **values)


def _for_job(
    job: RunningJob,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """Call the function so that ``current_job()`` is this one from here on."""
    running_job.set(job)
    return function(*args, **kwargs)


async def _here(awaited: bool, function: Callable[..., Any], *args: Any) -> Any:
    value = function(*args)
    return await value if awaited else value
