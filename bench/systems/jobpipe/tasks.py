"""The tasks of the benchmark, as a user of Jobpipe would declare them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import kit

from jobpipe import Jobpipe, Retry, current_job

jp = Jobpipe(os.environ["BENCH_URL"])
tally = kit.Tally(os.environ["BENCH_TALLY"]) if "BENCH_TALLY" in os.environ else None


def count() -> None:
    assert tally is not None
    tally.count()


@jp.task
async def noop(n: int) -> None:
    count()


@jp.task
def noop_sync(n: int) -> None:
    count()


@jp.task
async def kib(text: str) -> str:
    count()
    return text


@jp.task(retry_delays=(0,))
async def flaky(n: int) -> None:
    if kit.is_flaky(n) and current_job().attempt == 1:
        raise Retry("the first attempt fails")
    count()


@jp.task
async def stamp(at_ns: int) -> None:
    assert tally is not None
    tally.stamp(at_ns)


TASKS = {"noop": noop, "noop_sync": noop_sync, "kib": kib, "flaky": flaky, "stamp": stamp}
