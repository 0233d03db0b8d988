"""Orders about many jobs: given to an application, carried out by whoever keeps the store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from jobpipe import Jobpipe
from jobpipe.app.actor import acting
from jobpipe.errors import InvalidArguments, InvalidTransition, OperationNotFound, WaitTimeout
from jobpipe.model.audit import Actor
from tests.conformance.app.site import ENOUGH_SECONDS, Site


def stored(site: Site, jp: Jobpipe, count: int = 3, **options: Any) -> list[int]:
    @jp.task(name="mail.send", max_attempts=1)
    def send(user_id: int) -> int:
        return 6 // user_id

    return [site.enqueue(send.using(**options), n).id for n in range(count)]


def states(site: Site, jp: Jobpipe, ids: list[int]) -> list[str]:
    return [site.do(jp, "job", id).state for id in ids]


def test_a_worker_carries_an_order_out(site: Site, jp: Jobpipe) -> None:
    ids = stored(site, jp, 5, queue_name="paused")
    site.do(jp, "pause_queue", "paused")
    op = site.do(jp, "cancel_jobs", "task:mail.* args.user_id:1,2,3", reason="by_deploy")
    assert (op.state, op.changed) == ("running", 0)
    with site.running(jp):
        site.do(op, "wait_end", ENOUGH_SECONDS)
    assert (op.state, op.matched, op.changed, op.refused) == ("done", 3, 3, 0)
    assert states(site, jp, ids) == ["queued", *["cancelled"] * 3, "queued"]
    record = site.do(jp, "job", ids[1]).record
    assert record.reason == "by_deploy"
    found = site.do(jp, "operation", op.id)
    assert found.record == site.do(op, "refresh").record
    assert (found.record.q, found.record.params.reason) == (op.record.q, "by_deploy")
    assert [each.id for each in site.do(jp, "operations")] == [op.id]
    assert site.do(jp, "operations", state="running") == []


def test_ended_jobs_are_rerun_and_then_deleted(site: Site, jp: Jobpipe) -> None:
    ids = stored(site, jp)
    site.drain(jp)
    assert states(site, jp, ids) == ["failed", "succeeded", "succeeded"]
    op = site.do(jp, "rerun_jobs", "state:succeeded")
    site.drain(jp)
    assert (site.do(op, "refresh").changed, op.state) == (2, "done")
    assert [site.do(jp, "job", id).record.reruns for id in ids] == [0, 1, 1]
    op = site.do(jp, "delete_jobs", "error:ZeroDivision")
    site.drain(jp)
    assert site.do(op, "refresh").changed == 1
    assert [job.id for job in site.do(jp, "jobs")] == ids[:0:-1]


def test_waiting_jobs_are_moved(site: Site, jp: Jobpipe) -> None:
    later = datetime(2100, 1, 1, tzinfo=UTC)
    ids = stored(site, jp, run_after=datetime(2099, 1, 1, tzinfo=UTC))
    op = site.do(jp, "move_jobs", "id:>=2", queue_name="slow", priority=-7, run_at=later)
    site.drain(jp)
    assert site.do(op, "refresh").changed == 2
    places = [(job.queue, job.priority) for job in (site.do(jp, "job", i).record for i in ids)]
    assert places == [("default", 0), ("slow", -7), ("slow", -7)]
    assert op.record.params.run_at == site.do(jp, "job", ids[2]).record.run_at


def test_a_preview_tells_what_would_be_done(site: Site, jp: Jobpipe) -> None:
    ids = stored(site, jp)
    seen = site.do(jp, "cancel_jobs", "task:mail.send", preview=True)
    assert (seen.state, seen.matched, seen.changed, seen.more) == ("preview", 3, 3, False)
    assert seen.first_ids == ids
    seen = site.do(jp, "delete_jobs", "task:mail.send", preview=True)
    assert (seen.matched, seen.changed, seen.refused) == (3, 0, 3)
    assert site.do(jp, "operations") == []
    assert states(site, jp, ids) == ["queued"] * 3
    with pytest.raises(InvalidTransition, match="this is a preview"):
        site.do(seen, "wait_end")


def test_an_operation_is_stopped(site: Site, jp: Jobpipe) -> None:
    ids = stored(site, jp)
    op = site.do(jp, "cancel_jobs", "state:queued")
    with pytest.raises(WaitTimeout, match=f"operation {op.id} has not ended within 0.05 s"):
        site.do(op, "wait_end", 0.05)
    assert site.do(op, "cancel").state == "cancelled"
    site.drain(jp)
    assert states(site, jp, ids) == ["failed", "succeeded", "succeeded"]
    with pytest.raises(InvalidTransition, match="has ended"):
        site.do(op, "cancel")


def test_the_audit_tells_once_who_gave_the_order(site: Site, jp: Jobpipe) -> None:
    stored(site, jp, run_after=datetime(2099, 1, 1, tzinfo=UTC))
    with acting(Actor("ada", "cli")):
        op = site.do(jp, "cancel_jobs", "state:scheduled")
    site.drain(jp)
    told = [each for each in site.do(jp, "audit") if each.action == "cancel_jobs"]
    assert len(told) == 1
    assert (told[0].after["operation"], told[0].after["changed"]) == (op.id, 3)
    assert told[0].who == op.who
    assert jp.is_service or told[0].who == "ada"


@pytest.mark.parametrize(
    "verb, given, what",
    [
        ("cancel_jobs", ("",), "the filter is empty"),
        ("cancel_jobs", ("stat:failed",), "position 1: the word 'stat' is not known"),
        ("move_jobs", ("state:queued",), "nothing is to change"),
    ],
)
def test_a_wrong_order_is_refused(
    site: Site, jp: Jobpipe, verb: str, given: tuple[str, ...], what: str
) -> None:
    with pytest.raises(InvalidArguments, match=what):
        site.do(jp, verb, *given)


def test_what_is_not_there_is_not_found(site: Site, jp: Jobpipe) -> None:
    for id in (99, 0, 2**70):
        with pytest.raises(OperationNotFound):
            site.do(jp, "operation", id)
    with pytest.raises(InvalidArguments, match="a whole number"):
        site.do(jp, "operation", "x")
    with pytest.raises(InvalidArguments, match="option reason="):
        site.do(jp, "cancel_jobs", "state:queued", reason="lost")
    with pytest.raises(InvalidArguments, match="option state="):
        site.do(jp, "operations", state="preview")
