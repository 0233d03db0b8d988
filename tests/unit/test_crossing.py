"""A stay in a thread: what it asks runs on the loop; a cancel is kept, or leaves the thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

import pytest

from jobpipe.runtime.crossing import Crossing
from jobpipe.runtime.executors.thread import Threads

LIMIT_SECONDS = 10.0

Case = Callable[["Bench"], Coroutine[Any, Any, None]]


class Bench:
    """A thread that waits for its release, and a loop that it may ask."""

    def __init__(self) -> None:
        self.is_closing = False
        self.began, self.released, self.ended = (threading.Event() for _ in range(3))
        self.outcome: object = None
        self.threads = Threads()

    def stay(self, function: Callable[[Crossing], Any]) -> asyncio.Task[Any]:
        """Start a stay in a thread, which tells its end in ``outcome``."""
        crossing = Crossing(lambda: self.is_closing)

        def body() -> Any:
            try:
                self.outcome = function(crossing)
            except BaseException as error:
                self.outcome = error
                raise
            finally:
                self.ended.set()
            return self.outcome

        async def stay() -> Any:
            return await crossing.until(self.threads.run(copy_context(), body, (), {}))

        return asyncio.create_task(stay())

    def wait(self) -> None:
        self.began.set()
        assert self.released.wait(LIMIT_SECONDS)

    async def until(self, event: threading.Event) -> None:
        assert await asyncio.to_thread(event.wait, LIMIT_SECONDS)


def on_bench(case: Case) -> None:
    async def main() -> None:
        bench = Bench()
        try:
            await case(bench)
        finally:
            bench.released.set()
            bench.threads.close()

    asyncio.run(main())


async def where(value: object) -> tuple[object, int]:
    await asyncio.sleep(0)
    return value, threading.get_ident()


async def broken() -> None:
    raise ValueError("no luck")


def test_what_is_asked_runs_on_the_loop() -> None:
    async def case(bench: Bench) -> None:
        def ask_all(crossing: Crossing) -> list[object]:
            with pytest.raises(ValueError, match="no luck"):
                crossing.ask(broken)
            return [crossing.ask(lambda n=n: where(n)) for n in range(3)]

        here = threading.get_ident()
        assert await bench.stay(ask_all) == [(0, here), (1, here), (2, here)]

    on_bench(case)


def test_a_cancel_reaches_what_is_asked() -> None:
    async def case(bench: Bench) -> None:
        async def slow() -> None:
            bench.began.set()
            await asyncio.sleep(LIMIT_SECONDS)

        def ask(crossing: Crossing) -> str:
            with pytest.raises(asyncio.CancelledError):
                crossing.ask(slow)
            return "cancelled below"

        stay = bench.stay(ask)
        await bench.until(bench.began)
        stay.cancel()
        assert await stay == "cancelled below"

    on_bench(case)


def test_a_cancel_is_kept_for_what_is_asked_next() -> None:
    async def case(bench: Bench) -> None:
        def ask(crossing: Crossing) -> str:
            bench.wait()
            with pytest.raises(asyncio.CancelledError):
                crossing.ask(lambda: where(1))
            return "cancelled below"

        stay = bench.stay(ask)
        await bench.until(bench.began)
        stay.cancel()
        await asyncio.sleep(0)
        assert not stay.done(), "a thread cannot be stopped"
        bench.released.set()
        assert await stay == "cancelled below"

    on_bench(case)


@pytest.mark.parametrize("reason", ["second cancel", "closing"])
def test_a_thread_that_is_left_behind_is_answered(reason: str) -> None:
    async def case(bench: Bench) -> None:
        def ask(crossing: Crossing) -> object:
            bench.wait()
            return crossing.ask(lambda: where(1))

        stay = bench.stay(ask)
        await bench.until(bench.began)
        bench.is_closing = reason == "closing"
        stay.cancel()
        await asyncio.sleep(0)
        if reason == "second cancel":
            stay.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stay
        bench.released.set()
        await bench.until(bench.ended)
        assert isinstance(bench.outcome, asyncio.CancelledError)

    on_bench(case)
