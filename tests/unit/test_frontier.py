"""Where a claim begins to look in each lane."""

from __future__ import annotations

from jobpipe.model.job import Lane
from jobpipe.policy.frontier import LAGGED_EVERY_SECONDS, Frontier, Walk

A, B = Lane("a", 0), Lane("b", 0)
LANES = (A, B)


def walked(frontier: Frontier, now: float = 0.0, took: float = 0.0) -> Frontier:
    frontier.walked_fully(LANES, now, now + took)
    return frontier


def test_the_first_walk_is_a_full_one_and_starts_at_nothing() -> None:
    frontier = Frontier(1.0)
    frontier.claimed(A, 9)
    assert frontier.next_walk(LANES, 0.0) is Walk.FULL
    assert frontier.starts(Walk.FULL, 0.0) == {}


def test_after_a_full_walk_come_lagged_and_near_ones_until_the_next() -> None:
    frontier = walked(Frontier(1.0))
    assert frontier.next_walk(LANES, 0.0) is Walk.LAGGED
    frontier.starts(Walk.LAGGED, 0.0)
    assert frontier.next_walk(LANES, 0.0) is Walk.NEAR
    assert frontier.next_walk(LANES, LAGGED_EVERY_SECONDS) is Walk.LAGGED
    assert frontier.next_walk(LANES, 0.999) is not Walk.FULL
    assert frontier.next_walk(LANES, 1.0) is Walk.FULL


def test_a_slow_full_walk_is_rare() -> None:
    """At most a fiftieth of the time: 0.1 s allow the next one five seconds later."""
    frontier = walked(Frontier(1.0), took=0.1)
    assert frontier.next_walk(LANES, 5.0) is not Walk.FULL
    assert frontier.next_walk(LANES, 5.2) is Walk.FULL


def test_a_lane_that_was_not_walked_has_its_full_walk_still_before_it() -> None:
    frontier = Frontier(1.0)
    frontier.walked_fully([A], 0.0, 0.0)
    assert frontier.next_walk([A], 0.0) is not Walk.FULL
    assert frontier.next_walk([B], 0.0) is Walk.FULL


def test_forgotten_walks_are_made_anew() -> None:
    frontier = walked(Frontier(1.0))
    frontier.forget_walks()
    assert frontier.next_walk(LANES, 0.0) is Walk.FULL


def test_near_starts_beyond_all_that_was_seen_claimed() -> None:
    frontier = Frontier(1.0)
    frontier.claimed(A, 5)
    frontier.claimed(A, 3)
    frontier.claimed(B, 1)
    assert frontier.starts(Walk.NEAR, 0.0) == {A: 5, B: 1}


def test_lagged_starts_where_the_frontier_stood_a_second_ago() -> None:
    frontier = Frontier(1.0)
    frontier.claimed(A, 5)
    assert frontier.starts(Walk.LAGGED, 0.0) == {A: 0}
    frontier.claimed(A, 50)
    assert frontier.starts(Walk.LAGGED, 0.5) == {A: 0}
    frontier.claimed(A, 500)
    assert frontier.starts(Walk.LAGGED, 1.0) == {A: 5}
    assert frontier.starts(Walk.LAGGED, 1.4) == {A: 5}
    assert frontier.starts(Walk.LAGGED, 1.6) == {A: 50}


def test_a_job_queued_below_the_frontier_lowers_it() -> None:
    frontier = Frontier(1.0)
    frontier.claimed(A, 50)
    frontier.lower(A, 60)
    assert frontier.starts(Walk.NEAR, 0.0) == {A: 50}
    frontier.lower(A, 50)
    assert frontier.starts(Walk.NEAR, 0.0) == {A: 49}
    frontier.lower(A, 7)
    assert frontier.starts(Walk.NEAR, 0.0) == {A: 6}
    frontier.lower(B, 7)
    assert frontier.starts(Walk.NEAR, 0.0) == {A: 6}


def test_what_others_have_seen_is_taken_over_and_published() -> None:
    frontier = Frontier(1.0)
    frontier.claimed(A, 5)
    frontier.adopt({A: 3, B: 9})
    assert frontier.published() == {A: 5, B: 9}
