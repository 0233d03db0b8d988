"""Wishes that meet: what cannot be kept together is refused, and no job stops the others."""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

import pytest

from jobpipe import Concurrency, Jobpipe, Rate, State, previous
from jobpipe.errors import ConfigError, InvalidArguments, InvalidTransition, JobFailed
from tests.conformance.app.site import Site


class Colour(Enum):
    RED = "red"


def test_a_job_has_a_tenant_or_a_group(site: Site) -> None:
    jp = site.jobpipe()

    @jp.task(tenant="{user}")
    def mail(user: str) -> None: ...

    with pytest.raises(InvalidArguments, match="a tenant or a group, not both"):
        site.do(mail.using(group="user-1"), "enqueue", "ann")
    assert site.do(jp, "jobs") == []


@pytest.mark.parametrize(
    "options, told",
    [
        ({"tenant": "{user}", "group": "user-{user}"}, "a job has a tenant or a group, not both"),
        ({"rate": ["3/d", "100/s"]}, "two limits of the kind rate have the key 't'"),
        (
            {"concurrency": [Concurrency(1, key="a-{user}"), Concurrency(2, key="a-{user}")]},
            "two limits of the kind concurrency have the key 'a-{user}'",
        ),
    ],
)
def test_what_no_job_of_a_task_could_keep_is_refused_where_it_is_declared(
    options: dict[str, Any], told: str
) -> None:
    jp = Jobpipe("sqlite:///:memory:")
    with pytest.raises(ConfigError, match=re.escape(f"task t: {told}")):

        @jp.task(name="t", **options)
        def t(user: str) -> None: ...

    jp.close()


def test_two_limits_of_one_kind_need_keys_of_their_own(site: Site) -> None:
    jp = site.jobpipe()

    @jp.task
    def fetch() -> None: ...

    with pytest.raises(InvalidArguments, match="two limits of the kind rate have the key"):
        site.do(fetch.using(rate=["3/d", "100/s"]), "enqueue")
    apart = fetch.using(rate=[Rate(3, per=86400, key="a day"), Rate(100, per=1, key="a second")])
    assert site.do(apart, "enqueue").state is State.BLOCKED


def test_a_node_with_other_arguments_stops_nobody(site: Site) -> None:
    jp = site.jobpipe()

    @jp.task
    def one() -> int:
        return 1

    @jp.task
    def tell(what: Any) -> str:
        return str(what)

    @jp.task(concurrency=1)
    def other() -> None: ...

    flow = jp.flow("changed")
    flow.add(tell.call({"sum": flow.add(one.call()).result}))
    site.do(flow, "enqueue")
    (told,) = [job for job in site.do(jp, "jobs") if job.state is State.BLOCKED]
    site.do(jp, "patch", told.id, args={"what": "text"})
    gated = site.do(other, "enqueue")
    with site.running(jp):
        assert site.result(told) == "text"
        site.result(gated)


def test_what_is_handed_on_may_stand_under_a_key_that_is_no_text(site: Site) -> None:
    jp = site.jobpipe()

    @jp.task
    def one() -> int:
        return 1

    @jp.task
    def tell(what: dict[Colour, list[int]]) -> int:
        return what[Colour.RED][0]

    chain = jp.chain(one.call(), tell.call({Colour.RED: [previous]}))
    site.do(chain, "enqueue")
    with site.running(jp):
        assert chain.result(timeout=20) == 1


def test_a_key_needs_no_result_that_is_still_to_come(site: Site) -> None:
    jp = site.jobpipe()

    @jp.task
    def one() -> str:
        return "ann"

    @jp.task(group="user-{user}")
    def mail(user: str) -> None: ...

    with pytest.raises(InvalidArguments, match="needs the argument 'user'"):
        site.do(jp.chain(one.call(), mail), "enqueue")


def test_a_link_that_is_run_anew_comes_after_the_one_before_it(site: Site) -> None:
    jp = site.jobpipe()

    @jp.task
    def one() -> int:
        return 1

    @jp.task
    def add(number: int) -> int:
        return number + 1

    chain = jp.chain(one.call(), add)
    site.do(chain, "enqueue")
    last, first = site.do(jp, "jobs")
    for job in (first, last):
        site.do(jp, "cancel", job.id)
    for job in (last, first):
        site.do(jp, "rerun", job.id)
    assert site.do(jp, "job", last.id).state is State.BLOCKED
    with site.running(jp):
        assert site.result(site.do(jp, "job", last.id)) == 2


def test_a_node_is_run_anew_only_where_its_place_is_kept(site: Site) -> None:
    jp = site.jobpipe()

    @jp.task(max_attempts=1)
    def fails() -> int:
        raise ValueError

    @jp.task
    def add(number: int) -> int:
        return number + 1

    chain = jp.chain(fails.call(), add)
    site.do(chain, "enqueue")
    with site.running(jp), pytest.raises(JobFailed):
        chain.result(timeout=20)
    last, first = site.do(jp, "jobs")
    with pytest.raises(InvalidTransition, match=f"comes after {first.id}"):
        site.do(jp, "rerun", last.id)
    site.do(jp, "delete", first.id)
    with pytest.raises(InvalidTransition, match="has lost 1 of its nodes"):
        site.do(jp, "rerun_flow", chain.id)


def test_orders_about_flows_are_noted(site: Site) -> None:
    jp = site.jobpipe()

    @jp.task
    def one() -> int:
        return 1

    batch = jp.batch([one.call()])
    site.do(batch, "enqueue")
    site.do(jp, "cancel_flow", batch.id)
    newest = site.do(jp, "audit", limit=1)[0]
    assert (newest.action, newest.via) == ("cancel_flow", "python")


def test_arguments_that_would_change_a_name_are_refused(site: Site) -> None:
    jp = site.jobpipe()

    @jp.task(group="user-{user}")
    def mail(user: str, text: str = "") -> None: ...

    job = site.do(mail, "enqueue", "ann")
    told = "the gates would be 'group:user-bob', not 'group:user-ann'"
    with pytest.raises(InvalidArguments, match=told):
        site.do(jp, "patch", job.id, args={"user": "bob"})
    site.do(jp, "patch", job.id, args={"text": "hello"})


@pytest.mark.parametrize(
    "options",
    [{"group": False, "unique": False}, {"group": "all", "unique": "once"}],
)
def test_names_of_its_own_do_not_hang_on_a_jobs_arguments(
    site: Site, options: dict[str, Any]
) -> None:
    jp = site.jobpipe()

    @jp.task(group="user-{user}", unique="mail-{user}")
    def mail(user: str) -> None: ...

    job = site.do(mail.using(**options), "enqueue", "ann")
    site.do(jp, "patch", job.id, args={"user": "bob"})
    assert site.seen(job).args == '{"user":"bob"}'
    with pytest.raises(InvalidArguments, match="'mail-bob', not 'mail-ann'"):
        site.do(jp, "patch", site.do(mail, "enqueue", "ann").id, args={"user": "bob"})


def test_a_tenant_of_its_own_does_not_hang_on_a_jobs_arguments(site: Site) -> None:
    jp = site.jobpipe()

    @jp.task(tenant="of-{user}")
    def mail(user: str) -> None: ...

    own = site.do(mail.using(tenant="all"), "enqueue", "ann")
    site.do(jp, "patch", own.id, args={"user": "bob"})
    made = site.do(mail, "enqueue", "ann")
    with pytest.raises(InvalidArguments, match="'of-bob', not 'of-ann'"):
        site.do(jp, "patch", made.id, args={"user": "bob"})
