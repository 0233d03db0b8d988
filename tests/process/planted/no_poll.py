"""A worker looks for jobs when it is told of them, and at no other time."""

from __future__ import annotations

from jobpipe.runtime.claimer import Claimer


async def wait_for_a_hint(self: Claimer) -> None:
    await self._wake.wait()


def plant() -> None:
    Claimer._wait = wait_for_a_hint  # type: ignore[method-assign]
