"""The application and its one task."""

from __future__ import annotations

import random
import time

from jobpipe import Jobpipe

from .settings import read_settings

settings = read_settings()

jp = Jobpipe(settings.url)


@jp.task(name="sleep", concurrency=2)  # at once, over all processes that share the store
def sleep(description: str = "") -> str:
    """Stand for real work: it blocks."""
    time.sleep(random.randint(0, settings.longest_sleep))
    return description
