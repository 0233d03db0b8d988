"""From which rank a claim walks each lane: near, lagged or full. Pure; time is passed in.

Ranks come from a sequence when a job becomes queued, so claims move up along each lane. A walk
that starts beyond what has been claimed does not step over dead index entries, which a pinned
snapshot may keep for hours. What it may miss (a transaction that committed late, a job given back
below the frontier whose hint was lost) the lagged and the full walks find. A full walk that takes
long is made in slices, so that no claim waits for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from enum import Enum

from jobpipe.model.job import Lane

LAG_SECONDS = 1.0
"""The lagged walk starts where the frontier stood this long ago."""

LAGGED_EVERY_SECONDS = 0.25

FULL_SHARE = 0.02
"""Largest share of the time that the full walks of one lane may take."""

SLICE_SECONDS = 0.02
"""What a slice of a full walk should take; one that takes no longer is made in one go."""

LEAST_SLICE = 1_000
"""Ranks."""

Spans = Mapping[Lane, tuple[int, int]]
"""Per lane a stretch of ranks: beyond the first, up to and with the second."""


class Walk(Enum):
    """How far down a claim looks."""

    NEAR = "near"
    LAGGED = "lagged"
    FULL = "full"


class Frontier:
    """The highest rank seen claimed, per lane."""

    def __init__(self, full_every_seconds: float) -> None:
        self.forgotten = 0
        """How often all walks were forgotten: one that began before counts for nothing."""
        self._full_every = full_every_seconds
        self._ranks: dict[Lane, int] = {}
        self._past: deque[tuple[float, dict[Lane, int]]] = deque()
        self._lagged_at = float("-inf")
        self._full_at: dict[Lane, float] = {}
        """Per lane: a worker that asks for its queues one by one walks each fully in its turn."""
        self._slice: int | None = None
        """How many ranks a slice has; None: full walks are quick, and made in one go."""
        self._passed: dict[Lane, int] = {}
        """Up to which rank the slices of a walk under way have come, and up to which they go."""
        self._goals: dict[Lane, int] = {}

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

    def walked_fully(self, lanes: Collection[Lane], began: float, ended: float) -> None:
        """Note what a full walk took, so that the next keeps to its share of the time."""
        took = ended - began
        full_at = ended + max(self._full_every, took / FULL_SHARE)
        self._full_at.update(dict.fromkeys(lanes, full_at))
        self._forget_slices(lanes)
        if took > SLICE_SECONDS:
            newest = max(self._ranks.values(), default=0)
            self._slice = max(LEAST_SLICE, round(newest * SLICE_SECONDS / took))

    def next_slice(self, lanes: Iterable[Lane]) -> dict[Lane, tuple[int, int]]:
        """Return beyond and up to which ranks a full walk is to look next for what was passed.

        Nothing: it is to be made in one go.
        """
        if self._slice is None:
            return {}
        spans = {}
        for lane in lanes:
            passed = self._passed.setdefault(lane, 0)
            goal = self._goals.setdefault(lane, self._ranks.get(lane, 0))
            if passed < goal:
                spans[lane] = passed, min(passed + self._slice, goal)
        return spans

    def walked_slice(
        self, lanes: Collection[Lane], spans: Spans, began: float, ended: float
    ) -> None:
        """Note what a look took, and in which spans nothing is left (none: something was found)."""
        if not spans.keys() <= self._goals.keys():
            return  # somebody else who shares the frontier has come to the end of this walk
        took = ended - began
        self._passed.update({lane: until for lane, (_, until) in spans.items()})
        pause = took / FULL_SHARE
        if spans and all(self._passed[lane] >= self._goals[lane] for lane in spans):
            pause = max(pause, self._full_every)
            self._forget_slices(lanes)
        self._full_at.update(dict.fromkeys(lanes, ended + pause))
        if self._slice is None or not spans:
            return
        if took > SLICE_SECONDS:
            self._slice = max(LEAST_SLICE, self._slice // 2)
        elif all(after == 0 and lane not in self._goals for lane, (after, _) in spans.items()):
            self._slice = None
        elif took < SLICE_SECONDS / 4:
            self._slice *= 2

    def forget_walks(self) -> None:
        """Make the next walk of every lane a full one, in one go."""
        self.forgotten += 1
        self._full_at.clear()
        self._forget_slices(list(self._goals))
        self._slice = None

    def _forget_slices(self, lanes: Iterable[Lane]) -> None:
        for lane in lanes:
            self._passed.pop(lane, None)
            self._goals.pop(lane, None)

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
