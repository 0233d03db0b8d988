"""What was asked before all walks were forgotten says nothing of what is queued afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from jobpipe.model.job import Claimed, Lane
from jobpipe.policy.frontier import SLICE_SECONDS, Frontier, Walk
from jobpipe.runtime import walks
from jobpipe.runtime.walks import Walks
from jobpipe.store.ops.left_behind import Left
from jobpipe.store.port import Capabilities

A = Lane("a", 0)
STORE = Capabilities(dialect="x", frontier=True, peek=False, exclusive_writer=False, shared=True)
FAR = 1e12
"""Seconds: later than any pause."""


class Store:
    """All walks are forgotten while it is asked what was left behind."""

    capabilities = STORE

    def __init__(self, frontier: Frontier, left: Mapping[Lane, Left]) -> None:
        self._frontier, self._left = frontier, left

    async def run(self, _operation: object) -> Mapping[Lane, Left]:
        self._frontier.forget_walks()
        return self._left


def test_a_look_counts_as_a_full_walk() -> None:
    frontier = Frontier(FAR)
    asked = walks.question(STORE, frontier, [A])
    assert asked is not None
    assert asked.walk is Walk.FULL
    walks.answered(frontier, asked)
    assert frontier.next_walk([A], 0.0) is not Walk.FULL


def test_a_look_that_began_before_is_no_full_walk() -> None:
    frontier = Frontier(FAR)
    asked = walks.question(STORE, frontier, [A])
    assert asked is not None
    frontier.forget_walks()
    walks.answered(frontier, asked)
    assert frontier.next_walk([A], 0.0) is Walk.FULL


def test_a_claim_that_began_before_is_no_full_walk() -> None:
    frontier = Frontier(FAR)
    assert claimed(frontier, {}) == [{}]
    assert frontier.next_walk([A], 0.0) is Walk.FULL


@pytest.mark.parametrize("left", [{}, {A: Left(rank=7, count=1)}])
def test_a_slice_that_began_before_is_none(left: Mapping[Lane, Left]) -> None:
    frontier = Frontier(0.0)
    frontier.claimed(A, 1_000)
    frontier.walked_fully([A], -100.0, -100.0 + 4 * SLICE_SECONDS)
    assert frontier.next_slice([A]) == {A: (0, 1_000)}
    looks_back = [{A: 6}] if left else []
    assert claimed(frontier, left) == [*looks_back, {A: 1_000}, {A: 0}]
    assert frontier.next_walk([A], 0.0) is Walk.FULL


def claimed(frontier: Frontier, left: Mapping[Lane, Left]) -> list[dict[Lane, int]]:
    """Make a claim that finds nothing; return from which ranks on it looked."""
    looks = []

    async def take(
        _lanes: Sequence[Lane], _limit: int, after: Mapping[Lane, int]
    ) -> Sequence[Claimed]:
        looks.append(dict(after))
        if not after:
            frontier.forget_walks()
        return []

    claiming = Walks(Store(frontier, left), frontier, take)  # type: ignore[arg-type]
    assert asyncio.run(claiming.claim([A], 10)) == []
    assert frontier.forgotten == 1
    return looks
