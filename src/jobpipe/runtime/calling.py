"""Calls the function of a prepared attempt where it belongs: on the event loop or in a thread."""

from __future__ import annotations

from contextvars import copy_context

from jobpipe.runtime.attempt import Attempt, Prepared
from jobpipe.runtime.context import running_job
from jobpipe.runtime.executors.async_ import InContext
from jobpipe.runtime.executors.thread import Threads


class Caller:
    """Makes the calls of one worker; ``current_job()`` works in whatever they call."""

    def __init__(self) -> None:
        self._threads = Threads()

    async def call(self, attempt: Attempt, prepared: Prepared) -> object:
        """Return what the task's function returns, or raise what it raises."""
        context = copy_context()
        context.run(running_job.set, attempt.job)
        function = prepared.task.function
        if prepared.task.spec.executor == "async":
            coroutine = context.run(function, *prepared.args, **prepared.kwargs)
            return await InContext(coroutine, context)
        return await self._threads.run(context, function, prepared.args, prepared.kwargs)

    def close(self) -> None:
        """Let idle threads end; busy ones end after their call."""
        self._threads.close()
