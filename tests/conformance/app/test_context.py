"""What a running task knows of its job, and what it does not know of others."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context

import pytest

from jobpipe import Jobpipe, current_job
from tests.conformance.app.site import Site

COLOUR: ContextVar[str] = ContextVar("colour", default="none")


def test_a_task_sees_its_own_job(site: Site, jp: Jobpipe) -> None:
    def about() -> list[object]:
        job = current_job()
        return [job.id, job.task, job.queue_name, job.priority, job.attempt, job.max_attempts]

    @jp.task(name="sync", queue_name="q", priority=7)
    def sync() -> list[object]:
        return [*about(), current_job().token, current_job().meta]

    @jp.task(name="awaited")
    async def awaited() -> list[object]:
        await asyncio.sleep(0)
        return [*about(), current_job().token, current_job().meta]

    jobs = [
        site.enqueue(sync.using(meta={"who": "me"}, max_attempts=9)),
        site.enqueue(awaited.using(priority=-3)),
    ]
    site.drain(jp)
    assert site.result(jobs[0]) == [jobs[0].id, "sync", "q", 7, 1, 9, 1, {"who": "me"}]
    assert site.result(jobs[1]) == [jobs[1].id, "awaited", "default", -3, 1, 3, 1, {}]


def test_outside_of_a_task_there_is_no_job(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def plain() -> str:
        return current_job().task

    with pytest.raises(LookupError, match="outside of a running task"):
        plain()
    site.enqueue(plain)
    site.drain(jp)
    with pytest.raises(LookupError):
        current_job()


def test_the_job_is_seen_below_the_task(site: Site, jp: Jobpipe) -> None:
    @jp.task
    async def in_tasks() -> list[int]:
        async def below() -> int:
            await asyncio.sleep(0)
            return current_job().id

        inner = [asyncio.create_task(below()) for _ in range(3)]
        threaded = await asyncio.to_thread(lambda: current_job().id)
        return [*await asyncio.gather(*inner), threaded]

    @jp.task
    def in_threads() -> list[int]:
        with ThreadPoolExecutor(1) as threads:
            copied = threads.submit(copy_context().run, lambda: current_job().id).result()
        return [current_job().id, copied]

    jobs = [site.enqueue(in_tasks), site.enqueue(in_threads)]
    site.drain(jp)
    assert site.result(jobs[0]) == [jobs[0].id] * 4
    assert site.result(jobs[1]) == [jobs[1].id] * 2


def test_each_of_many_jobs_at_once_sees_itself(site: Site, jp: Jobpipe) -> None:
    @jp.task
    async def awaited() -> int:
        before = current_job().id
        for _ in range(5):
            await asyncio.sleep(0.001)
            assert current_job().id == before
        return before

    @jp.task
    def threaded() -> int:
        return current_job().id

    jobs = [site.enqueue(task) for _ in range(10) for task in (awaited, threaded)]
    site.drain(jp, concurrency=8)
    assert [site.result(job) for job in jobs] == [job.id for job in jobs]


@pytest.mark.parametrize("slots", [1, 4])
def test_what_one_job_sets_the_next_does_not_see(site: Site, jp: Jobpipe, slots: int) -> None:
    @jp.task
    async def awaited(colour: str) -> list[str]:
        before = COLOUR.get()
        COLOUR.set(colour)
        await asyncio.sleep(0)
        return [before, COLOUR.get()]

    @jp.task
    def threaded(colour: str) -> list[str]:
        before = COLOUR.get()
        COLOUR.set(colour)
        return [before, COLOUR.get()]

    jobs = [(site.enqueue(task, f"{n}"), f"{n}") for n in range(6) for task in (awaited, threaded)]
    site.drain(jp, concurrency=slots)
    for job, colour in jobs:
        assert site.result(job) == ["none", colour]
    assert COLOUR.get() == "none"


def test_a_task_may_enqueue_and_wait_for_others(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def leaf(n: int) -> int:
        return n * n

    @jp.task
    def parent() -> int:
        return sum(job.result(timeout=15) for job in [leaf.enqueue(n) for n in range(4)])

    @jp.task
    async def aparent() -> int:
        jobs = [await leaf.aenqueue(n) for n in range(4)]
        return sum([await job.aresult(timeout=15) for job in jobs])

    with site.running(jp, concurrency=4):
        jobs = [site.enqueue(parent), site.enqueue(aparent)]
        assert [site.result(job) for job in jobs] == [14, 14]
