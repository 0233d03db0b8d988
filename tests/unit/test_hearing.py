"""How hints come to a worker's loop: at once on its own thread, through the loop from others."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

from jobpipe.delivery.hub import LOOK, Hint, Hub
from jobpipe.runtime.hearing import Hearing


def test_a_hint_from_the_loops_own_thread_is_taken_at_once() -> None:
    async def heard() -> list[Hint]:
        hub, taken = Hub(), list[Hint]()
        Hearing(kit(hub), taken.append)
        hub.ring(LOOK)
        return list(taken)

    assert asyncio.run(heard()) == [LOOK]


def test_a_hint_from_another_thread_is_taken_on_the_loops() -> None:
    async def heard() -> int:
        hub = Hub()
        taken = asyncio.get_running_loop().create_future()
        Hearing(kit(hub), lambda _hint: taken.set_result(threading.get_ident()))
        await asyncio.to_thread(hub.ring, LOOK)
        thread: int = await taken
        return thread

    assert asyncio.run(heard()) == threading.get_ident()


def test_nobody_is_disturbed_by_one_whose_loop_is_closed() -> None:
    hub = Hub()

    async def hear() -> None:
        loop = asyncio.get_running_loop()
        Hearing(kit(hub), lambda _hint: void(loop.call_soon(int)))

    asyncio.run(hear())
    hub.ring(LOOK)


def void(_value: object) -> None:
    """Take a value and return nothing."""


def kit(hub: Hub) -> Any:
    return SimpleNamespace(hub=hub, ears=None)
