"""When a duty runs again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from jobpipe.runtime.duty import Duty

LIMIT_SECONDS = 10.0
LONG = 1_000.0


class Runs:
    """A duty that wants to run again after some seconds; ``during`` is called in each run."""

    def __init__(self, pause: float | None, during: Callable[[Duty], None] | None = None) -> None:
        self.times: list[float] = []
        self.told = 0
        """How often ``during`` has come to its end."""
        self._pause, self._during = pause, during
        self._ran = asyncio.Semaphore(0)
        self.duty = Duty("counting", self._once)

    async def _once(self) -> float | None:
        self.times.append(asyncio.get_running_loop().time())
        self._ran.release()
        if self._during is not None and len(self.times) <= 2:
            self._during(self.duty)
            self.told += 1
        return self._pause

    async def waits(self) -> None:
        """Return when it has run and waits."""
        await self._ran.acquire()
        await asyncio.sleep(0)

    def twice(self, between: Callable[[Duty], None] | None = None) -> float:
        """Return how many seconds lie between two runs, the first of which begins now."""

        async def run() -> None:
            running = asyncio.create_task(self.duty.run())
            async with asyncio.timeout(LIMIT_SECONDS):
                await self.waits()
                if between is not None:
                    between(self.duty)
                await self.waits()
            running.cancel()

        asyncio.run(run())
        return self.times[1] - self.times[0]


@pytest.mark.parametrize("pause", [LONG, None])
def test_a_wait_is_shortened_to_what_is_told(pause: float | None) -> None:
    assert 0.05 <= Runs(pause).twice(lambda duty: duty.within(0.05)) < LIMIT_SECONDS


def test_a_wait_is_not_made_longer() -> None:
    assert Runs(0.05).twice(lambda duty: duty.within(LONG)) < LIMIT_SECONDS


def test_the_shorter_of_two_times_counts() -> None:
    def told(duty: Duty) -> None:
        duty.within(0.05)
        duty.within(LONG)

    assert Runs(None).twice(told) < LIMIT_SECONDS


@pytest.mark.parametrize("pause", [LONG, None])
def test_who_is_told_during_a_run_runs_again_at_once(pause: float | None) -> None:
    assert Runs(pause, lambda duty: duty.within(LONG)).twice() < LIMIT_SECONDS


def test_who_is_told_as_his_wait_ends_runs_again() -> None:
    assert Runs(0.0).twice(lambda duty: duty.within(LONG)) < LIMIT_SECONDS


def test_soon_is_at_once() -> None:
    assert Runs(None).twice(Duty.soon) < LIMIT_SECONDS


def test_who_is_told_during_a_run_is_told_after_a_wait_that_was_cut_short() -> None:
    runs = Runs(None, lambda duty: duty.within(LONG) if len(runs.times) == 2 else None)
    runs.twice(Duty.soon)
    assert runs.told == 2
