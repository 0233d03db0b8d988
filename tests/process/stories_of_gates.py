"""Histories of jobs that pass gates or come after others, written by hand."""

from __future__ import annotations

from typing import Any

from tests.process.checker import Kind
from tests.process.contents import Contents
from tests.process.ledger import Entry, Gate, What
from tests.process.stories import (
    OTHER,
    answered,
    asked,
    attempt,
    begun,
    ended,
    harmed,
    healed,
    job,
    store,
    story,
)

Line = tuple[What, int, dict[str, Any]]

LOST_ONCE = attempt("lost", ended=6), attempt("succeeded", token=2)
BACK = job(token=2, losses=1)


def two(**fields: Any) -> tuple[Line, ...]:
    """Ask for a and b, one after the other."""
    return asked(**fields), answered(), asked("b", **fields), answered("b", job=2)


def run_of_b(**fields: Any) -> tuple[Line, Line]:
    return begun("b", job=2, **fields), ended(op="b", job=2, **fields)


ONE_AT_A_TIME = two(gates=(Gate("concurrency", "k"),))
IN_TURN = two(gates=(Gate("group", "g"),))
DONE = store(job(), job(id=2, op="b"))
A_CAME_BACK = store(BACK, job(id=2, op="b"), attempts=LOST_ONCE)
A_AGAIN = begun(token=2, pid=OTHER), ended(token=2, pid=OTHER)
RATED = (Gate("rate", "r", n=1, per=4.0, burst=1),)
"""One in four moments, one at once; the checker lets a quarter of a job more begin together."""


def flow(*lines: Line) -> list[Entry]:
    """Ask for a node and its three callbacks, then go on."""
    wishes = [asked("a", flow="f", role="node")]
    wishes += [
        asked(role, flow="f", role=role, after=("a",))
        for role in ("on_success", "on_failure", "on_done")
    ]
    answers = [
        answered("a"),
        *(answered(wish[2]["op"], 2 + n) for n, wish in enumerate(wishes[1:])),
    ]
    return story(*wishes, *answers, *lines)


def called(op: str, id: int) -> tuple[Line, Line]:
    return begun(op, job=id), ended(op=op, job=id)


WELL = (begun(), ended(), *called("on_success", 2), *called("on_done", 4))
SUCCESS, DONE_CALL = job(id=2, op="on_success"), job(id=4, op="on_done")
NO_FAILURE = job(id=3, op="on_failure", state="cancelled", attempt=0, token=0)
DELAYED = asked(gates=(Gate("group", "g"),), delay=1.0)

CLEAN: dict[str, tuple[list[Entry], Contents]] = {
    "one after the other": (story(*ONE_AT_A_TIME, begun(), ended(), *run_of_b()), DONE),
    "two of two at a time": (
        story(
            *two(gates=(Gate("concurrency", "k", n=2),)),
            begun(),
            begun("b", job=2),
            ended(),
            ended(op="b", job=2),
        ),
        DONE,
    ),
    "one runs on that was taken back": (
        story(*ONE_AT_A_TIME, begun(), harmed(), *A_AGAIN, *run_of_b(), healed(), ended()),
        A_CAME_BACK,
    ),
    "a turn over a death": (
        story(*IN_TURN, begun(), harmed(), *A_AGAIN, *run_of_b()),
        A_CAME_BACK,
    ),
    "a turn taken by who came later than a delayed job": (
        story(DELAYED, answered(), *IN_TURN[2:], *run_of_b(), begun(), ended()),
        DONE,
    ),
    "at the rate": (
        story(*two(gates=RATED), begun(), ended(), asked("c"), answered("c", 3), *run_of_b()),
        store(job(), job(id=2, op="b"), job(id=3, op="c", state="cancelled", attempt=0)),
    ),
    "a slot that was given back for a dead worker": (
        story(*ONE_AT_A_TIME, begun(), harmed(), *run_of_b(pid=OTHER), *A_AGAIN),
        store(job(token=2), job(id=2, op="b"), attempts=(attempt("succeeded", token=2),)),
    ),
    "callbacks of a success": (flow(*WELL), store(job(), SUCCESS, NO_FAILURE, DONE_CALL)),
    "a flow that was not stored": (flow()[:4], store()),
}

FOUND: dict[str, tuple[Kind, list[Entry], Contents]] = {
    "two of one at a time": (
        Kind.OVER_LIMIT,
        story(*ONE_AT_A_TIME, begun(), begun("b", job=2), ended(), ended(op="b", job=2)),
        DONE,
    ),
    "a slot taken from a dead worker before its job was taken back": (
        Kind.OVER_LIMIT,
        story(*ONE_AT_A_TIME, begun(), begun("b", job=2, pid=OTHER), harmed(), *A_AGAIN),
        A_CAME_BACK,
    ),
    "a turn taken while the other ran": (
        Kind.OUT_OF_TURN,
        story(*IN_TURN, begun(), begun("b", job=2), ended(), ended(op="b", job=2)),
        DONE,
    ),
    "a turn taken before a retry": (
        Kind.OUT_OF_TURN,
        story(*IN_TURN, begun(), ended("raised"), *run_of_b(), *A_AGAIN),
        store(
            job(token=2, attempt=2),
            job(id=2, op="b"),
            attempts=(attempt("failed"), attempt("succeeded", token=2)),
        ),
    ),
    "a turn taken between a death and the next run": (
        Kind.OUT_OF_TURN,
        story(*IN_TURN, begun(), harmed(), *run_of_b(pid=OTHER), *A_AGAIN),
        A_CAME_BACK,
    ),
    "the later one first": (
        Kind.OUT_OF_TURN,
        story(*IN_TURN, *run_of_b(), begun(), ended()),
        DONE,
    ),
    "faster than the rate": (
        Kind.OVER_RATE,
        story(*two(gates=RATED), begun(), begun("b", job=2), ended(), ended(op="b", job=2)),
        DONE,
    ),
    "a retry without a new token": (
        Kind.OVER_RATE,
        story(asked(gates=RATED), answered(), begun(), ended("raised"), *A_AGAIN),
        store(job(token=2, attempt=2), attempts=(attempt("failed"), attempt("succeeded", token=2))),
    ),
    "a start after a death without a new token": (
        Kind.OVER_RATE,
        story(asked(gates=RATED), answered(), begun(), harmed(), *A_AGAIN),
        store(BACK, attempts=(attempt("lost", ended=4), attempt("succeeded", token=2))),
    ),
    "not called": (
        Kind.NOT_CALLED_ONCE,
        flow(begun(), ended(), *called("on_done", 4)),
        store(
            job(),
            job(id=2, op="on_success", state="cancelled", attempt=0),
            NO_FAILURE,
            DONE_CALL,
        ),
    ),
    "called for the wrong end": (
        Kind.NOT_CALLED_ONCE,
        flow(*WELL, *called("on_failure", 3)),
        store(job(), SUCCESS, job(id=3, op="on_failure"), DONE_CALL),
    ),
    "called by two jobs": (
        Kind.NOT_CALLED_ONCE,
        flow(*WELL, *called("on_done", 5)),
        store(job(), SUCCESS, NO_FAILURE, DONE_CALL, job(id=5, op="on_done")),
    ),
    "a flow there in part": (
        Kind.NOT_CALLED_ONCE,
        flow(*WELL),
        store(job(), SUCCESS, NO_FAILURE),
    ),
    "called too early": (
        Kind.PREMATURE,
        flow(begun(), *called("on_done", 4), ended(), *called("on_success", 2)),
        store(job(), SUCCESS, NO_FAILURE, DONE_CALL),
    ),
    "called before the end of a second run": (
        Kind.PREMATURE,
        flow(begun(), harmed(), *called("on_done", 4), *A_AGAIN, *called("on_success", 2)),
        store(BACK, SUCCESS, NO_FAILURE, DONE_CALL, attempts=LOST_ONCE),
    ),
    "a slot that nobody holds": (
        Kind.LEAKED,
        story(*ONE_AT_A_TIME, begun(), ended()),
        store(job(), job(id=2, op="b", state="blocked", attempt=0)),
    ),
    "a group that nobody holds": (
        Kind.LEAKED,
        story(*IN_TURN, begun(), ended()),
        store(job(), job(id=2, op="b", state="blocked", attempt=0)),
    ),
}
