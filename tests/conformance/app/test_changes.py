"""Waiting jobs get other arguments, which are checked as those of an enqueue are."""

from __future__ import annotations

from typing import Any

import pytest

from jobpipe import Jobpipe
from jobpipe.errors import InvalidArguments, InvalidTransition, PayloadTooLarge, UnknownTask
from jobpipe.tasks import wire
from tests.conformance.app.site import Site


def args_of(site: Site, job: Any) -> Any:
    return wire.read(site.seen(job).args)


def test_a_job_runs_with_what_it_was_given_last(site: Site, jp: Jobpipe) -> None:
    @jp.task
    def join(a: int, b: str = "x") -> str:
        return f"{a}{b}"

    job = site.enqueue(join, 1)
    site.do(job, "patch", args={"a": 2}, priority=5)
    assert args_of(site, job) == {"a": 2}
    site.do(job, "patch", args={"b": "ω-7"})
    site.drain(jp)
    assert site.result(job) == "2ω-7"
    assert job.record is not None
    assert job.record.priority == 5
    told = [each.after for each in site.do(jp, "audit") if each.action == "patch"]
    assert [after.get("args") for after in told] == ["changed", "changed"]
    assert "ω-7" not in str(told)
    with pytest.raises(InvalidTransition, match="only a job that waits"):
        site.do(job, "patch", args={"a": 3})


@pytest.mark.parametrize(
    "args, error",
    [
        ({"a": "no number"}, InvalidArguments),
        ({"c": 1}, InvalidArguments),
        ({}, InvalidArguments),
        ([1], InvalidArguments),
        ({"b": "y" * 3000}, PayloadTooLarge),
    ],
)
def test_what_does_not_fit_is_refused(site: Site, args: Any, error: type[Exception]) -> None:
    jp = site.jobpipe(max_payload=2000)

    @jp.task
    def join(a: int, b: str = "x") -> str:
        return f"{a}{b}"

    job = site.enqueue(join, 1)
    with pytest.raises(error):
        site.do(job, "patch", args=args)
    assert args_of(site, job) == {"a": 1}


def test_who_does_not_know_the_task_cannot_check(site: Site, jp: Jobpipe) -> None:
    @jp.task(name="known")
    def known(a: int) -> int:
        return a

    job = site.enqueue(known, 1)
    stranger = site.jobpipe()
    if not jp.is_service:
        with pytest.raises(UnknownTask, match="task known is not declared here"):
            site.do(stranger, "patch", job.id, args={"a": 2})
    stranger.remote_task("known")
    site.do(stranger, "patch", job.id, args={"a": 2, "more": [1]})
    assert args_of(site, job) == {"a": 2, "more": [1]}


def test_old_arguments_are_brought_up_to_date_first(site: Site, jp: Jobpipe) -> None:
    @jp.task(name="greet")
    def greet(name: str) -> str:
        return name

    job = site.enqueue(greet, "Ada")
    newer = site.jobpipe()

    @newer.task(name="greet", version=2)
    def greets(names: list[str], loud: bool = False) -> str:
        return " ".join(names).upper() if loud else " ".join(names)

    @greets.upgrade(from_version=1)
    def split(args: dict[str, Any]) -> dict[str, Any]:
        return {"names": [args["name"]]}

    site.do(newer, "patch", job.id, args={"loud": True})
    assert args_of(site, job) == {"names": ["Ada"], "loud": True}
    assert site.seen(job).version == 2
    site.drain(newer)
    assert site.result(site.do(newer, "job", job.id)) == "ADA"
