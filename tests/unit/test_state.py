"""The table of a job's life, edge by edge; the expected edges are written out by hand."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import product

import pytest

from jobpipe.model.state import FINAL, INITIAL, REASONS, State, may, refusal_condition

LEGAL = {
    "blocked": "scheduled queued failed cancelled",
    "scheduled": "blocked queued failed cancelled",
    "queued": "blocked running scheduled failed cancelled",
    "running": "blocked queued scheduled retrying parked succeeded failed cancelled",
    "retrying": "blocked queued scheduled failed cancelled",
    "parked": "blocked queued failed cancelled",
    "succeeded": "",
    "failed": "",
    "cancelled": "",
}
EVERY_STEP = list(product(LEGAL, LEGAL))


@pytest.mark.parametrize("before,after", EVERY_STEP)
def test_a_step_is_legal_or_not(before: str, after: str) -> None:
    assert may(State(before), State(after)) is (after in LEGAL[before].split())


@pytest.mark.parametrize("before,after", EVERY_STEP)
def test_a_rerun_leads_from_a_final_state_to_waiting(before: str, after: str) -> None:
    by_rerun = before in {"succeeded", "failed", "cancelled"} and after in {
        "queued",
        "scheduled",
        "blocked",
    }
    expected = by_rerun or after in LEGAL[before].split()
    assert may(State(before), State(after), rerun=True) is expected


def test_every_state_can_reach_an_end() -> None:
    for state in set(State) - FINAL:
        assert may(state, State.FAILED)
        assert may(state, State.CANCELLED)


def test_a_job_begins_waiting_and_never_running() -> None:
    assert {str(state) for state in INITIAL} == {"blocked", "scheduled", "queued"}


def test_reasons_belong_to_failed_cancelled_and_parked() -> None:
    assert {str(state) for state in REASONS} == {"failed", "cancelled", "parked"}
    named = [reason for reasons in REASONS.values() for reason in reasons]
    assert len(named) == len(set(named)) == 12


@pytest.mark.parametrize("spelled_out", [False, True])
@pytest.mark.parametrize("reruns", [0, 1])
def test_the_database_refuses_what_the_table_refuses(reruns: int, spelled_out: bool) -> None:
    """The refusal condition, judged by SQLite for every step, agrees with the list above."""
    judged = (
        refusal_condition(spelled_out=spelled_out)
        .replace("OLD.state", ":old")
        .replace("NEW.state", ":new")
        .replace("OLD.reruns", "0")
        .replace("NEW.reruns", ":reruns")
    )
    with closing(sqlite3.connect(":memory:")) as connection:
        for before, after in EVERY_STEP:
            params = {"old": before, "new": after, "reruns": reruns}
            (refused,) = connection.execute(f"SELECT {judged}", params).fetchone()
            legal = before == after or may(State(before), State(after), rerun=reruns == 1)
            assert bool(refused) is not legal, (before, after)


def test_the_refusal_condition_names_every_state() -> None:
    condition = refusal_condition()
    for state in LEGAL:
        assert f"'{state}'" in condition
