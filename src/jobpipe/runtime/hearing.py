"""Brings hints to an event loop: the hub's, and those of other processes through its ears.

Hints come from any thread, and after a fork from a process that has no loop to take them.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Protocol

from jobpipe.delivery.hub import Hint, Hub
from jobpipe.runtime.options import Ears


class HearingKit(Protocol):
    """From where hints come."""

    @property
    def hub(self) -> Hub: ...

    @property
    def ears(self) -> Callable[[Callable[[Hint], None]], Ears] | None: ...


class Hearing:
    """Calls ``take`` on the loop with every hint, until it is stopped."""

    def __init__(self, kit: HearingKit, take: Callable[[Hint], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._take = take
        self._process = os.getpid()
        self._thread = threading.get_ident()
        self._ears = kit.ears(self._hear) if kit.ears else None
        self._unsubscribe = kit.hub.subscribe(self._hear)

    async def start(self) -> None:
        """Listen to other processes too."""
        if self._ears is not None:
            await self._ears.start()

    async def stop(self) -> None:
        """Hear no more; twice is fine."""
        self._unsubscribe()
        if self._ears is not None:
            await self._ears.stop()

    def _hear(self, hint: Hint) -> None:
        if self._process != os.getpid():  # a forked child has no loop that would ever take it
            self._unsubscribe()
            return
        try:
            if self._thread == threading.get_ident():
                self._take(hint)
            else:
                self._loop.call_soon_threadsafe(self._take, hint)
        except RuntimeError:
            # The loop was closed before this worker could unsubscribe.
            self._unsubscribe()
