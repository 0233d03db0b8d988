"""A few figures of one store on this machine, in about ten seconds and in a store of its own.

The user's jobs are never touched: on PostgreSQL a schema is made and dropped, for SQLite a file in
a temporary folder. Ctrl-C drops it too.
"""

from __future__ import annotations

import os
import platform
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles
from threading import Event
from typing import Any

from msgspec import Struct

from jobpipe.application import Jobpipe
from jobpipe.config.mask import mask_url
from jobpipe.store.ops.discard import BENCH_PREFIX

ONE_SECONDS = 2.0
BULK_SECONDS = 1.5
BULK_CHUNK = 1_000
PICKUPS = 100
LONGEST_PICKUP_SECONDS = 5.0

NOTE = "One run beside whatever else this machine does: a rough figure, not a benchmark."


class Figure(Struct, frozen=True):
    """One thing that was measured."""

    name: str
    value: float
    unit: str


class Bench(Struct, frozen=True, kw_only=True):
    """What was measured, where, and how safe the store's commits were."""

    store: str
    version: str
    durability: str
    cpus: int
    python: str
    figures: list[Figure]
    note: str = NOTE


class Probe:
    """The tasks of a bench."""

    def __init__(self, application: Jobpipe) -> None:
        self.started_at = 0.0
        self.started = Event()

        @application.task(name="bench.nothing")
        async def nothing() -> None:
            """Do nothing."""

        @application.task(name="bench.mark")
        async def mark() -> None:
            """Tell when it was started."""
            self.started_at = time.perf_counter()
            self.started.set()

        self.nothing, self.mark = nothing, mark


@contextmanager
def throw_away(url: str | None, settings: Mapping[str, str]) -> Iterator[Jobpipe]:
    """Give an application on an empty store, which is gone at the end, however that comes.

    Without a URL, or with that of a file, the store is a file in a temporary folder (beside the
    file that is named: on the same disk).
    """
    given: dict[str, Any] = {"queues": "*", "max_queued": "none", "failpoints": "", **settings}
    with ExitStack() as cleaning:
        if url is None or url.startswith("sqlite:"):
            folder = cleaning.enter_context(tempfile.TemporaryDirectory(dir=_beside(url)))
            application = Jobpipe(f"sqlite:///{folder}/bench.db", **given)
            cleaning.callback(application.close)
        else:
            schema = BENCH_PREFIX + secrets.token_hex(4)
            application = Jobpipe(url, **{**given, "schema": schema})
            cleaning.callback(application.close)
            cleaning.callback(application.drop_bench)
            cleaning.callback(application.close)  # nobody of ours is in the way
        yield application


def _beside(url: str | None) -> str | None:
    if url is None or url.endswith(":memory:"):
        return None
    folder = Path(url.removeprefix("sqlite:///")).absolute().parent
    return str(folder) if folder.is_dir() else None


def measure(application: Jobpipe, place: str, tell: Callable[[str], None]) -> Bench:
    """Take every figure, one after another; ``tell`` hears what is at hand."""
    probe = Probe(application)
    application.migrate()
    version, durability = application.durability()
    figures = []
    tell("enqueue, one by one")
    figures.append(Figure("enqueue, one by one", _one_by_one(probe), "jobs/s"))
    tell(f"enqueue, {BULK_CHUNK} at once")
    figures.append(Figure(f"enqueue, {BULK_CHUNK} at once", _bulk(application, probe), "jobs/s"))
    tell("run what was enqueued")
    figures.append(Figure("run (async tasks that do nothing)", _drain(application), "jobs/s"))
    tell("enqueue to start")
    waits = _pickups(application, probe)
    figures.append(Figure("enqueue to start, p50", round(waits[49], 2), "ms"))
    figures.append(Figure("enqueue to start, p95", round(waits[94], 2), "ms"))
    return Bench(
        store=mask_url(place),
        version=version,
        durability=durability,
        cpus=len(os.sched_getaffinity(0)),
        python=platform.python_version(),
        figures=figures,
    )


def _one_by_one(probe: Probe) -> float:
    count, begun = 0, time.perf_counter()
    while (seconds := time.perf_counter() - begun) < ONE_SECONDS:
        probe.nothing.enqueue()
        count += 1
    return round(count / seconds)


def _bulk(application: Jobpipe, probe: Probe) -> float:
    count, begun = 0, time.perf_counter()
    while (seconds := time.perf_counter() - begun) < BULK_SECONDS and count < 20 * BULK_CHUNK:
        application.enqueue_many([probe.nothing.call()] * BULK_CHUNK)
        count += BULK_CHUNK
    return round(count / seconds)


def _drain(application: Jobpipe) -> float:
    count = application.counts()["queued"]
    begun = time.perf_counter()
    application.drain()
    return round(count / (time.perf_counter() - begun))


def _pickups(application: Jobpipe, probe: Probe) -> list[float]:
    """Return the hundredths of the times from asking to starting, in milliseconds."""
    waits = []
    with application.running():
        for _ in range(PICKUPS + 1):
            probe.started.clear()
            asked_at = time.perf_counter()
            probe.mark.enqueue()
            if not probe.started.wait(LONGEST_PICKUP_SECONDS):
                raise TimeoutError(f"a job was not started within {LONGEST_PICKUP_SECONDS:g} s")
            waits.append((probe.started_at - asked_at) * 1000)
    return quantiles(waits[1:], n=100)  # the first one pays for the worker's start
