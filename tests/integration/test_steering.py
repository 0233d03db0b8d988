"""What people do to jobs through an application: noted, and told when it comes too late."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from jobpipe import Jobpipe, State
from jobpipe.app.actor import acting
from jobpipe.app.steering import etag
from jobpipe.errors import PreconditionFailed
from jobpipe.model.audit import Actor
from tests.waiting import until

ADA = Actor("ada", "http", "r1")


@pytest.fixture(params=["sqlite_url", "postgres_url"])
def jp(request: pytest.FixtureRequest) -> Iterator[Jobpipe]:
    application = Jobpipe(request.getfixturevalue(request.param), poll_seconds=30)
    application.task(name="add")(add)
    yield application
    application.close()


def add(a: int, b: int) -> int:
    return a + b


def enqueue(jp: Jobpipe, **options: object) -> int:
    return jp.enqueue_named("add", [1, 2], **options).id


def test_a_created_job_is_known_without_a_question(jp: Jobpipe) -> None:
    job = jp.enqueue_named("add", [1, 2], tags=["eu"], idempotency_key="k")
    record = job.record
    assert record is not None
    assert (job.created, job.tags, job.attempt, job.error) == (True, ["eu"], 0, None)
    assert record == jp.job(job.id).record
    again = jp.enqueue_named("add", [1, 2], tags=["eu"], idempotency_key="k")
    assert (again.id, again.created, again.record) == (job.id, False, None)
    plain = asyncio.run(jp.aenqueue_named("add", [1, 2]))
    assert plain.record == jp.job(plain.id).record


def test_many_requests_at_once_share_statements_and_have_a_note_each(jp: Jobpipe) -> None:
    enqueue(jp)

    async def request(number: int) -> int:
        with acting(Actor("ada", "http", f"r{number}")):
            return (await jp.aenqueue_named("add", [number, 2])).id

    async def all_at_once() -> list[int]:
        await jp.aenqueue_named("add", [0, 0])
        return list(await asyncio.gather(*[request(number) for number in range(50)]))

    ids = asyncio.run(all_at_once())
    notes = jp.audit(limit=100)
    assert {note.request_id: note.job_id for note in notes} == {
        f"r{number}": id for number, id in enumerate(ids)
    }


def test_a_bulk_is_one_note(jp: Jobpipe) -> None:
    with acting(ADA):
        ids = jp.enqueue_many(jp.call_named("add", [n, n]) for n in range(3))
    (note,) = jp.audit()
    assert (note.who, note.via, note.request_id, note.job_id) == ("ada", "http", "r1", None)
    assert note.after == {"count": 3, "first_id": ids[0], "last_id": ids[2], "task": "add"}


def test_every_order_is_noted(jp: Jobpipe) -> None:
    id = enqueue(jp)
    later = datetime.now(UTC) + timedelta(hours=1)
    assert jp.patch(id, priority=3, run_at=later).state is State.SCHEDULED
    jp.cancel(id)
    jp.rerun(id)
    jp.cancel(id)
    jp.delete(id)
    jp.pause_queue("default", "flood")
    jp.resume_queue("default")
    actions = [note.action for note in reversed(jp.audit())]
    steps = ["patch", "cancel", "rerun", "cancel", "delete", "pause_queue", "resume_queue"]
    assert actions == steps
    assert [note.action for note in jp.audit(job_id=id)] == steps[4::-1]
    first = asyncio.run(jp.aaudit(limit=2))
    assert [note.action for note in first] == ["resume_queue", "pause_queue"]
    assert [note.action for note in jp.audit(before=first[-1].id, limit=1)] == ["delete"]


def test_an_order_to_an_older_version_is_refused(jp: Jobpipe) -> None:
    id = enqueue(jp)
    version = etag(jp.job_view(id))
    jp.patch(id, priority=3, if_version=version)
    for order in (jp.cancel, jp.rerun, jp.delete):
        with pytest.raises(PreconditionFailed):
            order(id, if_version=version)
    with pytest.raises(PreconditionFailed):
        asyncio.run(jp.apatch(id, priority=4, if_version=version))
    assert jp.job_view(id).priority == 3
    assert jp.cancel(id, if_version=etag(jp.job_view(id))).state is State.CANCELLED


def test_a_job_that_may_begin_at_once_wakes_a_worker(jp: Jobpipe) -> None:
    id = enqueue(jp, run_after=timedelta(hours=1))
    with jp.running(concurrency=1):
        until(lambda: jp.explain(id).reasons[0].code == "scheduled")
        jp.patch(id, run_at=datetime.now(UTC), queue_name="new", priority=50)
        until(lambda: jp.job(id).state is State.SUCCEEDED)


def test_jobs_are_found_in_words(jp: Jobpipe) -> None:
    id = enqueue(jp, tags=["eu"], queue_name="mail")
    enqueue(jp)
    since = datetime.now(UTC) - timedelta(minutes=5)
    assert [job.id for job in jp.jobs(q="tag:eu task:a* queue:mail", created_after=since)] == [id]
    assert jp.jobs(created_before=since) == []
    assert jp.jobs(group="g") == []


def test_how_things_stand_is_told_on_a_loop(jp: Jobpipe) -> None:
    enqueue(jp)
    watch = jp.load_watch()
    assert asyncio.run(watch.alook()).queues[0].queued == 1
    assert watch.look().queues[0].per_second is not None
