"""The audit is kept for ninety days."""

from __future__ import annotations

import asyncio

from jobpipe import Jobpipe
from jobpipe.runtime.pruner import Pruner
from tests.conformance.clock import DAY, MovedClock


def test_notes_go_after_ninety_days(sqlite_url: str) -> None:
    clock = MovedClock()
    jp = Jobpipe(sqlite_url, clock=clock)
    jp.pause_queue("mail")
    clock.advance(60 * DAY)
    jp.resume_queue("mail")
    clock.advance(29 * DAY)
    prune(jp)
    assert len(jp.audit()) == 2
    clock.advance(2 * DAY)
    prune(jp)
    assert [note.action for note in jp.audit()] == ["resume_queue"]
    jp.close()


def prune(jp: Jobpipe) -> None:
    store = jp._access.store("prune").opened().async_store
    asyncio.run(Pruner(store, jp.settings.retention).once())
