"""The condition of a service: whether it stops, and who is to hear of it."""

from __future__ import annotations

import asyncio

from jobpipe.http.metrics import Requests


class Condition:
    """Belongs to one service; used on its event loop."""

    def __init__(self) -> None:
        self._stopping: asyncio.Event | None = None
        self.is_stopping = False
        self.requests = Requests()

    def stop(self) -> None:
        """Take no new work, and end what waits; twice is fine."""
        self.is_stopping = True
        if self._stopping is not None:
            self._stopping.set()

    async def wait_for_stop(self) -> None:
        """Return when the service stops."""
        if self._stopping is None:
            self._stopping = asyncio.Event()
            if self.is_stopping:
                self._stopping.set()
        await self._stopping.wait()
