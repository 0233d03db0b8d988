"""Waits for the end of a job or a flow: asks often at first, then less and less."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from jobpipe.errors import JobNotFound, WaitTimeout
from jobpipe.model.state import FINAL, State
from jobpipe.store.ops import read
from jobpipe.store.port import AsyncStore, Store

T = TypeVar("T")

FIRST_PAUSE, LAST_PAUSE, GROWTH = 0.002, 0.2, 1.4
"""Seconds between two looks: the first pause, the longest, and how they grow."""


def wait(store: Store, id: int, timeout: float | None) -> None:
    """Block until the job is final; raises WaitTimeout after ``timeout`` seconds, JobNotFound."""
    for pause in _pauses(f"job {id}", timeout):
        if _ended(id, store.run(read.state_of(id))):
            return
        time.sleep(pause)


async def await_end(store: AsyncStore, id: int, limit: float | None) -> None:
    """Wait like ``wait`` without blocking the loop."""
    for pause in _pauses(f"job {id}", limit):
        if _ended(id, await store.run(read.state_of(id))):
            return
        await asyncio.sleep(pause)


def until(look: Callable[[], T | None], what: str, timeout: float | None) -> T:
    """Block until ``look`` finds something; raises WaitTimeout after ``timeout`` seconds."""
    for pause in _pauses(what, timeout):
        if (found := look()) is not None:
            return found
        time.sleep(pause)
    raise AssertionError("the pauses end by an error")


async def auntil(look: Callable[[], Awaitable[T | None]], what: str, limit: float | None) -> T:
    """Wait like ``until`` without blocking the loop."""
    for pause in _pauses(what, limit):
        if (found := await look()) is not None:
            return found
        await asyncio.sleep(pause)
    raise AssertionError("the pauses end by an error")


def _pauses(what: str, timeout: float | None) -> Iterator[float]:
    ends = math.inf if timeout is None else time.monotonic() + timeout
    pause = FIRST_PAUSE
    yield pause
    while (left := ends - time.monotonic()) > 0:
        pause = min(pause * GROWTH, LAST_PAUSE)
        yield min(pause, left)
    yield 0.0
    raise WaitTimeout(f"{what} has not ended within {timeout:g} s")


def _ended(id: int, state: State | None) -> bool:
    if state is None:
        raise JobNotFound(f"there is no job {id}")
    return state in FINAL
