"""How much a worker may take: its quota, exactly; nothing while it is quiet or retires."""

from __future__ import annotations

from jobpipe.runtime.demand import Demand
from jobpipe.runtime.seat import Intake


def test_without_a_quota_all_demand_is_met() -> None:
    intake = Intake()
    for _ in range(1000):
        intake.took(1)
    assert intake.bound(Demand(7, 3)) == Demand(7, 3)
    assert not intake.retiring.is_set()


def test_a_quota_bounds_slots_and_read_ahead_together() -> None:
    intake = Intake(5)
    assert intake.bound(Demand(3, 1)) == Demand(3, 1)
    assert intake.bound(Demand(3, 9)) == Demand(3, 2)
    assert intake.bound(Demand(8, 9)) == Demand(5, 0)
    assert intake.bound(Demand(-2, 9)).room == 5


def test_the_last_one_makes_it_retire_and_half_is_told_before() -> None:
    told: list[str] = []
    intake = Intake(4, half_taken=lambda: told.append("half"))
    intake.took(1)
    assert told == []
    intake.took(1)
    assert told == ["half"]
    intake.took(1)
    intake.gave_back(1)
    assert intake.bound(Demand(9, 9)).room == 2
    intake.took(1)
    assert not intake.retiring.is_set()
    intake.took(1)
    assert told == ["half"]
    assert intake.retiring.is_set()
    assert intake.bound(Demand(9, 9)) == Demand(0, 0)


def test_what_was_given_back_is_not_taken_by_one_that_retires() -> None:
    intake = Intake(1)
    intake.took(1)
    intake.gave_back(1)
    assert intake.bound(Demand(9, 9)) == Demand(0, 0)


def test_quiet_it_takes_nothing() -> None:
    intake = Intake()
    intake.quiet = True
    assert intake.bound(Demand(9, 9)) == Demand(0, 0)
    intake.quiet = False
    assert intake.bound(Demand(9, 9)) == Demand(9, 9)
