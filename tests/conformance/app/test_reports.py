"""What an application tells of its jobs beside their state: their logs; and how one is deleted."""

from __future__ import annotations

from typing import Any

import pytest

from jobpipe import Job, Jobpipe, State
from jobpipe.errors import InvalidTransition, JobNotFound
from jobpipe.model.report import LogRecord
from tests.conformance.app.site import Site


def enqueued(site: Site, jp: Jobpipe) -> Job[Any]:
    @jp.task
    def work() -> None:
        pass

    return site.enqueue(work)


def write(site: Site, job: Job[Any], *lines: tuple[int, int]) -> None:
    """Write lines of the job past Jobpipe."""
    for token, number in lines:
        site.place.sql(
            "INSERT INTO {p}log (job_id, token, number, at, level, logger, message)"
            f" VALUES ({job.id}, {token}, {number}, 5, 30, 'app', 'line {token}.{number}')"
        )


def test_logs_come_in_order_page_by_page(site: Site, jp: Jobpipe) -> None:
    job = enqueued(site, jp)
    write(site, job, (2, 1), (1, 2), (1, 1), (2, 2))
    everything: list[LogRecord] = site.do(jp, "logs", job.id)
    assert [each.message for each in everything] == ["line 1.1", "line 1.2", "line 2.1", "line 2.2"]
    assert everything[0] == LogRecord(
        token=1, number=1, at=5, level=30, logger="app", message="line 1.1", fields=None
    )
    assert site.do(jp, "logs", job.id, limit=3) == everything[:3]
    assert site.do(jp, "logs", job.id, after=(1, 2), limit=1) == everything[2:3]
    assert site.do(jp, "logs", job.id, token=1) == everything[:2]
    assert site.do(jp, "logs", job.id, after=(2, 2)) == []


def test_logs_of_a_job_that_said_nothing_are_empty(site: Site, jp: Jobpipe) -> None:
    assert site.do(jp, "logs", enqueued(site, jp).id) == []
    with pytest.raises(JobNotFound, match="there is no job 999"):
        site.do(jp, "logs", 999)


def test_an_ended_job_is_deleted_once(site: Site, jp: Jobpipe) -> None:
    job = enqueued(site, jp)
    with pytest.raises(InvalidTransition, match="is queued; only a job that has ended"):
        site.do(jp, "delete", job.id)
    site.drain(jp)
    assert site.seen(job).state is State.SUCCEEDED
    assert site.do(jp, "delete", job.id) is None
    for verb in ("delete", "job", "logs", "rerun", "cancel"):
        with pytest.raises(JobNotFound):
            site.do(jp, verb, job.id)
    with pytest.raises(JobNotFound):
        site.do(job, "refresh")


def test_somebody_who_waits_for_a_deleted_job_hears_of_it(site: Site, jp: Jobpipe) -> None:
    job = enqueued(site, jp)
    site.do(job, "cancel")
    site.do(jp, "delete", job.id)
    with pytest.raises(JobNotFound):
        site.result(job)
