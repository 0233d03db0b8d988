"""From which note on a round looks, never beyond those that an open transaction may still bring;
and whom it tells of what it let in."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from jobpipe.delivery.hub import Hint, Hub
from jobpipe.model.job import Claimed, Lane
from jobpipe.runtime import admitter
from jobpipe.runtime.admitter import LATE_SECONDS, Admitter
from jobpipe.runtime.bidding import Bidder
from jobpipe.runtime.claimer import Bid
from jobpipe.runtime.lanes import Ask
from jobpipe.runtime.telling import Telling
from jobpipe.store.ops.admit import Admitted
from jobpipe.store.ops.claim import Queued, claim
from tests.unit.test_claimer import job


class Store:
    """Answers with rounds that were thought of before."""

    def __init__(self, rounds: Iterable[Admitted]) -> None:
        self._rounds = iter(rounds)

    async def run(self, _operation: object) -> Admitted:
        return next(self._rounds)


class Time:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr(admitter, "time", time)
    return time


def found(newest: int | None, oldest: int, own: int) -> Admitted:
    facts: dict[str, Any] = {"newest": newest, "oldest": oldest, "own": own}
    return Admitted((), (), is_scheduled=False, more=False, **facts)


def after(*rounds: Admitted) -> Admitter:
    """Return an admitter that has made these rounds, the first one from the beginning."""
    bidder = Bidder(Store(rounds), None)  # type: ignore[arg-type]
    made = Admitter(bidder, Telling(Hub()), 1_000)
    for _ in rounds:
        asyncio.run(made.once())
    return made


@pytest.mark.usefixtures("time")
def test_notes_are_behind_once_all_have_ended_who_may_have_drawn_earlier_ones() -> None:
    assert after(found(7, 50, 60)).ask() == 0
    assert after(found(7, 50, 60), found(9, 50, 70)).ask() == 0  # 50 to 69 may be open
    assert after(found(7, 50, 60), found(9, 50, 70), found(None, 69, 80)).ask() == 0
    assert after(found(7, 50, 60), found(9, 50, 70), found(None, 70, 80)).ask() == 8
    assert after(found(7, 50, 60), found(9, 50, 70), found(None, 80, 80)).ask() == 10


@pytest.mark.usefixtures("time")
def test_where_one_writes_after_the_other_the_last_round_has_seen_all() -> None:
    assert after(found(7, 0, 0), found(None, 0, 0)).ask() == 8


def test_a_transaction_that_stays_open_is_not_waited_for_for_ever(time: Time) -> None:
    rounds = [found(7, 50, 60), found(9, 50, 70)]
    made = after(*rounds)
    made.looked(0, 1_000.0)  # no walk from the beginning meanwhile
    time.now += LATE_SECONDS - 0.1
    assert made.ask() == 0
    time.now += 0.2
    assert made.ask() == 8


class Claims:
    """A claimer that rests, or does not, and is told what was claimed in its place."""

    def __init__(self, *, rests: bool) -> None:
        self.rests = rests
        self.taken: list[int] = []

    def bid_at_rest(self) -> Bid | None:
        return self._bid() if self.rests else None

    def _bid(self) -> Bid:
        return Bid(Ask(()), 5, [], claim(1, [], 5, after={}, done=[]), may_have_more=True)

    async def took(self, _bid: Bid, jobs: list[Claimed] | None) -> None:
        self.taken += [job.id for job in jobs or ()]


@pytest.mark.parametrize("rests, taken", [(True, [1]), (False, [])])
def test_a_round_claims_for_a_claimer_that_has_found_all_there_was(
    rests: bool, taken: list[int]
) -> None:
    hub, heard, claims = Hub(), list[Hint](), Claims(rests=rests)
    hub.subscribe(heard.append)
    lane = Lane("a", 0)
    queued = (Queued(1, lane, 7), Queued(2, lane, 8))
    jobs = [job(1)] if rests else None
    round_ = Admitted(queued, (), is_scheduled=False, more=False, claimed=jobs)
    bidder = Bidder(Store([round_]), claims)  # type: ignore[arg-type]
    asyncio.run(Admitter(bidder, Telling(hub), 1_000).once(claims=True))
    assert claims.taken == taken
    assert heard == [Hint({lane: 8 if rests else 7})]


@pytest.mark.usefixtures("time")
@pytest.mark.parametrize("in_us, pause", [(0, 0.0), (-5, 0.0), (100, 0.001), (600_000, 0.1)])
def test_there_is_more_to_do_only_once_the_time_has_come(in_us: int, pause: float) -> None:
    made = Admitter(Bidder(Store(()), None), Telling(Hub()), 1_000)  # type: ignore[arg-type]
    round_ = Admitted((), (), is_scheduled=False, more=False, next_in_us=in_us)
    assert made.answered(Time.now - 1.0, round_) == pytest.approx(pause)


def test_a_round_that_the_store_refuses_tells_the_error_of_the_store() -> None:
    class Refusing:
        async def run(self, _operation: object) -> Admitted:
            raise ValueError("a bad row")

    bidder = Bidder(Refusing(), None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a bad row"):
        asyncio.run(Admitter(bidder, Telling(Hub()), 1_000).once())


@pytest.mark.usefixtures("time")
@pytest.mark.parametrize(
    "taken, told",
    [
        ([], [Hint({Lane("a", 0): 7, Lane("b", 0): 8})]),
        ([1], [Hint({Lane("a", 0): 9, Lane("b", 0): 8})]),
        ([1, 3], [Hint({Lane("b", 0): 8})]),
        ([1, 2, 3], []),
    ],
)
def test_nobody_is_told_of_jobs_that_are_claimed_already(
    taken: list[int], told: list[Hint]
) -> None:
    hub, heard = Hub(), list[Hint]()
    hub.subscribe(heard.append)
    made = Admitter(Bidder(Store(()), None), Telling(hub), 1_000)  # type: ignore[arg-type]
    a, b = Lane("a", 0), Lane("b", 0)
    queued = (Queued(1, a, 7), Queued(2, b, 8), Queued(3, a, 9))
    claimed = [job(id) for id in taken]
    facts: dict[str, Any] = {"next_in_us": 2_000_000, "claimed": claimed}
    round_ = Admitted(queued, (), is_scheduled=False, more=False, **facts)
    assert made.answered(Time.now - 1.0, round_) == 1.5
    assert heard == told
