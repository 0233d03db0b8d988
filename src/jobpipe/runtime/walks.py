"""Claims along lanes from a frontier: near, lagged or full, as ``policy/frontier.py`` says."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from jobpipe.model.job import Claimed, Lane
from jobpipe.policy.frontier import Frontier, Spans, Walk
from jobpipe.store.ops import claim as ops
from jobpipe.store.ops.left_behind import left_behind
from jobpipe.store.port import AsyncStore, Capabilities

Take = Callable[[Sequence[Lane], int, Mapping[Lane, int]], Awaitable[Sequence[Claimed]]]
"""Claims at most so many jobs of the lanes beyond their ranks; returns them by rank."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a look asks in the place of an idle claimer: is something queued beyond these ranks?"""

    after: Mapping[Lane, int]
    walk: Walk
    began: float
    forgotten: int
    """How often the frontier's walks had been forgotten."""


class Walks:
    """The walks of one claimer; several may share a frontier."""

    def __init__(self, store: AsyncStore, frontier: Frontier, take: Take) -> None:
        self.was_short = True
        """The last answer was shorter than the claim asked for."""
        self._store = store
        self._frontier = frontier
        self._take = take

    async def claim(self, lanes: Sequence[Lane], limit: int) -> Sequence[Claimed]:
        """Claim at most ``limit`` jobs; raises StoreUnavailable."""
        if self._store.capabilities.peek and self.was_short:
            self.was_short = not await self._store.run(ops.peek(lanes))
            if self.was_short:
                return []
        if not self._store.capabilities.frontier:
            return await self._walk(lanes, limit, {})
        began, forgotten = time.monotonic(), self._frontier.forgotten
        walk = self._frontier.next_walk(lanes, began)
        if walk is Walk.FULL and (spans := self._frontier.next_slice(lanes)):
            jobs = await self._look_back(lanes, spans, limit)
            if jobs:
                self.was_short = False  # nobody has looked beyond the frontier yet
                return jobs
            walk, began = Walk.NEAR, time.monotonic()
        jobs = await self._walk(lanes, limit, self._frontier.starts(walk, began))
        if not jobs and walk is Walk.NEAR:
            walk = Walk.LAGGED
            jobs = await self._walk(lanes, limit, self._frontier.starts(walk, began))
        if walk is Walk.FULL and self._frontier.forgotten == forgotten:
            self._frontier.walked_fully(lanes, began, time.monotonic())
        return jobs

    def near(self, lanes: Sequence[Lane], now: float) -> Mapping[Lane, int] | None:
        """Return per lane the rank beyond which a near walk looks; None: another walk is due."""
        has_frontier = self._store.capabilities.frontier
        if has_frontier and self._frontier.next_walk(lanes, now) is not Walk.NEAR:
            return None
        return self.newest(now)

    def newest(self, now: float) -> Mapping[Lane, int]:
        """Return per lane the highest rank that was seen claimed: what is let in goes beyond."""
        if not self._store.capabilities.frontier:
            return {}
        return dict(self._frontier.starts(Walk.NEAR, now))

    def took(self, jobs: Sequence[Claimed]) -> None:
        """Take over what a near walk of somebody else has claimed."""
        for (queue, priority), rank in _last_ranks(jobs).items():
            self._frontier.claimed(Lane(queue, priority), rank)

    async def _look_back(
        self, lanes: Sequence[Lane], spans: Spans, limit: int
    ) -> Sequence[Claimed]:
        """Claim what all claims have passed, as far as a slice of a full walk goes."""
        began, forgotten = time.monotonic(), self._frontier.forgotten
        left = await self._store.run(left_behind(spans, limit))
        jobs: Sequence[Claimed] = []
        if left:
            limit = min(limit, sum(found.count for found in left.values()))
            after = {lane: left[lane].rank - 1 for lane in lanes if lane in left}
            jobs = await self._walk(list(after), limit, after)
        if self._frontier.forgotten == forgotten:
            self._frontier.walked_slice(lanes, {} if left else spans, began, time.monotonic())
        return jobs

    async def _walk(
        self, lanes: Sequence[Lane], limit: int, after: Mapping[Lane, int]
    ) -> Sequence[Claimed]:
        jobs = await self._take(lanes, limit, after)
        self.was_short = ops.is_last_word(jobs, limit)
        self.took(jobs)
        return jobs


def question(
    capabilities: Capabilities, frontier: Frontier, lanes: Sequence[Lane]
) -> Question | None:
    """Return what a look is to ask about the lanes; None: a full walk has to be made in slices."""
    began = time.monotonic()
    if not capabilities.frontier:
        return Question(dict.fromkeys(lanes, 0), Walk.NEAR, began, frontier.forgotten)
    walk = frontier.next_walk(lanes, began)
    if walk is Walk.FULL and frontier.next_slice(lanes):
        return None
    if walk is Walk.NEAR:
        walk = Walk.LAGGED
    starts = frontier.starts(walk, began)
    after = {lane: starts.get(lane, 0) for lane in lanes}
    return Question(after, walk, began, frontier.forgotten)


def answered(frontier: Frontier, asked: Question) -> None:
    """Note that a look has asked this."""
    if asked.walk is Walk.FULL and asked.forgotten == frontier.forgotten:
        frontier.walked_fully(asked.after, asked.began, time.monotonic())


def _last_ranks(jobs: Sequence[Claimed]) -> dict[tuple[str, int], int]:
    """Return the highest rank of each lane: the last one, since a claim lists them by rank."""
    return {(job.queue, job.priority): job.rank for job in jobs}
