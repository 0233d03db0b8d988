"""What becomes of a job that was running when its worker process died. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from jobpipe.model.state import Reason, State
from jobpipe.policy.outcome import CANCELLED, Outcome, Verdict
from jobpipe.policy.retry import RetryDelays, delay_us

OnLoss: TypeAlias = Literal["retry", "fail"]

LOST = Verdict(Outcome.LOST, State.FAILED, Reason.LOST)
EXHAUSTED = Verdict(Outcome.FAILED, State.FAILED, Reason.ATTEMPTS_EXHAUSTED)


def of_death(
    *,
    alone: bool,
    cancel_requested: bool,
    on_loss: OnLoss,
    attempt: int,
    max_attempts: int,
    delays: RetryDelays,
    uniform: Callable[[float], float],
) -> Verdict | None:
    """Judge a started job; None: it is a suspect among several, to run again uncharged.

    ``alone`` tells that nothing else ran in the process, so that it is the culprit.
    """
    if cancel_requested:
        return CANCELLED
    if on_loss == "fail":  # nobody knows how far it came, and it must not run twice
        return LOST
    if not alone:
        return None
    if attempt >= max_attempts:
        return EXHAUSTED
    wait = delay_us(delays, max(1, attempt), uniform)
    return Verdict(Outcome.FAILED, State.RETRYING, delay_us=wait)
