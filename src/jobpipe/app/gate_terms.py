"""What an operator sets of a gate, read and checked: numbers, rates, what a failure means."""

from __future__ import annotations

from typing import Any, get_args

import msgspec

from jobpipe.model.gate import ConcurrencyTerms, GateKind, GroupTerms, OnFailure, RateTerms, Terms
from jobpipe.policy.gates import usual_burst
from jobpipe.tasks.gates import MAX_N, parse_rate
from jobpipe.tasks.options import refusal
from jobpipe.tasks.spec import is_whole

OF_QUEUE = "queue:"
"""How the keys begin that belong to the limits of queues."""

COUNT_ALLOWED = f"a whole number from 1 to {MAX_N}"
RATE_ALLOWED = f"a number from 1 to {MAX_N} and a span, such as `100/1m`, `5/s` or `1/90s`"


def override(kind: GateKind, limit: object, burst: object) -> str | None:
    """Return the terms as JSON, or None; raises InvalidArguments."""
    if burst is not None and (kind is not GateKind.RATE or limit is None):
        raise refusal("burst", burst, "nothing: a burst belongs to a rate")
    if limit is None:
        return None
    return msgspec.json.encode(_terms(kind, limit, burst)).decode()


def rate(limit: object, burst: object = None) -> RateTerms:
    """Return the terms of a rate as people write it; raises InvalidArguments."""
    read = parse_rate(limit) if isinstance(limit, str) else None
    if read is None:
        raise refusal("rate", limit, RATE_ALLOWED)
    n, per_us = read
    if burst is not None and not is_whole(burst, 1, MAX_N):
        raise refusal("burst", burst, COUNT_ALLOWED)
    return RateTerms(n, per_us, usual_burst(n, per_us) if burst is None else int(str(burst)))


def count(limit: Any) -> ConcurrencyTerms:
    """Return the terms of a concurrency; raises InvalidArguments."""
    if not is_whole(limit, 1, MAX_N):
        raise refusal("concurrency", limit, COUNT_ALLOWED)
    return ConcurrencyTerms(limit)


def _terms(kind: GateKind, limit: object, burst: object) -> Terms:
    match kind:
        case GateKind.CONCURRENCY:
            return count(limit)
        case GateKind.RATE:
            return rate(limit, burst)
        case GateKind.GROUP:
            if limit not in get_args(OnFailure):
                raise refusal("on_failure", limit, ", ".join(get_args(OnFailure)))
            return msgspec.convert({"on_failure": limit}, GroupTerms)
