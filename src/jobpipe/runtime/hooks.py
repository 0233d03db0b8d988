"""Tells the application how attempts came out, before their outcomes are stored.

The task's own hooks come first, then the application's. Nothing that a hook does or fails to do
changes the outcome; it may run once more when the attempt does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import Context, copy_context

from jobpipe.model.job import Finish
from jobpipe.model.state import State
from jobpipe.runtime.attempt import Attempt
from jobpipe.runtime.context import running_job
from jobpipe.runtime.executors.async_ import InContext
from jobpipe.runtime.executors.thread import Threads
from jobpipe.runtime.failure import brief
from jobpipe.tasks.hooks import Hook, Hooks
from jobpipe.tasks.registry import DeclaredTask
from jobpipe.telemetry.events import HookFailed, emit

HOOK_SECONDS = 30.0
"""Longest run of one hook; a thread that takes longer is left behind."""

STOPPING_SECONDS = 0.5
"""The same when the worker's grace is over before the hook begins."""


class OutcomeHooks:
    """Calls ``on_success``, ``on_retry`` and ``on_failure``."""

    def __init__(self, hooks: Hooks, threads: Threads) -> None:
        self._hooks = hooks
        self._threads = threads

    def of(self, task: DeclaredTask, outcome: Finish) -> Sequence[Hook]:
        """Return the hooks that want to hear of this outcome; a snooze or a cancel has none."""
        own, common, state = task.spec.hooks, self._hooks, outcome.state
        if state is State.SUCCEEDED:
            first, then = own.on_success, common.on_success
        elif state is State.RETRYING:
            first, then = own.on_retry, common.on_retry
        elif state is State.FAILED:
            first, then = own.on_failure, common.on_failure
        else:
            return ()
        return (*first, *then) if first or then else ()

    async def run(self, attempt: Attempt, hooks: Sequence[Hook], about: object) -> None:
        """Call the hooks in turn with (job, ``about``): the result, or the error.

        Ends early when the worker stops.
        """
        for hook in hooks:
            context = copy_context()
            context.run(running_job.set, attempt.job)
            was_stopping = attempt.is_stopping
            seconds = STOPPING_SECONDS if was_stopping else HOOK_SECONDS
            limit = asyncio.timeout(seconds)
            try:
                async with limit:
                    await self._call(hook, context, attempt, about)
            except GeneratorExit:
                raise
            except BaseException as raised:
                if attempt.is_stopping and not was_stopping:
                    return
                late = TimeoutError(f"it ran longer than {seconds:g} s")
                _tell(context, attempt, hook, late if limit.expired() else raised)

    async def _call(self, hook: Hook, context: Context, attempt: Attempt, about: object) -> None:
        if hook.is_async:
            await InContext(context.run(hook.function, attempt.job, about), context)
        else:
            await self._threads.run(context, hook.function, (attempt.job, about), {})


def _tell(context: Context, attempt: Attempt, hook: Hook, error: BaseException) -> None:
    """Say it where the job's own log hears it too; a thread left behind may be in the context."""
    event = HookFailed(job=attempt.claimed.id, hook=hook.name, error=brief(error))
    context.copy().run(emit, event, error)
