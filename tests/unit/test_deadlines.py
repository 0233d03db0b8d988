"""One timer for many deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from jobpipe.runtime.deadlines import SPARE, Deadlines

Case = Callable[[Deadlines], Coroutine[Any, Any, None]]


async def with_deadlines(case: Case) -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    try:
        async with asyncio.timeout(10):
            await case(deadlines)
    finally:
        deadlines.close()


def test_deadlines_pass_in_their_order() -> None:
    passed: list[str] = []

    async def case(deadlines: Deadlines) -> None:
        over = asyncio.Event()
        deadlines.add(0.03, over.set)
        deadlines.add(0.02, lambda: passed.append("second"))
        deadlines.add(0.0, lambda: passed.append("first"))
        await over.wait()

    asyncio.run(with_deadlines(case))
    assert passed == ["first", "second"]


def test_a_cancelled_deadline_does_not_pass() -> None:
    passed: list[str] = []

    async def case(deadlines: Deadlines) -> None:
        over = asyncio.Event()
        ticket = deadlines.add(0.0, lambda: passed.append("cancelled"))
        deadlines.add(0.01, over.set)
        deadlines.cancel(ticket)
        deadlines.cancel(ticket)
        await over.wait()
        deadlines.cancel(ticket)

    asyncio.run(with_deadlines(case))
    assert passed == []


def test_a_deadline_may_be_added_when_another_passes() -> None:
    async def case(deadlines: Deadlines) -> None:
        over = asyncio.Event()
        deadlines.add(0.0, lambda: deadlines.add(0.0, over.set) and None)
        await over.wait()

    asyncio.run(with_deadlines(case))


@pytest.mark.parametrize("rounds", [3, 30])
def test_cancelled_deadlines_do_not_pile_up(rounds: int) -> None:
    async def case(deadlines: Deadlines) -> None:
        for _ in range(rounds):
            for ticket in [deadlines.add(3_600, lambda: None) for _ in range(SPARE)]:
                deadlines.cancel(ticket)
        assert len(deadlines._heap) <= SPARE + 1

    asyncio.run(with_deadlines(case))
