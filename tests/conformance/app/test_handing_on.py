"""A worker whose outcomes bring the next jobs with them, at its end."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from jobpipe import State
from jobpipe.runtime.turnover import Turnover
from jobpipe.store.ops.turn_over import TurnedOver
from tests.conformance.app.site import ENOUGH_SECONDS, Site


def test_a_stop_gives_back_what_an_outcome_has_brought(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    jp = site.jobpipe()
    begun: list[int] = []

    @jp.task(name="work", concurrency=1)
    async def work(n: int) -> None:
        begun.append(n)
        await asyncio.sleep(0.02)

    held = threading.Event()
    ask = Turnover._ask

    async def ask_and_wait(self: Turnover, *args: Any) -> TurnedOver | None:
        over = await ask(self, *args)
        if over is not None and over.claimed:
            held.set()
            while not self._claimer._closing:  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.01)
        return over

    monkeypatch.setattr(Turnover, "_ask", ask_and_wait)
    jobs = [site.enqueue(work, n) for n in range(40)]
    with site.running(jp):
        assert held.wait(ENOUGH_SECONDS)
        before = list(begun)
    assert begun == before
    assert [site.seen(job).state for job in jobs[len(begun) :]].count(State.RUNNING) == 0
    monkeypatch.undo()
    with site.running(jp):
        for job in jobs:
            site.result(job)
    assert begun == list(range(40))
