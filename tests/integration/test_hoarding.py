"""What a worker has claimed ahead goes to another one that has nothing to do."""

from __future__ import annotations

import asyncio
import threading

import pytest

from jobpipe import Jobpipe
from tests.waiting import until

QUICK, SLOW = 2_000, 300
PACE_SECONDS = 0.15
"""Shorter than a slot may be held up, so there is always one that has just become free."""


class Program:
    """An application with one slot, which notes the slow jobs that it ran."""

    def __init__(self, url: str, go: threading.Event, poll_seconds: float = 1) -> None:
        self.jp = Jobpipe(url, concurrency=1, poll_seconds=poll_seconds)
        self.began: list[int] = []

        @self.jp.task(name="quick")
        async def quick() -> None: ...

        @self.jp.task(name="slow")
        async def slow(number: int) -> None:
            self.began.append(number)
            await asyncio.sleep(0 if go.is_set() else PACE_SECONDS)


@pytest.mark.parametrize("place", ["postgres_url", "sqlite_url"])
def test_jobs_that_turn_out_to_be_slow_are_shared(
    request: pytest.FixtureRequest, place: str
) -> None:
    url, go = request.getfixturevalue(place), threading.Event()
    busy, idle = Program(url, go), Program(url, go, poll_seconds=60)
    jp = busy.jp
    jp.enqueue_many([jp.call_named("quick")] * QUICK)
    ids = jp.enqueue_many(jp.call_named("slow", [number]) for number in range(SLOW))
    with jp.running():
        until(lambda: busy.began)
        assert jp.counts()["running"] > 10, "it has claimed many of them ahead"
        with idle.jp.running():
            until(lambda: len(idle.began) > 5)
            go.set()
            until(lambda: jp.counts()["succeeded"] == QUICK + SLOW)
    assert sorted(busy.began + idle.began) == list(range(SLOW))
    assert {jp.job_view(id).attempt for id in ids} == {1}
    jp.close()
    idle.jp.close()
