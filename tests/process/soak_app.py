"""What a busy day asks of a worker: short and long, failing, talkative, cancelled and late jobs."""

from __future__ import annotations

import asyncio
import logging
import time

from jobpipe import Jobpipe, Retry, current_job

jp = Jobpipe()
log = logging.getLogger("soak")


@jp.task(name="quick")
async def quick(number: int) -> int:
    return number


@jp.task(name="sleeper")
async def sleeper() -> None:
    await asyncio.sleep(0.01)


@jp.task(name="threaded")
def threaded(number: int) -> str:
    time.sleep(0.001)
    return "x" * (number % 1000)


@jp.task(name="talker")
def talker(number: int) -> None:
    job = current_job()
    for line in job.track(range(5)):
        log.info("line %d of job %d", line, number, extra={"number": number})


@jp.task(name="keeper", max_attempts=3, retry_delays=(0.05,))
async def keeper(number: int) -> int:
    job = current_job()
    if job.attempt == 1:
        job.state = {"number": number}
        raise Retry("once more", after=0.05)
    return int(job.state["number"])


@jp.task(name="failing", max_attempts=2, retry_delays=(0.05,))
def failing() -> None:
    raise ValueError("as ever")


@jp.task(name="late", timeout=0.05, max_attempts=1)
async def late() -> None:
    await asyncio.sleep(60)


MIX = ["quick"] * 60 + ["sleeper"] * 10 + ["threaded"] * 15 + ["talker"] * 8
MIX += ["keeper"] * 4 + ["failing"] * 2 + ["late"]
"""A hundred jobs of the mix."""

NUMBERED = {"quick", "threaded", "talker", "keeper"}
