"""The tasks of the RQ program: a worker imports them by name."""

from __future__ import annotations

import kit


def noop(_: int) -> None:
    kit.tally().count()


def kib(text: str) -> str:
    kit.tally().count()
    return text


def flaky(n: int) -> None:
    if kit.fails_now(n):
        raise RuntimeError("the first attempt fails")
    kit.tally().count()


def stamp(at_ns: int) -> None:
    kit.tally().stamp(at_ns)
