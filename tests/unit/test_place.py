"""Who serves in a place of a supervisor, who follows, and how soon."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from jobpipe.runtime.supervisor.place import Place
from jobpipe.runtime.supervisor.process import Death


class FakeChild:
    """A process that only remembers what it was told."""

    pid = 7
    killed_for = None

    def __init__(self, quiet: bool) -> None:
        self.told: list[object] = ["quiet"] if quiet else []
        self.ready_at: float | None = None

    @property
    def is_ready(self) -> bool:
        return self.ready_at is not None

    is_working = is_ready

    def quiet(self, on: bool) -> None:
        self.told.append("quiet" if on else "go")

    def retire(self) -> None:
        self.told.append("retire")

    def stop(self) -> None:
        self.told.append("stop")


class FakeHost:
    """Starts fake processes; what is to happen later waits in ``waiting``."""

    def __init__(self) -> None:
        self.is_quiet = self.is_stopping = self.is_burst = self.is_full = False
        self.started: list[Any] = []
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def start(self, _place: Place, *, quiet: bool) -> Any:
        if self.is_full:
            return None
        self.started.append(FakeChild(quiet))
        return self.started[-1]

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.waiting.append((seconds, call))

    def waits(self) -> float:
        """Let the one thing that waits happen; return how long it would have waited."""
        ((seconds, call),) = self.waiting
        self.waiting.clear()
        call()
        return seconds


CRASH = Death(-11, 0)


@pytest.fixture
def host() -> FakeHost:
    return FakeHost()


@pytest.fixture
def place(host: FakeHost) -> Place:
    place = Place(host, "w")
    place.fill()
    return place


def ready(place: Place, child: Any, *, ago: float = 0.0) -> None:
    child.ready_at = time.monotonic() - ago
    place.ready(child)


def test_who_dies_while_it_works_is_replaced_at_once_every_time(
    host: FakeHost, place: Place
) -> None:
    for count in range(1, 6):
        child = host.started[-1]
        place.ended(child, CRASH, was_working=True)
        assert host.waits() == 0.0
        assert len(host.started) == count + 1
        assert place.serving is host.started[-1]


def test_who_dies_idle_is_replaced_later_and_later(host: FakeHost, place: Place) -> None:
    waits = []
    for _ in range(9):
        place.ended(host.started[-1], CRASH, was_working=False)
        waits.append(host.waits())
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0])
    ready(place, host.started[-1], ago=11.0)
    place.ended(host.started[-1], CRASH, was_working=False)
    assert host.waits() == pytest.approx(0.1)


def test_a_worker_whose_slots_are_stuck_is_replaced_at_once(host: FakeHost, place: Place) -> None:
    place.ended(host.started[0], Death(3, 0), was_working=False)
    assert host.waits() == 0.0


def test_a_successor_waits_until_the_one_before_it_retires(host: FakeHost, place: Place) -> None:
    old = host.started[0]
    ready(place, old)
    place.prepare()
    place.prepare()
    _, new = host.started
    ready(place, new)
    assert (old.told, new.told) == ([], ["quiet"])
    place.retiring(old)
    assert place.serving is new
    assert new.told == ["quiet", "go"]
    place.ended(old, Death(0, 0), was_working=False)
    assert len(host.started) == 2
    assert host.waiting == []


def test_who_is_renewed_retires_when_its_successor_is_ready(host: FakeHost, place: Place) -> None:
    old = host.started[0]
    ready(place, old)
    place.renew("it is old")
    place.renew("it is old")
    _, new = host.started
    assert old.told == []
    ready(place, new)
    assert old.told == ["retire"]
    place.retiring(old)
    assert place.serving is new


def test_a_successor_that_dies_is_started_again_later(host: FakeHost, place: Place) -> None:
    ready(place, host.started[0])
    place.renew("it is old")
    place.ended(host.started[1], CRASH, was_working=False)
    assert host.waits() == pytest.approx(0.1)
    assert len(host.started) == 3
    ready(place, host.started[2])
    assert host.started[0].told == ["retire"]


def test_a_successor_takes_over_at_once_when_the_other_dies(host: FakeHost, place: Place) -> None:
    ready(place, host.started[0])
    place.prepare()
    place.ended(host.started[0], CRASH, was_working=False)
    assert host.waits() == 0.0
    assert place.serving is host.started[1]
    assert host.started[1].told == ["quiet", "go"]
    assert len(host.started) == 2


def test_one_that_retires_unprepared_is_followed_all_the_same(host: FakeHost, place: Place) -> None:
    place.retiring(host.started[0])
    assert place.serving is host.started[1]


def test_a_quiet_host_has_quiet_successors(host: FakeHost, place: Place) -> None:
    ready(place, host.started[0])
    place.prepare()
    host.is_quiet = True
    place.retiring(host.started[0])
    assert host.started[1].told == ["quiet", "quiet"]


def test_a_burst_that_found_nothing_closes_the_place(host: FakeHost, place: Place) -> None:
    host.is_burst = True
    place.prepare()
    place.ended(host.started[0], Death(0, 0), was_working=False)
    assert place.is_closed
    assert host.started[1].told == ["quiet", "stop"]
    place.fill()
    assert len(host.started) == 2


def test_a_burst_in_which_nobody_can_begin_ends_with_the_code(host: FakeHost, place: Place) -> None:
    host.is_burst = True
    for _ in range(6):
        place.ended(host.started[-1], CRASH, was_working=False)
        host.waits()
    assert (len(host.started), place.is_closed) == (7, False)
    place.ended(host.started[-1], CRASH, was_working=False)
    assert (place.is_closed, place.code, host.waiting) == (True, 139, [])


def test_a_burst_goes_on_where_one_has_begun(host: FakeHost, place: Place) -> None:
    host.is_burst = True
    for _ in range(10):
        ready(place, host.started[-1])
        place.ended(host.started[-1], CRASH, was_working=False)
        host.waits()
    assert (len(host.started), place.is_closed) == (11, False)


def test_where_no_process_can_be_started_it_is_tried_again(host: FakeHost, place: Place) -> None:
    host.is_full = True
    place.ended(host.started[0], CRASH, was_working=True)
    assert [host.waits() for _ in range(3)] == [0.0, 0.1, 0.2]
    host.is_full = False
    host.waits()
    assert place.serving is host.started[1]
    host.is_full = True
    place.prepare()
    host.is_full = False
    host.waits()
    assert place.successor is host.started[2]


def test_nobody_is_started_while_the_host_stops(host: FakeHost, place: Place) -> None:
    host.is_stopping = True
    place.ended(host.started[0], CRASH, was_working=True)
    host.waits()
    place.prepare()
    place.retiring(host.started[0])
    assert len(host.started) == 1
