"""What reports of programs elsewhere come to, and what becomes of jobs that a claim has found."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from jobpipe import Tasks
from jobpipe.model.job import Claimed
from jobpipe.model.signals import Cancel, Fail, Retry, Signal, Snooze
from jobpipe.model.state import Reason, State
from jobpipe.policy.retry import ListDelays
from jobpipe.runtime.referee import Failure, Referee, Report
from jobpipe.store.ops.hand_out import Standing

MAX_PAYLOAD = 2_000


def referee(tasks: Tasks | None = None) -> Referee:
    return Referee((tasks or Tasks()).registry, ListDelays((7.0, 9.0)), MAX_PAYLOAD)


def standing(attempt: int = 1, task: str = "far") -> Standing:
    return Standing(5, 3, State.RUNNING, 8, task, "far", attempt, 3, 1_000, 4_000)


def report(signal: Signal | None = None, **fields: Any) -> Report:
    return Report(id=5, token=3, signal=signal, **fields)


def job(id: int, task: str = "far", **fields: Any) -> Claimed:
    values: dict[str, Any] = {"expired": False, "suspect": False, **fields}
    expired, suspect = values["expired"], values["suspect"]
    return Claimed(id, 1, 1, task, "q", 0, "{}", 3, None, expired, id, 1, None, suspect)


def test_a_result_is_kept_as_json() -> None:
    end = referee().outcome(standing(), report(result={"a": [1, None]}))
    assert (end.id, end.token, end.state, end.result) == (5, 3, State.SUCCEEDED, '{"a":[1,null]}')
    assert end.duration_us == 3_000
    assert referee().outcome(standing(), report()).result is None


def test_a_result_that_is_too_large_fails_the_job() -> None:
    end = referee().outcome(standing(), report(result="x" * MAX_PAYLOAD))
    assert (end.state, end.reason) == (State.FAILED, Reason.UNSTORABLE)
    assert end.error is not None
    assert "at most 2000 are allowed" in end.error


def test_a_task_may_keep_no_results() -> None:
    tasks = Tasks()
    tasks.remote_task("far", store_result=False)
    assert referee(tasks).outcome(standing(), report(result=1)).result is None


@pytest.mark.parametrize(
    "signal, attempt, state, reason, delay_us, charged",
    [
        (Retry(), 1, State.RETRYING, None, 7_000_000, True),
        (Retry(), 2, State.RETRYING, None, 9_000_000, True),
        (Retry(after=0.5), 2, State.RETRYING, None, 500_000, True),
        (Retry(after=0.5), 3, State.FAILED, Reason.ATTEMPTS_EXHAUSTED, None, True),
        (Fail(), 1, State.FAILED, Reason.FATAL, None, True),
        (Snooze(60), 3, State.SCHEDULED, None, 60_000_000, False),
        (Cancel(), 1, State.CANCELLED, Reason.BY_USER, None, True),
    ],
)
def test_signals_come_to_what_they_come_to_in_a_task(
    signal: Signal,
    attempt: int,
    state: State,
    reason: Reason | None,
    delay_us: int | None,
    charged: bool,
) -> None:
    end = referee().outcome(standing(attempt), report(signal))
    assert (end.state, end.reason, end.delay_us, end.charged) == (state, reason, delay_us, charged)


def test_the_delays_of_a_declared_task_count() -> None:
    tasks = Tasks()
    tasks.remote_task("far", retry_delays=[1.5])
    assert referee(tasks).outcome(standing(), report(Retry())).delay_us == 1_500_000


def test_a_failure_is_told_as_it_was_and_shortened() -> None:
    said = Failure("TypeError", "it\x00 failed", "at line 1\n" * 1_000)
    end = referee().outcome(standing(), report(Fail(), failure=said))
    assert end.error is not None
    assert len(end.error) <= MAX_PAYLOAD
    error = msgspec.json.decode(end.error)
    assert (error["type"], error["message"]) == ("TypeError", "it\\x00 failed")
    assert "characters left out" in error["traceback"]


def test_expired_and_unknown_jobs_are_not_handed_out() -> None:
    found = [job(1, expired=True), job(2), job(3, "other")]
    kept = referee().sort(found, frozenset({"far"}), has_jobs=False)
    assert [each.id for each in kept.jobs] == [2]
    assert [(end.id, end.state, end.reason, end.charged) for end in kept.ended] == [
        (1, State.FAILED, Reason.EXPIRED, False),
        (3, State.PARKED, Reason.UNKNOWN_TASK, False),
    ]
    assert kept.back == []
    assert [each.id for each in referee().sort(found, None, has_jobs=False).jobs] == [2, 3]


def test_a_suspect_is_handed_out_alone() -> None:
    suspect, others = job(1, suspect=True), [job(2), job(3)]
    alone = referee().sort([suspect, *others], None, has_jobs=False)
    assert (alone.jobs, alone.back) == ([suspect], others)
    later = referee().sort([others[0], suspect, others[1]], None, has_jobs=False)
    assert (later.jobs, later.back) == (others, [suspect])
    assert referee().sort([suspect], None, has_jobs=True).back == [suspect]
