"""The event loop of a worker's own program: no task can move its clock.

A task that replaces ``time.monotonic``, if only for a moment, would otherwise send the timers of
all its neighbours astray.
"""

from __future__ import annotations

import asyncio
from time import monotonic


class SteadyLoop(asyncio.SelectorEventLoop):
    """Asks the clock that was there when the worker began."""

    def time(self) -> float:
        """Return seconds of the monotonic clock."""
        return monotonic()
