"""What a sweeper tells those who watch."""

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
