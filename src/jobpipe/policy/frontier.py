"""From which rank a claim walks each lane: near, lagged or full. Pure; time is passed in.

Ranks come from a sequence when a job becomes queued, so claims move up along each lane. A walk
that starts beyond what has been claimed does not step over dead index entries, which a pinned
snapshot may keep for hours. What it may miss (a transaction that committed late, a job given back
below the frontier whose hint was lost) the lagged and the full walks find.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from enum import Enum

from jobpipe.model.job import Lane

LAG_SECONDS = 1.0
"""The lagged walk starts where the frontier stood this long ago."""

LAGGED_EVERY_SECONDS = 0.25

FULL_SHARE = 0.02
"""Largest share of the time that the full walks of one lane may take."""


class Walk(Enum):
    """How far down a claim looks."""

    NEAR = "near"
    LAGGED = "lagged"
    FULL = "full"


class Frontier:
    """The highest rank seen claimed, per lane."""

    def __init__(self, full_every_seconds: float) -> None:
        self._full_every = full_every_seconds
        self._ranks: dict[Lane, int] = {}
        self._past: deque[tuple[float, dict[Lane, int]]] = deque()
        self._lagged_at = float("-inf")
        self._full_at: dict[Lane, float] = {}
        """Per lane: a worker that asks for its queues one by one walks each fully in its turn."""

    def next_walk(self, lanes: Iterable[Lane], now: float) -> Walk:
        """Say which walk of these lanes is due (seconds on a monotonic clock)."""
        if any(now >= self._full_at.get(lane, float("-inf")) for lane in lanes):
            return Walk.FULL
        return Walk.LAGGED if now >= self._lagged_at else Walk.NEAR

    def starts(self, walk: Walk, now: float) -> Mapping[Lane, int]:
        """Return per lane the rank beyond which this walk looks."""
        if walk is Walk.NEAR:
            return self._ranks
        if walk is Walk.FULL:
            return {}
        self._lagged_at = now + LAGGED_EVERY_SECONDS
        self._past.append((now, dict(self._ranks)))
        while len(self._past) > 1 and self._past[1][0] <= now - LAG_SECONDS:
            self._past.popleft()
        then, ranks = self._past[0]
        return ranks if then <= now - LAG_SECONDS else dict.fromkeys(ranks, 0)

    def walked_fully(self, lanes: Iterable[Lane], began: float, ended: float) -> None:
        """Note what a full walk took, so that the next keeps to its share of the time."""
        full_at = ended + max(self._full_every, (ended - began) / FULL_SHARE)
        self._full_at.update(dict.fromkeys(lanes, full_at))

    def forget_walks(self) -> None:
        """Make the next walk of every lane a full one."""
        self._full_at.clear()

    def claimed(self, lane: Lane, rank: int) -> None:
        self._ranks[lane] = max(rank, self._ranks.get(lane, 0))

    def lower(self, lane: Lane, rank: int) -> None:
        """A job was queued at this rank: look there again."""
        if self._ranks.get(lane, 0) >= rank:
            self._ranks[lane] = rank - 1

    def adopt(self, others: Mapping[Lane, int]) -> None:
        """Take over what other workers have seen claimed."""
        for lane, rank in others.items():
            self.claimed(lane, rank)

    def published(self) -> dict[Lane, int]:
        """Return the frontier as it is, for the heartbeat."""
        return dict(self._ranks)
