"""A sweeper's patience with leases that have only just ended, and what it tells those who watch."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from jobpipe.delivery.hub import Hint, Hub
from jobpipe.model.change import UNKNOWN
from jobpipe.runtime.sweeper import Sweeper
from jobpipe.runtime.telling import Telling
from jobpipe.store.ops.worker import Swept


class Store:
    """Holds one dead worker, which held nothing."""

    async def run(self, _operation: Any) -> list[Swept]:
        return [Swept("gone", 7, (), ())]


def test_after_a_death_one_hears_that_something_may_have_changed() -> None:
    hub, hints, forgotten = Hub(), list[Hint](), list[int]()
    hub.is_watched_elsewhere = True
    hub.subscribe(hints.append)
    store: Any = Store()
    sweeper = Sweeper(
        store,
        is_dead_by_lock=lambda id: id == 7,
        forget_lock=forgotten.append,
        heartbeat_was_late=lambda: False,
        telling=Telling(hub),
    )
    other = SimpleNamespace(id=7, expired=False)
    control: Any = SimpleNamespace(others=[other], worker=8, has_orphans=False)
    assert sweeper.note(control)
    asyncio.run(sweeper.once())
    assert (hints, forgotten) == ([Hint(changes=UNKNOWN)], [7])


def patient(now: list[float], *, is_late: bool = False) -> Sweeper:
    store: Any = Store()
    return Sweeper(
        store,
        is_dead_by_lock=lambda _id: False,
        forget_lock=lambda _id: None,
        heartbeat_was_late=lambda: is_late,
        telling=Telling(Hub()),
        clock=lambda: now[0],
    )


def look(*, expired: bool) -> Any:
    other = SimpleNamespace(
        id=7,
        expired=expired,
        host="elsewhere",
        pid=1,
        pid_started="1",
        supervisor_pid=None,
        supervisor_started="",
    )
    return SimpleNamespace(others=[other], worker=8, has_orphans=False)


def test_a_lease_must_have_ended_for_half_a_second() -> None:
    now = [100.0]
    sweeper = patient(now)
    assert not sweeper.note(look(expired=True))
    now[0] = 100.4
    assert not sweeper.note(look(expired=True))
    now[0] = 100.5
    assert sweeper.note(look(expired=True))


def test_a_lease_renewed_in_between_begins_anew() -> None:
    now = [100.0]
    sweeper = patient(now)
    sweeper.note(look(expired=True))
    now[0] = 100.3
    sweeper.note(look(expired=False))
    now[0] = 100.6
    assert not sweeper.note(look(expired=True))
    now[0] = 101.1
    assert sweeper.note(look(expired=True))


def test_who_was_late_himself_judges_nobody() -> None:
    now = [100.0]
    sweeper = patient(now, is_late=True)
    sweeper.note(look(expired=True))
    now[0] = 105.0
    assert not sweeper.note(look(expired=True))
