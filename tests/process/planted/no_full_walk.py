"""Claims never look below the frontier of a second ago."""

from __future__ import annotations

from collections.abc import Iterable

from jobpipe.model.job import Lane
from jobpipe.policy.frontier import Frontier, Walk


def lagged_at_most(self: Frontier, lanes: Iterable[Lane], now: float) -> Walk:
    return Walk.LAGGED if now >= self._lagged_at else Walk.NEAR


def plant() -> None:
    Frontier.next_walk = lagged_at_most  # type: ignore[method-assign]
