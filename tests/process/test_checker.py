"""The checker on histories written by hand: each anomaly found, and its innocent twin not."""

from __future__ import annotations

import pytest

from tests.process import stories_of_gates
from tests.process.checker import Kind, check
from tests.process.contents import Contents, JobRow
from tests.process.ledger import Entry
from tests.process.stories import (
    OTHER,
    WORKER,
    answered,
    asked,
    attempt,
    begun,
    ended,
    harmed,
    healed,
    job,
    refused,
    store,
    story,
    unanswered,
)

ONCE = (asked(), answered(), begun(), ended())
AGAIN = (begun(token=2, pid=OTHER), ended(token=2, pid=OTHER))
LATER = job(token=2)
LOST_ONCE = attempt("lost"), attempt("succeeded", token=2)
RETRIED = attempt("failed"), attempt("succeeded", token=2)

CLEAN: dict[str, tuple[list[Entry], Contents]] = {
    "nothing": ([], store()),
    "one job": (story(*ONCE), store(job())),
    "no answer, not stored": (story(asked(), unanswered()), store()),
    "no answer, stored": (story(asked(), unanswered(), begun(), ended()), store(job())),
    "the producer died, stored": (story(asked(), begun(), ended()), store(job())),
    "refused": (story(asked(), refused()), store()),
    "no answer, asked again": (
        story(asked(), unanswered(), asked(), answered(), begun(), ended()),
        store(job()),
    ),
    "refused, asked again": (story(asked(), refused(), *ONCE), store(job())),
    "retried": (
        story(asked(), answered(), begun(), ended("raised"), *AGAIN),
        store(job(token=2, attempt=2), attempts=RETRIED),
    ),
    "snoozed": (
        story(asked(), answered(), begun(), ended("raised"), *AGAIN),
        store(LATER, attempts=(attempt("snoozed"), attempt("succeeded", token=2))),
    ),
    "killed while it ran": (
        story(asked(), answered(), begun(), harmed(), *AGAIN),
        store(job(token=2, losses=1), attempts=LOST_ONCE),
    ),
    "killed after it returned": (
        story(*ONCE, harmed(), *AGAIN),
        store(job(token=2, losses=1), attempts=LOST_ONCE),
    ),
    "paused, taken over, woken": (
        story(
            asked(),
            answered(),
            begun(),
            harmed(),
            begun(token=2, pid=OTHER),
            healed(),
            ended(),
            ended(token=2, pid=OTHER),
        ),
        store(job(token=2, losses=1), attempts=LOST_ONCE),
    ),
    "paused before it began, woken late": (
        story(asked(), answered(), harmed(), *AGAIN, healed(), begun(), ended()),
        store(job(token=2, losses=1), attempts=LOST_ONCE),
    ),
    "given back and run": (
        story(asked(), answered(), begun(), ended("interrupted"), *AGAIN),
        store(LATER, attempts=(attempt("succeeded", token=2),)),
    ),
    "given up after three losses": (
        story(asked(), answered(), begun(), harmed(None)),
        store(
            job(state="failed", reason="lost", token=3, losses=3, attempt=0),
            attempts=(attempt("lost"), attempt("lost", 2), attempt("lost", 3)),
        ),
    ),
    "cancelled while it ran": (
        story(asked(), answered(), begun(), ended("interrupted")),
        store(job(state="cancelled", attempt=1), attempts=(attempt("cancelled"),)),
    ),
    "cancelled before it ran": (
        story(asked(), answered()),
        store(job(state="cancelled", attempt=0), attempts=(attempt("cancelled"),)),
    ),
    "a thread goes on after its time-out": (
        story(asked(), answered(), begun(), begun(token=2), ended(token=2), ended()),
        store(
            job(token=2, attempt=2),
            attempts=(attempt("timed_out"), attempt("succeeded", token=2)),
        ),
    ),
    "on time": (story(asked(delay=2.0), answered(), begun(), ended()), store(job())),
    "a lease lost to a fault": (
        story(*ONCE, harmed(), ("event", WORKER, {"how": "LeaseEnded"})),
        store(job()),
    ),
} | stories_of_gates.CLEAN

TWO = (asked(), answered(), asked("b"), answered("b", job=2))

FOUND: dict[str, tuple[Kind, list[Entry], Contents]] = {
    "acknowledged and gone": (Kind.LOST, story(asked(), answered()), store()),
    "acknowledged under another id": (Kind.LOST, story(*ONCE), store(job(id=2))),
    "done by nobody": (Kind.LOST, story(asked(), answered()), store(job())),
    "given up too early": (
        Kind.LOST,
        story(asked(), answered()),
        store(job(state="failed", reason="lost", losses=1, attempt=0), attempts=(attempt("lost"),)),
    ),
    "stored twice": (Kind.DOUBLED, story(*ONCE), store(job(), job(id=2))),
    "a key with two jobs": (
        Kind.DOUBLED,
        story(asked(key="k"), answered(), asked("b", key="k"), answered("b", job=2)),
        store(job(key="k"), job(id=2, op="b", key="k")),
    ),
    "done twice for no reason": (
        Kind.DOUBLED,
        story(*ONCE, *AGAIN),
        store(LATER, attempts=(attempt("succeeded", token=2),)),
    ),
    "done, then lost without a fault": (
        Kind.DOUBLED,
        story(*ONCE, *AGAIN),
        store(job(token=2, losses=1), attempts=LOST_ONCE),
    ),
    "done again before the fault": (
        Kind.DOUBLED,
        story(*ONCE, *AGAIN, harmed()),
        store(job(token=2, losses=1), attempts=LOST_ONCE),
    ),
    "done again after a fault that was over": (
        Kind.DOUBLED,
        story(harmed(), healed(), *ONCE, *AGAIN),
        store(LATER, attempts=(attempt("succeeded", token=2),)),
    ),
    "two successes recorded": (
        Kind.DOUBLED,
        story(*ONCE),
        store(LATER, attempts=(attempt("succeeded"), attempt("succeeded", token=2))),
    ),
    "two runs at once": (
        Kind.OVERLAPPING,
        story(asked(), answered(), begun(), begun(token=2), ended(token=2), ended()),
        store(LATER, attempts=(attempt("succeeded", token=2),)),
    ),
    "two runs at once, the other worker was harmed": (
        Kind.OVERLAPPING,
        story(asked(), answered(), harmed(OTHER), begun(), *AGAIN, ended()),
        store(job(token=2, losses=1), attempts=LOST_ONCE),
    ),
    "early": (Kind.EARLY, story(asked(delay=5.0), answered(), begun(), ended()), store(job())),
    "another attempt's result": (Kind.STALE, story(*ONCE), store(job(token=2, result_token=1))),
    "the history goes on": (Kind.STALE, story(*ONCE), store(job(), attempts=(attempt("lost", 2),))),
    "still queued": (Kind.STUCK, story(asked(), answered()), store(job(state="queued"))),
    "still running": (Kind.STUCK, story(asked(), begun()), store(job(state="running"))),
    "rolled back and stored": (Kind.ABORTED, story(asked(), refused()), store(job())),
    "rolled back and run": (Kind.ABORTED, story(asked(), refused(), begun(), ended()), store()),
    "an attempt not counted": (
        Kind.UNCHARGED,
        story(asked(), answered(), begun(), ended("raised"), *AGAIN),
        store(job(token=2, attempt=1), attempts=RETRIED),
    ),
    "a loss not counted": (
        Kind.UNCHARGED,
        story(asked(), answered(), begun(), harmed(), *AGAIN),
        store(LATER, attempts=LOST_ONCE),
    ),
    "a loss counted as an attempt": (
        Kind.OVERCHARGED,
        story(asked(), answered(), begun(), harmed(), *AGAIN),
        store(job(token=2, attempt=2, losses=1), attempts=LOST_ONCE),
    ),
    "a loss that was none": (Kind.OVERCHARGED, story(*ONCE), store(job(losses=1))),
    "one token twice": (
        Kind.TOKEN_NOT_RISING,
        story(asked(), answered(), begun(), ended("interrupted"), begun(), ended()),
        store(job()),
    ),
    "an older token later": (
        Kind.TOKEN_NOT_RISING,
        story(asked(), answered(), *AGAIN, begun(), ended()),
        store(LATER, attempts=LOST_ONCE),
    ),
    "the job's token fell back": (
        Kind.TOKEN_NOT_RISING,
        story(asked(), answered(), *AGAIN),
        store(job(token=1)),
    ),
    "counted twice": (Kind.TALLY_DRIFT, story(*ONCE), store(job(), succeeded=2)),
    "counted for another state": (Kind.TALLY_DRIFT, story(*ONCE), store(job(), failed=1)),
    "asked for by nobody": (Kind.CONSERVATION, [], store(job(state="failed", attempt=0))),
    "run and not in the store": (
        Kind.CONSERVATION,
        story(asked(), unanswered(), begun(), ended()),
        store(),
    ),
    "a lease lost for nothing": (
        Kind.LEASE_LOST,
        story(*ONCE, ("event", WORKER, {"how": "LeaseEnded"})),
        store(job()),
    ),
} | stories_of_gates.FOUND


@pytest.mark.parametrize("name", CLEAN)
def test_nothing_is_found_in(name: str) -> None:
    assert check(*CLEAN[name], in_order=True) == []


@pytest.mark.parametrize("name", FOUND)
def test_found(name: str) -> None:
    kind, entries, contents = FOUND[name]
    assert kind in {anomaly.kind for anomaly in check(entries, contents)}


def test_every_kind_is_told_apart_from_an_innocent_history() -> None:
    assert {kind for kind, _, _ in FOUND.values()} | {Kind.REORDERED} == set(Kind)


def test_a_job_that_overtook_another_is_found_only_where_order_was_promised() -> None:
    first = (begun(job=1), ended(job=1))
    second = (begun("b", job=2), ended(op="b", job=2))
    contents = store(job(), job(id=2, op="b"))
    assert check(story(*TWO, *first, *second), contents, in_order=True) == []
    overtaken = story(*TWO, *second, *first)
    assert check(overtaken, contents) == []
    assert [found.kind for found in check(overtaken, contents, in_order=True)] == [Kind.REORDERED]


@pytest.mark.parametrize(
    "first, second",
    [
        (job(priority=0), job(id=2, op="b", priority=5)),
        (job(queue="slow"), job(id=2, op="b", queue="fast")),
    ],
    ids=["another priority", "another queue"],
)
def test_order_is_kept_only_within_a_lane(first: JobRow, second: JobRow) -> None:
    lines = story(*TWO, begun("b", job=2), ended(op="b", job=2), begun(), ended())
    found = check(lines, store(first, second), in_order=True)
    assert Kind.REORDERED not in {anomaly.kind for anomaly in found}
