"""Whose a job is, as its task or its caller says, and who has how many turns."""

from __future__ import annotations

from collections import Counter

import pytest

from jobpipe import Jobpipe, State, previous
from jobpipe.errors import ConfigError, InvalidArguments
from jobpipe.store.ops.tenant import TenantRecord
from tests.conformance.app.site import Site


def test_the_arguments_say_whose_a_job_is(site: Site, jp: Jobpipe) -> None:
    @jp.task(tenant="org-{account_id}")
    def bill(account_id: int, cents: int = 0) -> int:
        return cents

    mine = site.enqueue(bill, 7, cents=5)
    other = site.enqueue(bill.using(tenant="acme"), 7)
    assert [site.seen(job).tenant for job in (mine, other)] == ["org-7", "acme"]
    assert mine.state is State.BLOCKED
    site.drain(jp)
    assert site.result(mine) == 5
    assert site.seen(other).state is State.SUCCEEDED


def test_a_template_that_does_not_fit_the_task_is_refused(jp: Jobpipe) -> None:
    with pytest.raises(ConfigError, match=r"tenant='\{who\}' is refused; .*parameters \(a\)"):

        @jp.task(tenant="{who}")
        def bill(a: int) -> None: ...


def test_what_makes_no_name_is_refused_before_anything_is_stored(site: Site, jp: Jobpipe) -> None:
    @jp.task(tenant="{who}")
    def bill(who: str) -> None: ...

    with pytest.raises(InvalidArguments, match="becomes '', which is refused"):
        site.enqueue(bill, "")
    with pytest.raises(InvalidArguments, match="option tenant='' is refused"):
        bill.using(tenant="")
    assert site.do(jp, "counts")["blocked"] == 0


def test_the_jobs_of_a_flow_have_tenants_too(site: Site, jp: Jobpipe) -> None:
    @jp.task(tenant="{who}")
    def count(who: str, so_far: int = 0) -> int:
        return so_far + 1

    links = [count.call("acme"), count.call("acme", previous), count.call("acme", previous)]
    chain = site.do(jp.chain(*links), "enqueue")
    site.drain(jp)
    assert site.result(chain) == 3
    with pytest.raises(InvalidArguments, match="'who', which is known only when another job"):
        site.do(jp.chain(count.call("acme"), count), "enqueue")


def test_a_weight_counts_and_is_shown(site: Site, jp: Jobpipe) -> None:
    order: list[str] = []

    @jp.task(tenant="{who}")
    def note(who: str) -> None:
        order.append(who)

    site.do(jp, "set_weight", "default", "gold", 3)
    for who in ("iron", "gold"):
        site.do(jp, "enqueue_many", [note.call(who)] * 60)
    shown = site.do(jp, "tenants", "default")
    assert [(each.name, each.weight) for each in shown] == [("gold", 3)]
    site.drain(jp, concurrency=1)
    assert 27 <= Counter(order[:40])["gold"] <= 33
    assert site.do(jp, "tenants") == [
        TenantRecord(queue="default", name="gold", weight=3),
        TenantRecord(queue="default", name="iron"),
    ]


@pytest.mark.parametrize(
    "queue, tenant, weight, told",
    [
        ("no queue", "acme", 1, "option queue_name='no queue'"),
        ("mail", "", 1, "option tenant=''"),
        ("mail", "acme", 0, "option weight=0 is refused; allowed: a whole number from 1 to 1000"),
    ],
)
def test_a_wrong_weight_is_refused(
    site: Site, jp: Jobpipe, queue: str, tenant: str, weight: int, told: str
) -> None:
    with pytest.raises(InvalidArguments) as refused:
        site.do(jp, "set_weight", queue, tenant, weight)
    assert told in str(refused.value)


def test_a_job_waits_for_no_poll(site: Site) -> None:
    jp = site.jobpipe(poll_seconds=30)

    @jp.task(tenant="acme")
    def hello() -> str:
        return "hello"

    with site.running(jp):
        for _ in range(20):
            assert site.result(site.enqueue(hello), timeout=5) == "hello"
