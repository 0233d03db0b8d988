"""Priorities age: under a flood that never ends the lowest priority still has its turn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from jobpipe import Jobpipe
from tests.conformance.app.site import Site
from tests.waiting import until

STEP_SECONDS = 0.005
BOUND_SECONDS = 200 * STEP_SECONDS
"""How long priority -100 is passed over for priority 100."""
SLACK_SECONDS = 4.0
"""What a busy machine may take longer."""


class Flood:
    """Jobs of priority 100, each of which asks for one more: some always wait."""

    def __init__(self, jp: Jobpipe) -> None:
        self.ran: list[str] = []
        self.times: list[float] = []
        self.is_open = True

        @jp.task(name="urgent", priority=100)
        async def urgent() -> None:
            self.note("urgent")
            if self.is_open:
                await urgent.aenqueue()

        @jp.task(name="humble", priority=-100)
        async def humble() -> None:
            self.note("humble")

        self.urgent, self.humble = urgent, humble

    def note(self, name: str) -> None:
        self.ran.append(name)
        self.times.append(time.monotonic())

    def at(self, name: str) -> list[float]:
        return [at for at, ran in zip(self.times, self.ran, strict=True) if ran == name]


@contextmanager
def flooded(site: Site, **settings: Any) -> Iterator[tuple[Flood, float]]:
    """A worker of one slot amid a flood, with jobs of the lowest priority that wait."""
    jp = site.jobpipe(concurrency=1, **settings)
    flood = Flood(jp)
    site.do(jp, "enqueue_many", [flood.urgent.call() for _ in range(4000)])
    site.do(jp, "enqueue_many", [flood.humble.call() for _ in range(20)])
    began = time.monotonic()
    with site.running(jp):
        yield flood, began
        flood.is_open = False


def test_the_lowest_priority_runs_within_the_bound(site: Site) -> None:
    with flooded(site, ageing_seconds=STEP_SECONDS) as (flood, began):
        until(lambda: "humble" in flood.ran)
        (first, *_) = flood.at("humble")
        assert BOUND_SECONDS * 0.9 <= first - began <= BOUND_SECONDS + SLACK_SECONDS
        until(lambda: flood.ran.count("humble") >= 3)
        assert flood.ran.count("urgent") > 10 * flood.ran.count("humble")


@pytest.mark.parametrize("step", [0, 3600])
def test_strict_order_holds_otherwise(site: Site, step: float) -> None:
    with flooded(site, ageing_seconds=step) as (flood, _):
        until(lambda: len(flood.ran) > 300)
        assert set(flood.ran[:300]) == {"urgent"}
