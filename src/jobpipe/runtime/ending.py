"""How the running jobs of a worker end when it stops: by themselves, or interrupted."""

from __future__ import annotations

import asyncio

from jobpipe.runtime.executors.group import TERM_GRACE_SECONDS
from jobpipe.runtime.slots import Slots

UNWIND_SECONDS = TERM_GRACE_SECONDS + 0.5
"""How long interrupted runs may take to end when the worker stops; a process has its own grace."""


class Ending:
    """Waits for the slots of one worker; ``changed`` is set whenever one becomes free."""

    def __init__(self, slots: Slots, changed: asyncio.Event) -> None:
        self._slots = slots
        self._changed = changed
        self._loop = asyncio.get_running_loop()

    async def by_themselves(self, grace_seconds: float, hurry: asyncio.Event) -> None:
        """Wait until all runs have ended, the grace is over, or ``hurry`` is set."""
        deadline = self._loop.time() + grace_seconds
        hurried = asyncio.ensure_future(hurry.wait())
        while self._slots.has_unsettled and not hurry.is_set() and self._loop.time() < deadline:
            self._changed.clear()
            changed = asyncio.ensure_future(self._changed.wait())
            left = deadline - self._loop.time()
            waiting = {changed, hurried}
            await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
        hurried.cancel()

    async def interrupted(self, why: str) -> None:
        """Interrupt what runs, give it a moment to unwind, and go on without the rest."""
        for attempt in list(self._slots.running.values()):
            self._slots.interrupt(attempt, why)
        deadline = self._loop.time() + UNWIND_SECONDS
        while self._slots.is_stopping and self._loop.time() < deadline:
            self._changed.clear()
            try:
                async with asyncio.timeout(deadline - self._loop.time()):
                    await self._changed.wait()
            except TimeoutError:
                break
        for attempt in list(self._slots.running.values()):
            self._slots.abandon(attempt)
