"""Outcomes reported by programs elsewhere whose data the store refuses."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import pytest

from jobpipe.delivery.hub import Hint, Hub
from jobpipe.errors import LeaseLost, StoreUnavailable
from jobpipe.model.change import Change, Changes
from jobpipe.model.signals import Retry
from jobpipe.model.state import State
from jobpipe.policy.retry import ListDelays
from jobpipe.runtime.referee import Referee, Report
from jobpipe.runtime.settler import Settler
from jobpipe.store.port import Operation
from jobpipe.store.stepping import step
from jobpipe.tasks.registry import Registry

T = TypeVar("T")

BAD = '"bad"'


class Store:
    """Holds jobs 1 to 3, and refuses one result."""

    def __init__(self) -> None:
        self.written: dict[int, tuple[str, str | None]] = {}
        self.away = False
        self.is_broken = False
        self.ends_after = 99
        """How many jobs are written before the claim ends."""

    async def run(self, operation: Operation[T]) -> T:
        if self.away:
            raise StoreUnavailable
        return step(operation, self._answer)

    def _answer(self, statement: Any) -> list[dict[str, Any]]:
        match statement.name:
            case "keep_claim" if self.is_broken:
                raise ValueError("nobody knows why")
            case "keep_claim":
                return [{"lease_until": 9}] if len(self.written) < self.ends_after else []
            case "own_claim":
                return [{"id": 7}]
            case "standing":
                facts = {"token": 1, "claim": 7, "task": "t", "attempt": 1, "max_attempts": 3}
                times = {"started_at": 1, "now": 2, "state": "running", "queue": "q"}
                return [{"id": id, **facts, **times} for id in statement.params["ids"]]
            case "held":
                return [{}]
            case _:
                return self._finish(statement)

    def _finish(self, statement: Any) -> list[dict[str, Any]]:
        if any(BAD in row for row in statement.batch.rows):
            raise ValueError("this text cannot be stored")
        for id, _token, state, reason, *_ in statement.batch.rows:
            self.written[id] = state, reason
        return [
            {"id": row[0], "state": row[2], "cancel_requested": 0, "marked": 0}
            for row in statement.batch.rows
        ]


def settle(store: Store, *reports: Report, is_watched: bool = False) -> tuple[Any, list[Hint]]:
    hub, hints = Hub(), list[Hint]()
    hub.is_watched_elsewhere = is_watched
    hub.subscribe(hints.append)
    settler = Settler(store.run, Referee(Registry(), ListDelays((5.0,)), 1_000), hub, 7, "sh")
    return asyncio.run(settler.settle(reports)), hints


def test_one_bad_result_fails_its_job_alone() -> None:
    store = Store()
    reports = [Report(id=id, token=1, result="bad" if id == 2 else "good") for id in (1, 2, 3)]
    settled, _ = settle(store, *reports)
    assert store.written == {
        1: ("succeeded", None),
        2: ("failed", "unstorable"),
        3: ("succeeded", None),
    }
    assert settled.written == {(1, 1), (2, 1), (3, 1)}


def test_a_claim_that_ends_on_the_way_keeps_what_was_written() -> None:
    store = Store()
    store.ends_after = 1
    reports = [Report(id=id, token=1, result="bad" if id == 2 else "good") for id in (1, 2, 3)]
    settled, _ = settle(store, *reports)
    assert (settled.written, settled.lease_until) == ({(1, 1)}, None)
    with pytest.raises(LeaseLost):
        settle(store, *reports[1:])


def test_an_error_that_no_outcome_has_caused_is_told() -> None:
    store = Store()
    store.is_broken = True
    with pytest.raises(ValueError, match="nobody knows why"):
        settle(store, Report(id=1, token=2))


def test_a_store_that_is_away_is_no_bad_result() -> None:
    store = Store()
    store.away = True
    with pytest.raises(StoreUnavailable):
        settle(store, Report(id=1, token=1))


def test_a_retry_is_told_to_who_promotes() -> None:
    _, hints = settle(Store(), Report(id=1, token=1, signal=Retry(after=2)))
    assert [hint.due_in_us for hint in hints] == [2_000_000]


def test_ends_are_told_while_somebody_watches() -> None:
    reports = Report(id=1, token=1), Report(id=2, token=1, result="bad"), Report(id=3, token=9)
    _, hints = settle(Store(), *reports, is_watched=True)
    ends = Change(1, State.SUCCEEDED, "q"), Change(2, State.FAILED, "q")
    assert hints == [Hint(changes=Changes(ends))]
    assert settle(Store(), *reports)[1] == []
