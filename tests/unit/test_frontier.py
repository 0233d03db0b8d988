"""Where a claim begins to look in each lane."""

from __future__ import annotations

from jobpipe.model.job import Lane
from jobpipe.policy.frontier import LAGGED_EVERY_SECONDS, SLICE_SECONDS, Frontier, Walk

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


def slow(frontier: Frontier, newest: int) -> Frontier:
    """Let a full walk up to a rank take four times as long as a slice should."""
    frontier.claimed(A, newest)
    return walked(frontier, took=4 * SLICE_SECONDS)


def test_a_quick_full_walk_is_made_in_one_go() -> None:
    frontier = Frontier(1.0)
    frontier.claimed(A, 40_000)
    assert walked(frontier, took=SLICE_SECONDS).next_slice([A]) == {}


def test_a_slow_full_walk_is_made_in_slices_each_after_its_share_of_the_time() -> None:
    frontier = slow(Frontier(1.0), 40_000)
    assert frontier.next_slice(LANES) == {A: (0, 10_000)}
    at = 100.0
    for after in (0, 10_000, 20_000):
        spans = frontier.next_slice(LANES)
        assert spans == {A: (after, after + 10_000)}
        frontier.walked_slice(LANES, spans, at, at + SLICE_SECONDS / 2)
        assert frontier.next_walk(LANES, at + 0.5) is not Walk.FULL
        at += 0.6  # half a slice's time is a fiftieth of half a second
        assert frontier.next_walk(LANES, at) is Walk.FULL
    spans = frontier.next_slice(LANES)
    assert spans == {A: (30_000, 40_000)}
    frontier.walked_slice(LANES, spans, at, at)
    assert frontier.next_walk(LANES, at + 0.9) is not Walk.FULL
    assert frontier.next_walk(LANES, at + 1.0) is Walk.FULL
    assert frontier.next_slice(LANES)[A][0] == 0


def test_a_walk_in_slices_goes_up_to_where_the_frontier_stood_when_it_began() -> None:
    frontier = slow(Frontier(1.0), 40_000)
    first = frontier.next_slice([A])
    frontier.claimed(A, 80_000)
    frontier.walked_slice([A], first, 0.0, SLICE_SECONDS)
    for after in (10_000, 20_000, 30_000):
        spans = frontier.next_slice([A])
        assert spans == {A: (after, after + 10_000)}
        frontier.walked_slice([A], spans, 0.0, SLICE_SECONDS)
    assert frontier.next_slice([A]) == {A: (0, 10_000)}


def test_slices_grow_while_they_are_quick_and_shrink_when_they_are_slow() -> None:
    frontier = slow(Frontier(1.0), 400_000)
    spans = frontier.next_slice([A])
    assert spans == {A: (0, 100_000)}
    frontier.walked_slice([A], spans, 0.0, SLICE_SECONDS * 1.5)
    assert frontier.next_slice([A]) == {A: (100_000, 150_000)}
    frontier.walked_slice([A], frontier.next_slice([A]), 0.0, 0.0)
    assert frontier.next_slice([A]) == {A: (150_000, 250_000)}


def test_a_slice_in_which_something_was_found_is_looked_at_again_after_its_share() -> None:
    frontier = slow(Frontier(1.0), 40_000)
    spans = frontier.next_slice([A])
    frontier.walked_slice([A], {}, 50.0, 50.01)
    assert frontier.next_walk([A], 50.4) is not Walk.FULL
    assert frontier.next_walk([A], 50.6) is Walk.FULL
    assert frontier.next_slice([A]) == spans


def test_one_quick_slice_over_everything_ends_the_slicing() -> None:
    frontier = slow(Frontier(1.0), 1_000)
    frontier.walked_slice([A], frontier.next_slice([A]), 0.0, 0.001)
    assert frontier.next_slice([A]) == {}


def test_a_lane_never_claimed_from_is_walked_in_one_go_and_later_in_slices() -> None:
    frontier = slow(Frontier(1.0), 40_000)
    assert frontier.next_slice([B]) == {}
    frontier.walked_fully([B], 0.0, 0.0)
    frontier.claimed(B, 7)
    assert frontier.next_slice([B]) == {B: (0, 7)}


def test_a_walk_that_was_asked_for_is_made_in_one_go() -> None:
    frontier = slow(Frontier(1.0), 40_000)
    frontier.next_slice([A])
    frontier.forget_walks()
    assert frontier.next_walk([A], 0.0) is Walk.FULL
    assert frontier.next_slice([A]) == {}


def test_who_shares_a_frontier_may_come_late_to_the_end_of_a_walk_in_slices() -> None:
    frontier = slow(Frontier(1.0), 40_000)
    first = frontier.next_slice([A])
    frontier.walked_slice([A], first, 0.0, 0.0)
    last = frontier.next_slice([A])
    frontier.walked_slice([A], {A: (20_000, 40_000)}, 0.0, 0.0)
    frontier.walked_slice([A], last, 0.0, 50.0)
    assert frontier.next_walk([A], 2.0) is Walk.FULL
    assert frontier.next_slice([A])[A][0] == 0
