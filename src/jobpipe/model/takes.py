"""What a worker can run, as the store is asked for it."""

from __future__ import annotations

from msgspec import Struct

LATEST = 2**31 - 1
"""The highest version that arguments may have."""


class Takes(Struct, frozen=True):
    """The name of a task, and the versions of its arguments that somebody takes."""

    task: str
    oldest: int = 1
    newest: int = LATEST
