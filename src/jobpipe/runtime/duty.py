"""A duty: something one worker alone can do for all, again and again, that never gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from jobpipe.errors import StoreUnavailable
from jobpipe.telemetry.events import DutyFailed, StoreLost, emit

AFTER_FAILURE_SECONDS = 1.0


class Duty:
    """Runs ``once`` until cancelled; it returns the seconds until it wants to run again.

    ``soon()`` cuts the wait short; None waits for it.
    """

    def __init__(self, name: str, once: Callable[[], Awaitable[float | None]]) -> None:
        self.name = name
        self._once = once
        self._wake = asyncio.Event()
        self._wait: asyncio.Timeout | None = None

    def soon(self) -> None:
        """Run again at once."""
        self._wake.set()

    def within(self, seconds: float) -> None:
        """Run again after so many seconds at the latest; at once after the run under way."""
        wait, at = self._wait, asyncio.get_running_loop().time() + seconds
        if wait is None or wait.expired():
            self.soon()
        elif (until := wait.when()) is None or at < until:
            wait.reschedule(at)

    async def run(self) -> None:
        failed = False
        while True:
            self._wake.clear()
            try:
                pause = await self._once()
                failed = False
            except StoreUnavailable as error:
                if not failed:
                    emit(StoreLost(doing=self.name, why=str(error)))
                failed, pause = True, AFTER_FAILURE_SECONDS
            except Exception as error:  # a duty that ended would stop the whole store's upkeep
                emit(DutyFailed(duty=self.name, why=f"{type(error).__name__}: {error}"))
                pause = AFTER_FAILURE_SECONDS
            try:
                async with asyncio.timeout(pause) as self._wait:
                    await self._wake.wait()
            except TimeoutError:
                continue
            finally:
                self._wait = None
