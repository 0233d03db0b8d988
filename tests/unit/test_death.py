"""The verdict on a job that was running when its worker process died."""

from __future__ import annotations

from typing import Any

import pytest

from jobpipe.model.state import Reason, State
from jobpipe.policy.death import of_death
from jobpipe.policy.outcome import CANCELLED, Outcome, Verdict
from jobpipe.policy.retry import ExponentialDelays, ListDelays


def judged(**changed: Any) -> Verdict | None:
    given: dict[str, Any] = {
        "alone": True,
        "cancel_requested": False,
        "on_loss": "retry",
        "attempt": 2,
        "max_attempts": 3,
        "delays": ListDelays((5.0, 60.0)),
        "uniform": lambda ceiling: ceiling / 2,
    }
    return of_death(**{**given, **changed})


def test_alone_it_is_tried_again_after_its_delay() -> None:
    again = Verdict(Outcome.FAILED, State.RETRYING, delay_us=60_000_000)
    assert judged() == again
    assert judged(attempt=1) == Verdict(Outcome.FAILED, State.RETRYING, delay_us=5_000_000)
    jittered = judged(delays=ExponentialDelays(4.0, 600.0))
    assert jittered == Verdict(Outcome.FAILED, State.RETRYING, delay_us=4_000_000)


@pytest.mark.parametrize("attempt", [3, 4])
def test_alone_at_its_last_attempt_it_fails(attempt: int) -> None:
    exhausted = Verdict(Outcome.FAILED, State.FAILED, Reason.ATTEMPTS_EXHAUSTED)
    assert judged(attempt=attempt) == exhausted


def test_beside_others_it_is_not_judged() -> None:
    assert judged(alone=False) is None
    assert judged(alone=False, attempt=3) is None


@pytest.mark.parametrize("alone", [True, False])
def test_what_must_not_run_twice_is_lost(alone: bool) -> None:
    lost = Verdict(Outcome.LOST, State.FAILED, Reason.LOST)
    assert judged(alone=alone, on_loss="fail") == lost


@pytest.mark.parametrize("alone", [True, False])
def test_what_was_to_be_cancelled_is(alone: bool) -> None:
    assert judged(alone=alone, cancel_requested=True) == CANCELLED
    assert judged(alone=alone, cancel_requested=True, on_loss="fail") == CANCELLED
