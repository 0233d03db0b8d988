"""Judges what programs elsewhere report about their jobs, by the same rules as our own attempts."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Struct

from jobpipe.model.job import Claimed, Finish
from jobpipe.model.signals import Signal
from jobpipe.model.state import Reason, State
from jobpipe.policy import outcome as policy
from jobpipe.policy.outcome import RetryRules, Verdict
from jobpipe.policy.retry import RetryDelays
from jobpipe.runtime.failure import describe, to_json
from jobpipe.store.ops.hand_out import Settled, Sorted, Standing
from jobpipe.tasks.codec import Unstorable, encode_result
from jobpipe.tasks.registry import Registry
from jobpipe.telemetry.events import JobFailedForGood, JobParked, WriteRefused, emit


class Failure(Struct, frozen=True):
    """What a program says of what went wrong."""

    type: str
    message: str
    traceback: str = ""


class Report(Struct, frozen=True, kw_only=True):
    """What a program says of the end of one attempt: a result, or how it shall end otherwise."""

    id: int
    token: int
    result: object = None
    signal: Signal | None = None
    """As a task of ours would have raised it; None: it succeeded."""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Referee:
    """Turns reports and what a claim has found into outcomes."""

    registry: Registry
    delays: RetryDelays
    max_payload: int

    def sort(
        self, found: Sequence[Claimed], tasks: frozenset[str] | None, *, has_jobs: bool
    ) -> Sorted:
        """Tell apart what is to be handed out to a program that knows these tasks (None: all).

        A suspect, which may have killed its last worker, is handed out in a claim of its own.
        """
        jobs: list[Claimed] = []
        ended: list[Finish] = []
        back: list[Claimed] = []
        for job in found:
            if job.expired:
                ended.append(self._unrun(job, policy.EXPIRED, None))
            elif tasks is not None and job.task not in tasks:
                message = f"this program has no task named {job.task}"
                error = to_json("UnknownTask", message, "", self.max_payload)
                ended.append(self._unrun(job, policy.UNKNOWN_TASK, error))
            elif (jobs and (job.suspect or jobs[0].suspect)) or (has_jobs and job.suspect):
                back.append(job)
            else:
                jobs.append(job)
        return Sorted(jobs, ended, back)

    def outcome(self, stands: Standing, report: Report) -> Finish:
        """Judge the end of an attempt."""
        if report.signal is not None:
            verdict = policy.of_exception(report.signal, self._rules(stands))
            return self._end(stands, verdict, error=self._error(report, report.signal))
        if report.result is None or not self._keeps_result(stands.task):
            return self._end(stands, policy.SUCCEEDED)
        try:
            result = encode_result(report.result, self.max_payload)
        except Unstorable as error:
            text = describe(error, self.max_payload)
            return self._end(stands, policy.UNSTORABLE, error=text)
        return self._end(stands, policy.SUCCEEDED, result=result)

    def tell(self, outcomes: Sequence[Finish], settled: Settled, tasks: dict[int, str]) -> None:
        """Tell of jobs that failed for good, and of outcomes that the store refused."""
        taken = {end.id for end in settled.taken}
        for end in outcomes:
            if (end.id, end.token) not in settled.written:
                emit(WriteRefused(job=end.id, token=end.token, outcome=end.outcome))
            elif end.id in taken and end.state is State.FAILED:
                reason, task = str(end.reason), tasks[end.id]
                emit(JobFailedForGood(job=end.id, task=task, reason=reason, error=end.outcome))

    def tell_unrun(self, found: Sequence[Claimed], tasks: frozenset[str] | None) -> None:
        """Tell of jobs that were found and are not to be run."""
        told: set[str] = set()
        for job in found:
            if job.expired:
                reason = str(Reason.EXPIRED)
                emit(JobFailedForGood(job=job.id, task=job.task, reason=reason, error=reason))
            elif tasks is not None and job.task not in tasks | told:
                told.add(job.task)  # there may be thousands of them
                emit(JobParked(job=job.id, task=job.task, reason=str(Reason.UNKNOWN_TASK)))

    def _keeps_result(self, task: str) -> bool:
        return task not in self.registry or self.registry.get(task).spec.store_result

    def _rules(self, stands: Standing) -> RetryRules:
        known = stands.task in self.registry
        own = self.registry.get(stands.task).spec.retry_delays if known else None
        return RetryRules(
            attempt=stands.attempt,
            max_attempts=stands.max_attempts,
            delays=own or self.delays,
            retry_on=(),  # classes of ours, which a program elsewhere cannot raise
            give_up_on=(),
            uniform=_uniform,
        )

    def _error(self, report: Report, signal: Signal) -> str:
        if (said := report.failure) is not None:
            return to_json(said.type, said.message, said.traceback, self.max_payload)
        return to_json(type(signal).__qualname__, str(signal), "", self.max_payload)

    @staticmethod
    def _unrun(job: Claimed, verdict: Verdict, error: str | None) -> Finish:
        return Finish(
            id=job.id,
            token=job.token,
            state=verdict.state,
            reason=verdict.reason,
            outcome=verdict.outcome,
            error=error,
            charged=verdict.charged,
            ended_at_ns=time.monotonic_ns(),
        )

    @staticmethod
    def _end(
        stands: Standing, verdict: Verdict, *, result: str | None = None, error: str | None = None
    ) -> Finish:
        return Finish(
            id=stands.id,
            token=stands.token,
            state=verdict.state,
            reason=verdict.reason,
            outcome=verdict.outcome,
            result=result,
            error=error,
            delay_us=verdict.delay_us,
            charged=verdict.charged,
            slow_us=verdict.slow_us,
            duration_us=max(0, stands.now - (stands.started_at or stands.now)),
            ended_at_ns=time.monotonic_ns(),
        )


def _uniform(high: float) -> float:
    return random.uniform(0, high)
