"""Whether code could run all that waits in a store: each thing that it may find."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from jobpipe import Jobpipe, State, previous
from jobpipe.app import check
from jobpipe.app.check import CheckView
from jobpipe.errors import ConfigError
from jobpipe.store.ops import waiting
from tests.conformance.app.site import Site
from tests.conformance.lab import Lab

STORES = pytest.mark.parametrize("site", ["sqlite-sync", "postgresql-sync"], indirect=True)

ALL_WELL = CheckView(ok=True, checked=0, refused=0, findings=[])


def shipped(jp: Jobpipe) -> None:
    """Declare the tasks of the code that is to ship."""

    @jp.task(name="kept")
    def kept(a: int) -> None: ...

    @jp.task(name="upgraded", aliases=["renamed"], version=3)
    def upgraded(b: int) -> None: ...

    @upgraded.upgrade(from_version=2)
    def b_for_a(args: dict[str, Any]) -> dict[str, Any]:
        return {"b": args["a"]}

    jp.remote_task("elsewhere")


def stored(site: Site, task: str, version: int = 1, **args: Any) -> int:
    """Store a job as other code would."""
    jp = site.jobpipe()
    declared = jp.task(name=task, version=version)(_anything)
    return site.enqueue(declared, **args).id


def _anything(a: Any = None, b: Any = None) -> None: ...


@STORES
def test_every_kind_of_job_that_would_not_run_is_found(site: Site, jp: Jobpipe) -> None:
    shipped(jp)
    gone = [stored(site, "gone", n, a=n) for n in range(1, 8)]
    undecodable = stored(site, "kept", a="no number")
    newer = stored(site, "kept", 2, a=1)
    failing = stored(site, "renamed", 2, b=1)
    too_old = stored(site, "upgraded", 1, b=1)
    unfit = stored(site, "upgraded", 2, a="text")
    fine = [
        stored(site, "kept", a=1),
        stored(site, "renamed", 2, a=1),
        stored(site, "renamed", 3, b=1),
        stored(site, "elsewhere", 9, a=1),
    ]
    before = site.place.sql("SELECT * FROM {p}job ORDER BY id")
    found = jp.check_jobs()
    assert (found.ok, found.checked, found.refused) == (False, 12 + len(fine), 12)
    told = [(each.code, each.task, each.jobs, each.first_ids) for each in found.findings]
    assert told == [
        ("unknown_task", "gone", 7, gone[:5]),
        ("newer_version", "kept", 1, [newer]),
        ("undecodable", "kept", 1, [undecodable]),
        ("upgrade_failed", "renamed", 1, [failing]),
        ("no_upgrade", "upgraded", 1, [too_old]),
        ("undecodable", "upgraded", 1, [unfit]),
    ]
    assert [each.why for each in found.findings] == [
        "no task of this code is named gone",
        "task kept: the arguments are of version 2, this code knows version 1",
        "task kept: the arguments do not fit: Expected `int`, got `str` - at `$.a`",
        "task upgraded: the upgrade from version 2 failed: KeyError: 'a'",
        "task upgraded: the arguments are of version 1, this code takes version 3 and has no"
        " upgrade from version 1",
        "task upgraded: the arguments do not fit: Expected `int`, got `str` - at `$.b`",
    ]
    assert site.place.sql("SELECT * FROM {p}job ORDER BY id") == before


@STORES
def test_only_jobs_that_wait_count_in_whatever_state(site: Site, jp: Jobpipe) -> None:
    old = site.jobpipe()

    @old.task(name="old", max_attempts=2)
    def task(fails: bool) -> None:
        assert not fails

    shipped(jp)
    later = site.enqueue(task.using(run_after=timedelta(hours=1)), False)
    done = site.enqueue(task, False)
    retried = site.enqueue(task.using(max_attempts=9), True)
    failed = site.enqueue(task.using(max_attempts=1), True)
    old.configured(retry_delays="60")
    site.drain(old)
    parked = site.enqueue(task, False)
    site.drain(jp)
    queued = site.enqueue(task, False)
    states = [site.seen(job).state for job in (done, retried, failed, parked)]
    assert states == [State.SUCCEEDED, State.RETRYING, State.FAILED, State.PARKED]
    (finding,) = jp.check_jobs().findings
    assert (finding.code, finding.jobs) == ("unknown_task", 4)
    assert finding.first_ids == [later.id, retried.id, parked.id, queued.id]


@STORES
def test_jobs_that_wait_for_results_are_judged_by_task_and_version(site: Site, jp: Jobpipe) -> None:
    """Where a result is to go stands null, which would fit no parameter."""
    old = site.jobpipe()
    gone = old.remote_task("gone")

    @old.task(name="add")
    def add(a: int) -> int:
        return a

    @old.task(name="newer", version=2)
    def newer(a: int) -> int:
        return a

    jp.task(name="add")(add.function)
    jp.task(name="newer")(add.function)
    site.enqueue(old.chain(add.call(1), add, add))
    assert jp.check_jobs() == CheckView(ok=True, checked=3, refused=0, findings=[])
    site.enqueue(old.chain(add.call(1), newer, gone.call({"of": previous})))
    found = jp.check_jobs()
    assert (found.checked, found.refused) == (6, 2)
    told = [(each.code, each.task) for each in found.findings]
    assert told == [("unknown_task", "gone"), ("newer_version", "newer")]


@STORES
def test_pages_are_bounded_by_rows_and_by_size(
    site: Site, jp: Jobpipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped(jp)
    jp.counts()
    assert jp.check_jobs() == ALL_WELL
    for n in range(9):
        stored(site, "kept", a=n)
    stored(site, "gone", a="x" * 100)
    pages: list[int] = []
    original = waiting.waiting_page

    def counted(after: int) -> Any:
        pages.append(after)
        return original(after)

    monkeypatch.setattr(check, "waiting_page", counted)
    for slice_, characters, least in [(5_000, 10**6, 2), (4, 10**6, 4), (5_000, 20, 4)]:
        monkeypatch.setattr(waiting, "SLICE", slice_)
        monkeypatch.setattr(waiting, "PAGE_CHARACTERS", characters)
        pages.clear()
        found = jp.check_jobs()
        assert (found.checked, found.refused) == (10, 1)
        assert len(pages) >= least


@STORES
def test_what_is_told_apart_is_bounded_and_all_is_counted(
    site: Site, jp: Jobpipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "FINDINGS_MAX", 2)
    for name in ("x", "y", "z", "x"):
        stored(site, name)
    found = jp.check_jobs()
    assert (found.checked, found.refused) == (4, 4)
    assert [(each.task, each.jobs) for each in found.findings] == [("x", 2), ("y", 1)]


@STORES
def test_a_store_with_another_schema_is_not_touched(site: Site) -> None:
    jp = site.jobpipe(**({} if site.place.is_file else {"schema": "nowhere"}))
    with pytest.raises(ConfigError, match="the store's schema has version 0"):
        jp.check_jobs()
    assert jp.schema_status().applied == ()


@STORES
def test_code_that_is_declared_wrong_is_told_first(site: Site, jp: Jobpipe) -> None:
    jp.counts()
    task = jp.task(name="gap", version=3)(_anything)
    task.upgrade(from_version=1)(lambda args: args)
    with pytest.raises(ConfigError, match="leads nowhere"):
        jp.check_jobs()


def test_waiting_jobs_are_read_page_by_page(lab: Lab) -> None:
    assert lab.run(waiting.waiting_page(0)) == waiting.WaitingPage([], None)
    ids = [lab.new(args='{"a":1}'), lab.finished(State.SUCCEEDED), lab.new(task="other")]
    page = lab.run(waiting.waiting_page(0))
    assert [(job.id, job.task, job.args) for job in page.jobs] == [
        (ids[0], "t", '{"a":1}'),
        (ids[2], "other", "{}"),
    ]
    assert page.position == ids[2]
    assert lab.run(waiting.waiting_page(ids[2])).position is None
