"""Runs one attempt to its outcome: calls the task, then judges its value or exception."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from jobpipe.errors import ProcessDied
from jobpipe.model.job import Finish
from jobpipe.model.signals import Cancel
from jobpipe.model.state import State
from jobpipe.runtime.attempt import Attempt, Judge
from jobpipe.runtime.calling import Caller


class Runner:
    """The way of an attempt from its call to its outcome."""

    def __init__(
        self, judge: Judge, caller: Caller, decided: Callable[[], None] | None = None
    ) -> None:
        self._judge = judge
        self._caller = caller
        self._closing = False
        self.hooks = caller.outcome_hooks
        self._decided = decided
        """Hears that hooks begin."""

    def close(self) -> None:
        """From now on a cancelled call means that the slot itself is to end."""
        self._closing = True
        self._caller.close()

    async def closed(self) -> None:
        """Wait until no process of a job is left."""
        if self._caller.processes is not None:
            await self._caller.processes.closed()

    async def run(self, attempt: Attempt, begin: Callable[[Attempt], None]) -> Finish | None:
        """Return the outcome; None when the worker gives the job back, or somebody has decided.

        The attempt is prepared; ``begin`` is called when everything is ready for the call.
        """
        value: object = None
        processes = self._caller.processes
        try:
            if attempt.callee.is_apart and processes is not None:
                # Judged there, and told to the hooks there.
                finish = await processes.run(attempt, begin)
                if finish is not None:
                    self._judge.announce(attempt, finish)
                return finish
            begin(attempt)
            value = await self._caller.call(attempt)
        except BaseException as error:
            outcome = self._of_error(attempt, error)
        else:
            outcome = None if attempt.decided else self._of_value(attempt, value)
        if outcome is None or attempt.settled:
            return outcome
        hooks = self.hooks.of(attempt.callee.task, outcome)
        if hooks:
            attempt.decided = True
            if self._decided is not None:
                self._decided()
            about = value if outcome.state is State.SUCCEEDED else attempt.failure
            await self.hooks.run(attempt, hooks, about)
        return outcome

    def _of_value(self, attempt: Attempt, value: object) -> Finish:
        if attempt.why_stopped == "timeout":
            return self._judge.timeout(attempt)
        return self._judge.value(attempt, value)

    def _of_error(self, attempt: Attempt, error: BaseException) -> Finish | None:
        why = attempt.why_stopped
        is_cancel = isinstance(error, asyncio.CancelledError)
        if isinstance(error, GeneratorExit) or (is_cancel and self._closing):
            raise error
        was_killed = isinstance(error, ProcessDied)
        if attempt.decided and not was_killed:
            return None
        if why == "timeout":
            return self._judge.timeout(attempt)
        if why == "cancel" and (was_killed or not isinstance(error, Exception)):
            return self._judge.cancelled(attempt)
        if why in ("stop", "lease") and _was_interrupted(attempt, error):
            return None
        return self._judge.exception(attempt, error)


def _was_interrupted(attempt: Attempt, error: BaseException) -> bool:
    """Tell whether the run ended because the worker stops, whatever it made of that.

    What can be stopped was cancelled; a thread that asks ``cancel_requested()`` raises ``Cancel``.
    """
    return attempt.callee.can_be_stopped or isinstance(error, Cancel)
