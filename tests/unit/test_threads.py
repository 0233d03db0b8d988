"""Threads make calls that wait; one that blocks holds up neither those before nor those after."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextvars import copy_context

import pytest

from jobpipe.runtime.executors.thread import Threads

LIMIT_SECONDS = 10.0


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads()
    yield threads
    threads.close()


def call(threads: Threads, function: object, *args: object) -> asyncio.Future[object]:
    return threads.run(copy_context(), function, args, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("place", range(4))
def test_a_call_that_blocks_holds_up_no_other(threads: Threads, place: int) -> None:
    async def case() -> None:
        for _ in range(50):
            go_on = threading.Event()
            quick = [call(threads, str, n) for n in range(place)]
            blocked = call(threads, go_on.wait, LIMIT_SECONDS)
            quick += [call(threads, str, n) for n in range(place, 3)]
            async with asyncio.timeout(LIMIT_SECONDS):
                assert await asyncio.gather(*quick) == ["0", "1", "2"]
            assert not blocked.done()
            go_on.set()
            assert await blocked is True

    asyncio.run(case())


def test_as_many_calls_run_at_once_as_there_are(threads: Threads) -> None:
    async def case() -> None:
        for _ in range(20):
            together = threading.Barrier(6)
            calls = [call(threads, together.wait, LIMIT_SECONDS) for _ in range(6)]
            assert set(await asyncio.gather(*calls)) == {0, 1, 2, 3, 4, 5}

    asyncio.run(case())


def test_threads_are_kept_for_later_calls(threads: Threads) -> None:
    async def case() -> None:
        seen = {await call(threads, threading.get_ident) for _ in range(20)}
        assert len(seen) == 1

    asyncio.run(case())


def test_what_a_call_raises_is_raised_to_whoever_waits(threads: Threads) -> None:
    async def case() -> None:
        with pytest.raises(ZeroDivisionError):
            await call(threads, divmod, 1, 0)
        with pytest.raises(RuntimeError, match="the task raised StopIteration"):
            await call(threads, next, iter(()))

    asyncio.run(case())
