"""One attempt: find the task, decode its arguments, run it, judge what came of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import msgspec

from jobpipe.errors import ConfigError
from jobpipe.model.job import Claimed, Finish
from jobpipe.model.state import Reason, State
from jobpipe.policy import outcome as policy
from jobpipe.policy.outcome import RetryRules, Verdict
from jobpipe.policy.retry import RetryDelays
from jobpipe.runtime.context import RunningJob
from jobpipe.runtime.executors.command import run_command
from jobpipe.runtime.failure import describe, to_json
from jobpipe.tasks.codec import Undecodable, Unstorable, decode_args, encode_result
from jobpipe.tasks.command import CommandTask
from jobpipe.tasks.registry import DeclaredTask, Registry
from jobpipe.tasks.remote import RemoteTask
from jobpipe.tasks.signature import Signature
from jobpipe.tasks.task import AsyncTask
from jobpipe.tasks.versions import Incompatible
from jobpipe.telemetry.events import (
    JobFailedForGood,
    JobParked,
    RaisedAfterCommit,
    ResultDropped,
    emit,
)

AWAITED = (AsyncTask, CommandTask)


@dataclass(frozen=True, slots=True)
class Callee:
    """What the attempts of a task call, and how: worked out once, for all of them."""

    task: DeclaredTask
    signature: Signature
    opening: str
    """What the arguments of a job begin with that are of the first version, as the task's are."""
    function: Callable[..., Any]
    is_async: bool
    """A call of it is awaited."""
    is_apart: bool
    """It runs in a process of its own."""
    can_be_stopped: bool
    """The run can be ended from outside: a thread cannot."""

    @classmethod
    def of(cls, task: DeclaredTask) -> Callee:
        """Return what attempts of the task call."""
        function: Callable[..., Any] = task.function
        if isinstance(task, CommandTask):
            function = partial(run_command, task.command)
        return cls(
            task,
            task.signature,
            task.versions.opening,
            function,
            is_async=isinstance(task, AWAITED),
            is_apart=task.spec.executor == "process",
            can_be_stopped=task.spec.executor != "thread",
        )

    def apart(self) -> Callee:
        """Return the same in a process of its own."""
        return replace(self, is_apart=True, can_be_stopped=True)


class Attempt:
    """What a worker knows of one claim from the claim to its outcome.

    ``settled`` is set once: the first to settle it (its own end, its time-out, the worker's stop)
    decides, and whatever comes later is dropped. Most attempts never differ from what the class
    says, so that making one sets next to nothing.
    """

    callee: Callee
    """Known once the attempt is prepared, like ``args`` and ``kwargs``."""
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = MappingProxyType({})
    slot: asyncio.Task[None] | None = None
    """The task that runs it."""
    deadline: int | None = None
    """The ticket of its time-out."""
    settled = False
    why_stopped: str | None = None
    """Set when it is interrupted: ``cancel``, ``timeout``, ``stop`` or ``lease``."""
    failure: BaseException | None = None
    """What the outcome is for, unless it is a success."""
    decided = False
    """The outcome is certain: hooks hear of it, and no cancel or time-out changes it."""
    concluding: asyncio.Task[None] | None = None
    """Tells the hooks of a time-out while its run, which cannot be stopped, goes on."""

    def __init__(self, claimed: Claimed, job: RunningJob) -> None:
        self.claimed = claimed
        self.job = job

    @property
    def key(self) -> tuple[int, int]:
        """The (job id, token) that all its writes are guarded by."""
        return self.claimed.id, self.claimed.token

    @property
    def is_stopping(self) -> bool:
        """Tell whether it was interrupted since its worker ends."""
        return self.why_stopped in ("stop", "lease")


class Judge:
    """Turns claims into prepared calls, and values or exceptions into outcomes."""

    def __init__(
        self,
        registry: Registry,
        delays: RetryDelays,
        max_payload: int,
        *,
        is_apart: bool = False,
    ) -> None:
        self._is_apart = is_apart
        """It judges in a process of a job's own; the worker tells what there is to tell."""
        self._registry = registry
        self._delays = delays
        self._max_payload = max_payload
        self._told: set[tuple[str, Reason | None]] = set()
        self._callees: dict[str, Callee] = {}

    def prepare(self, attempt: Attempt) -> Finish | None:
        """Make the attempt ready for its call; return the outcome of one that cannot start."""
        claimed = attempt.claimed
        if attempt.job.cancel_requested():
            return self.unstarted(attempt)
        if claimed.expired:
            return self._end(attempt, policy.EXPIRED)
        callee = self._callees.get(claimed.task) or self._find(claimed.task)
        if callee is None:
            message = f"this worker has no task named {claimed.task}"
            return self._park(attempt, policy.UNKNOWN_TASK, "UnknownTask", message)
        attempt.callee = callee = callee.apart() if claimed.suspect else callee
        if callee.is_apart and not self._is_apart:
            return None  # decoding may be what kills a process
        try:
            args = claimed.args
            if args[0] != callee.opening:
                args = callee.task.versions.upgraded(args)
            attempt.args, attempt.kwargs = decode_args(callee.signature, args)
        except Incompatible as error:
            return self._park(attempt, policy.INCOMPATIBLE, type(error).__name__, str(error))
        except (Undecodable, ConfigError, IndexError) as error:  # the last of no text at all
            return self._park(attempt, policy.UNDECODABLE, "Undecodable", str(error))
        return None

    def value(self, attempt: Attempt, value: Any) -> Finish:
        """Judge a task that returned."""
        if value is None or not attempt.callee.task.spec.store_result:
            return self._end(attempt, policy.SUCCEEDED)
        try:
            text = encode_result(value, self._max_payload)
        except Unstorable as error:
            return self._end(attempt, policy.UNSTORABLE, error=error)
        return self._end(attempt, policy.SUCCEEDED, result=text)

    def exception(self, attempt: Attempt, error: BaseException) -> Finish:
        """Judge a task that raised."""
        if isinstance(error, Unstorable):  # by set_result()
            return self._end(attempt, policy.UNSTORABLE, error)
        return self._end(attempt, policy.of_exception(error, self._rules(attempt)), error)

    def timeout(self, attempt: Attempt) -> Finish:
        """Judge a task that ran into its time-out."""
        seconds = (attempt.claimed.timeout_us or 0) / 1e6
        error = TimeoutError(f"the attempt ran longer than its time-out of {seconds:g} s")
        return self._end(attempt, policy.of_timeout(self._rules(attempt)), error)

    def cancelled(self, attempt: Attempt) -> Finish:
        """Judge a task that was stopped because somebody cancelled its job."""
        return self._end(attempt, policy.CANCELLED)

    def unstarted(self, attempt: Attempt) -> Finish:
        """Judge an attempt that was cancelled before it began."""
        return self._end(attempt, policy.CANCELLED_UNSTARTED)

    def announce(self, attempt: Attempt, finish: Finish) -> None:
        """Tell of an outcome that was judged apart, as if it had been judged here."""
        if finish.state is State.PARKED:
            self._tell_parked(attempt, finish.reason)
        elif finish.state is State.FAILED:
            kind = msgspec.json.decode(finish.error)["type"] if finish.error else finish.outcome
            self._tell_failed(attempt, finish.reason, kind)

    def _tell_failed(self, attempt: Attempt, reason: Reason | None, error: str) -> None:
        id, task = attempt.claimed.id, attempt.claimed.task
        if not self._is_apart:
            emit(JobFailedForGood(job=id, task=task, reason=str(reason), error=error))

    def _tell_parked(self, attempt: Attempt, reason: Reason | None) -> None:
        id, task = attempt.claimed.id, attempt.claimed.task
        # There may be thousands of them.
        if (task, reason) not in self._told and not self._is_apart:
            self._told.add((task, reason))
            emit(JobParked(job=id, task=task, reason=str(reason)))

    def _find(self, task: str) -> Callee | None:
        if task not in self._registry:
            return None
        known = self._registry.get(task)
        if isinstance(known, RemoteTask):  # it has no code here
            return None
        callee = self._callees[task] = Callee.of(known)
        return callee

    def _rules(self, attempt: Attempt) -> RetryRules:
        spec = attempt.callee.task.spec
        return RetryRules(
            attempt=attempt.claimed.attempt,
            max_attempts=attempt.claimed.max_attempts,
            delays=spec.retry_delays or self._delays,
            retry_on=spec.retry_on,
            give_up_on=spec.give_up_on,
            uniform=_uniform,
        )

    def _park(self, attempt: Attempt, verdict: Verdict, kind: str, message: str) -> Finish:
        self._tell_parked(attempt, verdict.reason)
        text = to_json(kind, message, "", self._max_payload)
        return self._write(attempt, verdict, None, text)

    def _end(
        self,
        attempt: Attempt,
        verdict: Verdict,
        error: BaseException | None = None,
        result: str | None = None,
    ) -> Finish:
        if (committed := attempt.job.committed) is not None:
            return self._committed(attempt, committed, error, result)
        attempt.failure = error
        text = describe(error, self._max_payload) if error is not None else None
        if verdict.state is State.FAILED and not attempt.settled:
            why = type(error).__name__ if error is not None else str(verdict.outcome)
            self._tell_failed(attempt, verdict.reason, why)
        return self._write(attempt, verdict, result, text)

    @staticmethod
    def _committed(
        attempt: Attempt, end: Finish, error: BaseException | None, result: str | None
    ) -> Finish:
        """The attempt has committed its success: what it made of itself since changes nothing."""
        if isinstance(error, Exception) and attempt.why_stopped is None:
            why = f"{type(error).__name__}: {error}"
            emit(RaisedAfterCommit(job=end.id, task=attempt.claimed.task, error=why))
        elif result is not None and end.result is None:
            emit(ResultDropped(job=end.id, task=attempt.claimed.task))
        return end

    @staticmethod
    def _write(attempt: Attempt, verdict: Verdict, result: str | None, error: str | None) -> Finish:
        now, started = time.monotonic_ns(), attempt.job.started_ns
        return Finish(
            id=attempt.claimed.id,
            token=attempt.claimed.token,
            state=verdict.state,
            reason=verdict.reason,
            outcome=verdict.outcome,
            result=result,
            error=error,
            delay_us=verdict.delay_us,
            charged=verdict.charged,
            slow_us=verdict.slow_us,
            duration_us=(now - started) // 1000 if started else 0,
            ended_at_ns=now,
        )


def _uniform(high: float) -> float:
    return random.uniform(0, high)
