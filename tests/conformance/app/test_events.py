"""What becomes of jobs elsewhere is heard by who watches, and nothing is told while nobody does."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from jobpipe import Jobpipe, Retry
from jobpipe.delivery.hub import Hint
from jobpipe.runtime import watching
from jobpipe.runtime.events import Event
from jobpipe.store.sqlite.bells import Bells
from tests.conformance.app.site import Site
from tests.conformance.loop import LoopThread
from tests.waiting import until

FINAL = {"succeeded", "failed", "cancelled"}


class Reader:
    """Reads what an application tells, on the loop, into a list."""

    def __init__(self, loop: LoopThread, jp: Jobpipe, *args: Any, **wanted: Any) -> None:
        self.heard: list[Event] = []
        self._loop = loop
        loop.run(self._begin(jp, *args, **wanted))

    async def _begin(self, jp: Jobpipe, *args: Any, **wanted: Any) -> None:
        self._events = jp.events(*args, **wanted)
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async with self._events:
            async for event in self._events:
                self.heard.append(event)

    def states(self, id: int) -> list[str]:
        """The states in which a job was seen, in order."""
        return [e.data["state"] for e in list(self.heard) if e.data.get("id") == id]

    def kinds(self) -> Counter[str]:
        return Counter(event.kind for event in list(self.heard))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event.data for event in list(self.heard) if event.kind == kind]

    @property
    def has_ended(self) -> bool:
        return self._reading.done()

    def leave(self) -> str:
        """Read no more; return the last id."""

        async def close() -> str:
            id = self._events.id
            self._events.close()
            await self._reading
            return id

        return self._loop.run(close())


@pytest.fixture
def seer(site: Site, loop_thread: LoopThread) -> Iterator[Jobpipe]:
    """Another application on the store, with no worker, that watches."""
    made = site.jobpipe()
    yield made
    loop_thread.run(made.aclose())


def read(loop: LoopThread, seer: Jobpipe, **wanted: Any) -> Reader:
    """Begin to read; from when this returns on, every worker knows."""
    reader = Reader(loop, seer, **wanted)
    until(lambda: any(not told["complete"] for told in reader.of("counts")))
    until(lambda: seer.hub.watch is not None)
    return reader


def test_a_job_is_seen_where_it_stands(
    site: Site, jp: Jobpipe, seer: Jobpipe, loop_thread: LoopThread
) -> None:
    go_on = threading.Event()

    @jp.task
    def work() -> None:
        assert go_on.wait(15)

    reader = read(loop_thread, seer)
    job = site.enqueue(work)
    until(lambda: reader.states(job.id) == ["queued"])
    with site.running(jp):
        until(lambda: reader.states(job.id) == ["queued", "running"])
        go_on.set()
        until(lambda: reader.states(job.id) == ["queued", "running", "succeeded"])
    assert {told["queue"] for told in reader.of("job")} == {"default"}


def test_every_end_is_seen(site: Site, jp: Jobpipe, seer: Jobpipe, loop_thread: LoopThread) -> None:
    @jp.task(queue_name="mail")
    def succeed() -> None:
        """Nothing."""

    @jp.task(max_attempts=1)
    def fail() -> None:
        raise ValueError

    @jp.task
    def again() -> None:
        if len(tries) == 1:
            tries.append(2)
            raise Retry(after=0.6)

    tries = [1]
    reader = read(loop_thread, seer)
    cancelled = site.enqueue(succeed)
    site.do(cancelled, "cancel")
    with site.running(jp):
        jobs = [site.enqueue(task) for task in (succeed, fail, again)]
        ends = ["succeeded", "failed", "succeeded"]
        until(lambda: [reader.states(job.id)[-1:] for job in jobs] == [[end] for end in ends])
    until(lambda: reader.states(cancelled.id)[-1:] == ["cancelled"])
    assert "retrying" in reader.states(jobs[2].id)
    site.do(cancelled, "rerun")
    until(lambda: reader.states(cancelled.id)[-1:] == ["queued"])


def test_jobs_of_the_same_process_are_seen_once(
    site: Site, jp: Jobpipe, loop_thread: LoopThread
) -> None:
    @jp.task
    def work() -> None:
        """Nothing."""

    reader = read(loop_thread, jp)
    with site.running(jp):
        jobs = [site.enqueue(work) for _ in range(5)]
        until(lambda: all(reader.states(job.id)[-1:] == ["succeeded"] for job in jobs))
    for job in jobs:
        states = reader.states(job.id)
        assert len(states) == len(set(states))
    reader.leave()
    loop_thread.run(jp.aclose())


def test_queues_are_seen_to_pause(
    site: Site, jp: Jobpipe, seer: Jobpipe, loop_thread: LoopThread
) -> None:
    reader = read(loop_thread, seer, queue_name="mail")
    site.do(jp, "pause_queue", "other")
    site.do(jp, "pause_queue", "mail")
    until(lambda: reader.of("queue") == [{"queue": "mail", "paused": True}])
    site.do(jp, "resume_queue", "mail")
    until(lambda: reader.of("queue")[-1] == {"queue": "mail", "paused": False})


def test_of_many_jobs_only_counts_are_told(
    site: Site, jp: Jobpipe, seer: Jobpipe, loop_thread: LoopThread
) -> None:
    @jp.task
    def work() -> None:
        """Nothing."""

    reader = read(loop_thread, seer)
    site.do(jp, "enqueue_many", [work.call() for _ in range(400)])
    site.drain(jp)
    until(lambda: told(reader, "succeeded") >= 400)
    assert told(reader, "queued") >= 350
    assert len(reader.of("job")) <= 100
    assert told(reader, "succeeded") <= 450  # of jobs both named and counted, as windows end


def told(reader: Reader, state: str) -> int:
    """How many jobs came to a state, named or counted."""
    named = sum(data["state"] == state for data in reader.of("job"))
    changes = [change for data in reader.of("counts") for change in data["changes"]]
    return named + sum(change["jobs"] for change in changes if change["state"] == state)


def test_who_was_cut_off_misses_nothing_and_hears_nothing_twice(
    site: Site, jp: Jobpipe, seer: Jobpipe, loop_thread: LoopThread
) -> None:
    @jp.task
    def work() -> None:
        """Nothing."""

    reader = read(loop_thread, seer)
    first = site.enqueue(work)
    until(lambda: reader.states(first.id) == ["queued"])
    id = reader.leave()
    job = site.enqueue(work)
    site.drain(jp)
    again = Reader(loop_thread, seer, id)
    until(lambda: again.states(first.id)[-1:] == again.states(job.id)[-1:] == ["succeeded"])
    assert "queued" not in again.states(first.id)
    assert again.of("reset") == []


def test_nothing_is_told_while_nobody_watches(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def work() -> None:
        """Nothing."""

    @jp.task
    def again() -> None:
        if len(tries) == 1:
            tries.append(2)
            raise Retry(after=0.1)

    tries, hints = [1], list[Hint]()
    jp.hub.subscribe(hints.append)
    with site.running(jp):
        for task in (work, again):
            site.result(site.enqueue(task))
    assert hints
    assert [hint.changes for hint in hints if hint.changes is not None] == []
    assert site.place.sql("SELECT id FROM {p}watch") == []


def test_the_watch_ends_with_its_last_reader(
    site: Site,
    jp: Jobpipe,
    seer: Jobpipe,
    loop_thread: LoopThread,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "LINGER_SECONDS", 0.05)
    reader = read(loop_thread, seer)
    other = Reader(loop_thread, seer)
    assert len(site.place.sql("SELECT id FROM {p}watch")) == 1
    with site.running(jp):
        until(lambda: jp.hub.is_watched)
        id = reader.leave()
        other.leave()
        until(lambda: site.place.sql("SELECT id FROM {p}watch") == [])
        until(lambda: not jp.hub.is_watched)
    assert not seer.hub.is_watched
    assert Reader(loop_thread, seer, id).kinds().keys() <= {"reset", "counts"}


def test_closing_in_another_thread_ends_the_watch(
    site: Site, seer: Jobpipe, loop_thread: LoopThread
) -> None:
    reader = read(loop_thread, seer)
    seer.close()
    until(lambda: reader.has_ended)
    assert site.place.sql("SELECT id FROM {p}watch") == []
    assert not seer.hub.is_watched
    assert seer._access.store("")._backend is None


def test_closing_on_its_own_loop_ends_the_watch_and_leaves_its_row_to_time(
    site: Site, seer: Jobpipe, loop_thread: LoopThread
) -> None:
    async def close() -> None:
        seer.close()

    reader = read(loop_thread, seer)
    loop_thread.run(close())
    until(lambda: reader.has_ended and not seer.hub.is_watched)
    assert seer.hub.watch is None
    assert len(site.place.sql("SELECT id FROM {p}watch")) == 1
    assert seer._access.store("")._backend is None
    again = read(loop_thread, seer)
    job = site.enqueue(seer.remote_task("far"))
    until(lambda: again.states(job.id) == ["queued"])


def test_a_watch_whose_row_has_gone_begins_another(
    site: Site, seer: Jobpipe, loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PROLONG_SECONDS", 0.05)
    reader = read(loop_thread, seer)
    before = seer.hub.watch
    site.place.sql("DELETE FROM {p}watch")
    until(lambda: seer.hub.watch not in (None, before))
    until(lambda: len(reader.of("counts")) == 2)


def test_where_nobody_can_tell_one_hears_that_something_changed(
    site: Site,
    jp: Jobpipe,
    seer: Jobpipe,
    loop_thread: LoopThread,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Bells, "listen", lambda _self: None)

    @jp.task
    def work() -> None:
        """Nothing."""

    reader = read(loop_thread, seer)
    counts = len(reader.of("counts"))
    job = site.enqueue(work)
    until(lambda: reader.states(job.id) == ["queued"])
    site.drain(jp)
    if site.place.is_file:
        until(lambda: len(reader.of("counts")) > counts)
        assert not reader.of("counts")[-1]["complete"]
    else:
        until(lambda: reader.states(job.id)[-1] == "succeeded")
