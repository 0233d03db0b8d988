"""Who minds what becomes of a job: the bits of ``marks``. Most jobs have none."""

from __future__ import annotations

GATED = 1
"""It has gates to pass on every way into the queue."""
STARTS = 2
"""A gate of it counts starts too."""
FOLLOWED = 4
"""Somebody waits for its end: a batch or flow that it belongs to, or jobs that come after it."""
DEPENDENT = 8
"""It waits for others before it may come to its gates."""
