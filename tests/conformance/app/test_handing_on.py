"""A worker whose transactions claim in its claimer's place, at its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from jobpipe import Job, Jobpipe, State
from jobpipe.model.job import Claimed
from jobpipe.runtime.bidding import Bidder
from jobpipe.runtime.claimer import Bid
from jobpipe.tasks.task import AsyncTask
from tests.conformance.app.site import ENOUGH_SECONDS, Site


@contextmanager
def held_up(holds: Callable[[], bool]) -> Iterator[threading.Event]:
    """Keep a worker from what was claimed in place, once that ``holds``, until it stops; tells."""
    held, took = threading.Event(), Bidder._took

    async def wait(self: Bidder, bid: Bid | None, jobs: list[Claimed] | None) -> None:
        if jobs and holds():
            held.set()
            while not self._claimer._closing:  # type: ignore[union-attr] # noqa: ASYNC110
                await asyncio.sleep(0.01)  # nobody tells
        await took(self, bid, jobs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Bidder, "_took", wait)
        yield held


def one_at_a_time(site: Site, begun: list[int]) -> tuple[Jobpipe, AsyncTask[[int], None]]:
    jp = site.jobpipe()

    @jp.task(name="work", concurrency=1)
    async def work(n: int) -> None:
        begun.append(n)
        await asyncio.sleep(0.02)

    return jp, work


def test_a_stop_gives_back_what_an_outcome_has_brought(site: Site) -> None:
    begun: list[int] = []
    jp, work = one_at_a_time(site, begun)
    jobs = [site.enqueue(work, n) for n in range(40)]
    with held_up(lambda: bool(begun)) as held, site.running(jp):
        assert held.wait(ENOUGH_SECONDS)
        before = list(begun)
    assert begun == before
    assert_the_rest_runs(site, jp, jobs, begun)


def test_a_stop_gives_back_whom_a_round_has_let_in(site: Site) -> None:
    """Each job comes to an open gate, until one comes while the claimer rests."""
    begun: list[int] = []
    jp, work = one_at_a_time(site, begun)
    jobs: list[Job[None]] = []
    with held_up(lambda: True) as held, site.running(jp):
        while not held.is_set():
            jobs.append(site.enqueue(work, len(jobs)))
            while len(begun) < len(jobs) and not held.wait(0.01):
                pass
        before = list(begun)
    assert begun == before
    assert_the_rest_runs(site, jp, jobs, begun)


def assert_the_rest_runs(site: Site, jp: Jobpipe, jobs: list[Job[None]], begun: list[int]) -> None:
    states = [site.seen(job).state for job in jobs[len(begun) :]]
    assert states.count(State.RUNNING) == 0
    with site.running(jp):
        for job in jobs:
            site.result(job)
    assert begun == list(range(len(jobs)))
