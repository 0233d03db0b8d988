"""What a process that enqueues knows of the settings of queues: read again once a second."""

from __future__ import annotations

import time
from collections.abc import Callable

from jobpipe.store.ops.enqueue import Bounds

FRESH_SECONDS = 0.9
"""So that a setting counts everywhere within a second."""


class KnownBounds:
    """The bounds of queues, as of the last read; one caller at a time reads them again."""

    def __init__(self, usual: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.bounds = Bounds(usual)
        self._clock = clock
        self._read_at = float("-inf")

    def take_turn(self) -> bool:
        """Tell whether the caller is to read the bounds anew."""
        now = self._clock()
        if now - self._read_at < FRESH_SECONDS:
            return False
        self._read_at = now
        return True

    def learn(self, own: dict[str, int]) -> None:
        """Take over what was read."""
        if own != self.bounds.own:
            self.bounds = Bounds(self.bounds.usual, own)

    def forget(self) -> None:
        """Let the next caller read anew: the last read failed, or was of another store."""
        self._read_at = float("-inf")
