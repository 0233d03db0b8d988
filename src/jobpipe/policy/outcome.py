"""What an attempt came to: from a value, an exception or an interruption to a verdict. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from jobpipe.model.signals import Cancel, Fail, Retry, Snooze
from jobpipe.model.state import Reason, State
from jobpipe.policy.retry import RetryDelays, delay_us


class Outcome(StrEnum):
    """What the history says of an attempt."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    SNOOZED = "snoozed"
    CANCELLED = "cancelled"
    LOST = "lost"
    PARKED = "parked"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where the job goes from here."""

    outcome: Outcome
    state: State
    reason: Reason | None = None
    delay_us: int | None = None
    charged: bool = True
    slow_us: int | None = None
    """For how long the job's rates let nobody through."""


@dataclass(frozen=True, slots=True)
class RetryRules:
    """What decides about another attempt."""

    attempt: int
    max_attempts: int
    delays: RetryDelays
    retry_on: Sequence[type[BaseException]]
    """The failures worth another attempt; empty: all."""
    give_up_on: Sequence[type[BaseException]]
    uniform: Callable[[float], float]
    """Returns a random number between 0 and its argument."""


SUCCEEDED = Verdict(Outcome.SUCCEEDED, State.SUCCEEDED)
UNSTORABLE = Verdict(Outcome.FAILED, State.FAILED, Reason.UNSTORABLE)
CANCELLED = Verdict(Outcome.CANCELLED, State.CANCELLED, Reason.BY_USER)
CANCELLED_UNSTARTED = Verdict(Outcome.CANCELLED, State.CANCELLED, Reason.BY_USER, charged=False)
EXPIRED = Verdict(Outcome.EXPIRED, State.FAILED, Reason.EXPIRED, charged=False)
UNKNOWN_TASK = Verdict(Outcome.PARKED, State.PARKED, Reason.UNKNOWN_TASK, charged=False)
INCOMPATIBLE = Verdict(Outcome.PARKED, State.PARKED, Reason.INCOMPATIBLE, charged=False)
UNDECODABLE = Verdict(Outcome.PARKED, State.PARKED, Reason.UNDECODABLE, charged=False)


def of_exception(error: BaseException, rules: RetryRules) -> Verdict:
    """Judge what the task raised."""
    match error:
        case Snooze():
            return Verdict(Outcome.SNOOZED, State.SCHEDULED, delay_us=error.after_us, charged=False)
        case Cancel():
            return CANCELLED
        case Fail():
            return Verdict(Outcome.FAILED, State.FAILED, Reason.FATAL)
        case Retry():
            again = _again(Outcome.FAILED, Reason.ATTEMPTS_EXHAUSTED, rules, error.after_us)
            slow_us = error.after_us or again.delay_us
            return replace(again, slow_us=slow_us) if error.slow_key else again
    if isinstance(error, tuple(rules.give_up_on)):
        return Verdict(Outcome.FAILED, State.FAILED, Reason.FATAL)
    if rules.retry_on and not isinstance(error, tuple(rules.retry_on)):
        return Verdict(Outcome.FAILED, State.FAILED, Reason.FATAL)
    return _again(Outcome.FAILED, Reason.ATTEMPTS_EXHAUSTED, rules, None)


def of_timeout(rules: RetryRules) -> Verdict:
    """Judge an attempt that ran longer than its time-out."""
    return _again(Outcome.TIMED_OUT, Reason.TIMED_OUT, rules, None)


def _again(
    outcome: Outcome, when_exhausted: Reason, rules: RetryRules, after_us: int | None
) -> Verdict:
    if rules.attempt >= rules.max_attempts:
        return Verdict(outcome, State.FAILED, when_exhausted)
    if after_us is None:
        after_us = delay_us(rules.delays, max(1, rules.attempt), rules.uniform)
    return Verdict(outcome, State.RETRYING, delay_us=after_us)
