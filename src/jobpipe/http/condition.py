"""The condition of a service: whether it stops, and who is to hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from jobpipe.http.endpoint import Principal
from jobpipe.http.metrics import Requests


class Condition:
    """Belongs to one service; used on its event loop."""

    def __init__(self) -> None:
        self.is_stopping = False
        self.requests = Requests()
        self.doubt: Callable[[], str | None] = lambda: None
        """Tells what keeps the service from its work, beside the store."""
        self.is_current: Callable[[Principal], bool] = lambda _principal: True
        """Tells whether who was let in would be still."""
        self._ends: dict[object, Callable[[], object]] = {}

    def stop(self) -> None:
        """Take no new work, and end what waits; twice is fine."""
        self.is_stopping = True
        for end in list(self._ends.values()):
            end()

    def when_stopping(self, end: Callable[[], object]) -> Callable[[], object]:
        """Call ``end`` when the service stops, or at once; returns how to take that back."""
        key = object()
        self._ends[key] = end
        if self.is_stopping:
            end()
        return partial(self._ends.pop, key, None)

    async def unless_stopping(self, waiting: Coroutine[Any, Any, object]) -> None:
        """Await something; give it up when the service stops."""
        task = asyncio.ensure_future(waiting)
        forget = self.when_stopping(task.cancel)
        try:
            await asyncio.wait([task])
        finally:
            forget()
            task.cancel()
        if not task.cancelled():
            task.result()
