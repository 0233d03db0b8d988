"""From which note on a round looks: never beyond those that an open transaction may still bring."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from jobpipe.delivery.hub import Hub
from jobpipe.runtime import admitter
from jobpipe.runtime.admitter import LATE_SECONDS, Admitter
from jobpipe.runtime.telling import Telling
from jobpipe.store.ops.admit import Admitted


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
    made = Admitter(Store(rounds), Telling(Hub()), 1_000)  # type: ignore[arg-type]
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
