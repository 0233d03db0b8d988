"""An event loop in a thread, so that a test written once drives what blocks and what is awaited."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

LONGEST_SECONDS = 60.0


class LoopThread:
    """Runs coroutines on one loop and waits for them."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-loop")
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.start(work).result(LONGEST_SECONDS)

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine, and do not wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
