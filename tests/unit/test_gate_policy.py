"""When gates open: the cell rate algorithm, and what counts as held."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobpipe.model.gate import ConcurrencyTerms, GateKind, GroupTerms, RateTerms
from jobpipe.policy.gates import (
    UNBOUNDED,
    Gate,
    Hold,
    Room,
    available,
    let_in,
    room,
    taken,
    token_at,
    usual_burst,
    within,
)

SECOND = 1_000_000


def rate(**fields: int) -> Gate:
    return Gate(GateKind.RATE, RateTerms(2, SECOND, 3), **fields)


def test_a_rate_lets_a_burst_through_and_then_one_for_each_token() -> None:
    terms = RateTerms(2, SECOND, 3)
    assert available(terms, 0, 10 * SECOND) == 3
    full_at = 0
    for expected in (10_500_000, 11_000_000, 11_500_000):
        full_at = taken(terms, full_at, 10 * SECOND)
        assert full_at == expected
    assert available(terms, full_at, 10 * SECOND) == 0
    assert token_at(terms, full_at, 1) == 10_500_000
    assert token_at(terms, full_at, 3) == 11_500_000
    assert available(terms, full_at, 10_499_999) == 0
    assert available(terms, full_at, 10_500_000) == 1
    assert available(terms, full_at, 60 * SECOND) == 3


@pytest.mark.parametrize("burst, lost_us", [(1, 200_000), (2, 0)])
def test_a_late_start_loses_nothing_where_the_burst_is_more_than_one(
    burst: int, lost_us: int
) -> None:
    terms, full_at, at = RateTerms(2, SECOND, burst), 0, 10 * SECOND
    for _ in range(11):  # each 20 ms late
        full_at = taken(terms, full_at, at)
        at = token_at(terms, full_at, 1) + 20_000
    steps = 11 - (burst - 1)  # what comes beside the burst
    assert at - 20_000 - 10 * SECOND == steps * SECOND // 2 + lost_us


def test_what_has_not_started_keeps_its_token() -> None:
    assert room(rate(owed=2), 10 * SECOND) == Room(1)
    assert room(rate(owed=3), 10 * SECOND).n == 0  # however long they wait
    assert room(rate(owed=5), 10 * SECOND).n == 0
    assert room(rate(full_at=11_500_000), 10 * SECOND) == Room(0, 10_500_000)
    assert room(rate(full_at=11_500_000, owed=1), 10 * SECOND) == Room(0, 11_000_000)


@pytest.mark.parametrize(
    "n, burst, pause_us",
    [(10, 1, 100_000), (10, 2, 100_000), (10, 3, 100_000), (1_000, 100, 50_000)],
)
def test_whoever_keeps_all_tokens_is_looked_at_for_a_second(
    n: int, burst: int, pause_us: int
) -> None:
    """Half of the burst comes meanwhile, and one token at least."""
    gate = Gate(GateKind.RATE, RateTerms(n, SECOND, burst), full_at=10 * SECOND, owed=burst)
    for now in (9_900_000, 10_000_000, 10_999_999):
        assert room(gate, now) == Room(0, look_at=now + pause_us)
    assert room(gate, 11 * SECOND) == Room(0)


def test_with_the_last_token_it_shows_since_when_nobody_has_taken_one() -> None:
    assert let_in(rate(owed=2), 10 * SECOND) == 0
    assert let_in(rate(owed=3), 10 * SECOND) == 10 * SECOND
    assert let_in(rate(owed=3, full_at=11 * SECOND), 10 * SECOND) == 11 * SECOND
    slots = Gate(GateKind.CONCURRENCY, ConcurrencyTerms(1), owed=1)
    assert let_in(slots, 10 * SECOND) == 0


def test_a_bucket_is_full_when_its_own_terms_fill_it() -> None:
    hourly, quick = RateTerms(1, 3_600 * SECOND, 1), RateTerms(100, SECOND, 10)
    full_at = taken(hourly, 0, 10 * SECOND)
    assert within(hourly, full_at, 10 * SECOND) == full_at == 3_610 * SECOND
    assert within(quick, full_at, 10 * SECOND) == 10_100_000
    assert within(quick, 5, 10 * SECOND) == 5


@given(
    n=st.integers(1, 5_000),
    per_us=st.integers(1_000, 3_600_000_000),
    burst=st.integers(1, 50),
    steps=st.lists(st.tuples(st.integers(0, 10_000_000), st.integers(1, 60)), max_size=60),
)
def test_no_span_of_time_has_more_than_its_tokens_and_the_burst(
    n: int, per_us: int, burst: int, steps: list[tuple[int, int]]
) -> None:
    terms, now, full_at = RateTerms(n, per_us, burst), 1_000_000_000, 0
    passed: list[tuple[int, int]] = []
    for pause, wanted in steps:
        now += pause
        tokens = min(wanted, available(terms, full_at, now))
        for _ in range(tokens):
            full_at = taken(terms, full_at, now)
        if tokens:
            passed.append((now, tokens))
    for index, (start, _) in enumerate(passed):
        total = 0
        for at, tokens in passed[index:]:
            total += tokens
            assert total <= burst + (at - start) * n / per_us + 1e-6


def test_the_usual_burst_is_what_comes_in_a_tenth_of_a_second() -> None:
    assert usual_burst(1_000, SECOND) == 100
    assert usual_burst(100, 60 * SECOND) == 2
    assert usual_burst(5, SECOND) == 2
    assert usual_burst(1, SECOND) == 1
    assert usual_burst(1, 3_600 * SECOND) == 1


def test_concurrency_counts_what_is_queued_or_runs() -> None:
    hold = Hold(queued=1, running=2, waiting=9, failed=9)
    assert room(Gate(GateKind.CONCURRENCY, ConcurrencyTerms(5), hold), 0) == Room(2)
    assert room(Gate(GateKind.CONCURRENCY, ConcurrencyTerms(2), hold), 0) == Room(0)
    assert room(Gate(GateKind.CONCURRENCY, None, hold), 0) == Room(UNBOUNDED)


def test_a_group_has_room_for_one_and_may_stand_after_a_failure() -> None:
    def of(on_failure: str, **hold: int) -> Gate:
        return Gate(GateKind.GROUP, GroupTerms(on_failure), Hold(**hold))  # type: ignore[arg-type]

    assert room(of("skip"), 0) == Room(1)
    for held in ("queued", "running", "waiting"):
        assert room(of("skip", **{held: 1}), 0) == Room(0)
    assert room(of("skip", failed=1), 0) == Room(1)
    assert room(of("fail", failed=1), 0) == Room(1)
    assert room(of("block", failed=1), 0) == Room(0)


def test_a_gate_that_is_paused_or_shut_says_when_it_opens() -> None:
    terms = ConcurrencyTerms(5)
    assert room(Gate(GateKind.CONCURRENCY, terms, is_paused=True), 0) == Room(0)
    paused = Gate(GateKind.CONCURRENCY, terms, is_paused=True, paused_until=9)
    assert room(paused, 5) == Room(0, 9)
    assert room(Gate(GateKind.RATE, None, shut_until=9), 5) == Room(0, 9)
    assert room(Gate(GateKind.RATE, None, shut_until=9), 9) == Room(UNBOUNDED)
