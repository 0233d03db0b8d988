"""The application and its one task: 100 to 500 ms of work, of which every fifth fails."""

from __future__ import annotations

import asyncio
import random

from jobpipe import Jobpipe

from .settings import read_settings

FAILURE_RATE = 0.2

settings = read_settings()

jp = Jobpipe(settings.url, concurrency=settings.workers, max_queued=settings.queue_size)


class OutOfLuckError(Exception):
    """What one in five attempts comes to."""


# Retry n waits a random time of up to 0.1 s * 2**(n-1), at most 2 s, and holds no worker meanwhile.
@jp.task(name="work", retry_delays="exponential:0.1:2")
async def work(id: str, payload: str) -> str:
    """Stand for real work."""
    await asyncio.sleep(random.uniform(0.1, 0.5))
    if random.random() < FAILURE_RATE:
        raise OutOfLuckError(f"task {id} had no luck")
    return payload
