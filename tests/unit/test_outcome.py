"""The verdict on an attempt, from what the task raised."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobpipe.model.signals import Cancel, Fail, Retry, Snooze
from jobpipe.model.state import REASONS, Reason, State, may
from jobpipe.policy.outcome import (
    CANCELLED,
    CANCELLED_UNSTARTED,
    EXPIRED,
    SUCCEEDED,
    UNDECODABLE,
    UNKNOWN_TASK,
    UNSTORABLE,
    Outcome,
    RetryRules,
    Verdict,
    of_exception,
    of_timeout,
)
from jobpipe.policy.retry import ListDelays


def rules(**changed: Any) -> RetryRules:
    given: dict[str, Any] = {
        "attempt": 1,
        "max_attempts": 3,
        "delays": ListDelays((5.0, 60.0)),
        "retry_on": (),
        "give_up_on": (),
        "uniform": lambda ceiling: ceiling,
    }
    return RetryRules(**{**given, **changed})


AGAIN = Verdict(Outcome.FAILED, State.RETRYING, delay_us=5_000_000)
USED_UP = Verdict(Outcome.FAILED, State.FAILED, Reason.ATTEMPTS_EXHAUSTED)
FATAL = Verdict(Outcome.FAILED, State.FAILED, Reason.FATAL)


@pytest.mark.parametrize(
    "error,changed,expected",
    [
        (ValueError(), {}, AGAIN),
        (ValueError(), {"attempt": 2}, Verdict(Outcome.FAILED, State.RETRYING, None, 60_000_000)),
        (ValueError(), {"attempt": 3}, USED_UP),
        (ValueError(), {"attempt": 7}, USED_UP),
        (ValueError(), {"max_attempts": 1}, USED_UP),
        (ValueError(), {"retry_on": (OSError,)}, FATAL),
        (FileNotFoundError(), {"retry_on": (OSError,)}, AGAIN),
        (FileNotFoundError(), {"retry_on": (OSError,), "give_up_on": (FileNotFoundError,)}, FATAL),
        (ValueError(), {"give_up_on": (Exception,)}, FATAL),
        (SystemExit(1), {}, AGAIN),
        (Fail("no"), {}, FATAL),
        (Fail("no"), {"retry_on": (Exception,)}, FATAL),
        (Cancel("no"), {}, CANCELLED),
        (Cancel("no"), {"attempt": 3}, CANCELLED),
        (Retry(), {}, AGAIN),
        (Retry(after=0), {}, Verdict(Outcome.FAILED, State.RETRYING, None, 0)),
        (Retry(after=7), {"attempt": 3}, USED_UP),
        (Retry(), {"give_up_on": (Exception,)}, AGAIN),
        (
            Snooze(timedelta(minutes=1)),
            {"attempt": 3},
            Verdict(Outcome.SNOOZED, State.SCHEDULED, None, 60_000_000, charged=False),
        ),
    ],
)
def test_verdicts(error: BaseException, changed: dict[str, Any], expected: Verdict) -> None:
    assert of_exception(error, rules(**changed)) == expected


def test_a_time_out_is_a_failure_with_a_reason_of_its_own() -> None:
    assert of_timeout(rules()) == Verdict(Outcome.TIMED_OUT, State.RETRYING, None, 5_000_000)
    over = Verdict(Outcome.TIMED_OUT, State.FAILED, Reason.TIMED_OUT)
    assert of_timeout(rules(attempt=3)) == over
    assert of_timeout(rules(retry_on=(OSError,))).state is State.RETRYING


def test_every_verdict_is_a_legal_step_with_the_reason_it_needs() -> None:
    verdicts = [SUCCEEDED, UNSTORABLE, CANCELLED, CANCELLED_UNSTARTED, EXPIRED]
    verdicts += [UNKNOWN_TASK, UNDECODABLE, AGAIN, USED_UP, FATAL, of_timeout(rules(attempt=3))]
    for verdict in verdicts:
        assert may(State.RUNNING, verdict.state)
        allowed = REASONS.get(verdict.state, frozenset({None}))
        assert verdict.reason in allowed


def test_only_what_never_ran_its_code_is_uncharged() -> None:
    assert not any(v.charged for v in (CANCELLED_UNSTARTED, EXPIRED, UNKNOWN_TASK, UNDECODABLE))
    assert all(v.charged for v in (SUCCEEDED, UNSTORABLE, CANCELLED))
