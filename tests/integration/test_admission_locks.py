"""Who else writes gates waits for the round that has read them (PostgreSQL)."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobpipe.app import asks
from jobpipe.model.audit import Actor
from jobpipe.model.gate import GateKind, GateName, Wish
from jobpipe.model.job import NewJob
from jobpipe.model.marks import GATED
from jobpipe.model.operation import OperationAction, OperationParams
from jobpipe.model.state import Reason, State
from jobpipe.store.ops import operate, steer, upkeep
from jobpipe.store.ops.admit import Admitted, admit
from jobpipe.store.ops.enqueue import enqueue
from jobpipe.store.ops.finish import finish
from jobpipe.store.ops.forget import prune_empty_flows
from jobpipe.store.ops.gate_settings import hold_gate, pause_gate, resume_gate
from jobpipe.store.ops.gates import prune_gates
from jobpipe.store.port import Mode, Operation
from tests.conformance.lab import ending
from tests.integration.test_report_locks import Party, parties, take, thread
from tests.waiting import until

__all__ = ["parties", "thread"]

KEY = GateName(GateKind.CONCURRENCY, "eu")
PLAIN = NewJob(task="t", args="{}")
ORDERS: dict[str, Operation[Any]] = {
    "prune": prune_gates(10),
    "an order": Operation("hold_gate", Mode.TRANSACTION, lambda: hold_gate(KEY)),
}


@pytest.mark.parametrize("order", ORDERS)
def test_it_waits_for_a_round(parties: list[Party], thread: ThreadPoolExecutor, order: str) -> None:
    round_, other, _ = parties
    assert round_.run(admit()) is not None
    waiting = thread.submit(other.run, ORDERS[order])
    until(lambda: other.waits(round_) or waiting.done())
    assert not waiting.done()
    round_.commit()
    waiting.result(20)


def delete(id: int) -> Operation[Any]:
    return steer.delete_job(id)


def prune(_id: int) -> Operation[Any]:
    return upkeep.prune(0, 10, {State.CANCELLED: 0})


def prune_flows(_id: int) -> Operation[Any]:
    return prune_empty_flows(0, 10)


@pytest.mark.parametrize("order", [delete, prune, prune_flows])
def test_who_deletes_what_a_round_writes_waits_for_it(
    parties: list[Party], thread: ThreadPoolExecutor, order: Callable[[int], Operation[Any]]
) -> None:
    round_, other, _ = parties
    (job,) = round_.run(enqueue([gated("eu")]))
    round_.run(steer.cancel(job.id, Reason.BY_USER))
    round_.run(admit())  # the next one has nothing to write
    round_.commit()
    assert round_.run(admit()) is not None
    waiting = thread.submit(other.run, order(job.id))
    until(lambda: other.waits(round_) or waiting.done())
    assert not waiting.done()
    round_.commit()
    waiting.result(20)
    other.commit()


def test_a_round_does_not_wait_for_an_order(parties: list[Party]) -> None:
    order, round_, _ = parties
    order.run(ORDERS["an order"])
    assert round_.run(admit()) is None
    order.commit()
    assert round_.run(admit()) is not None


def test_a_blocked_job_that_somebody_holds_delays_nobody_else(parties: list[Party]) -> None:
    holder, round_, _ = parties
    holder.run(enqueue([gated("held"), gated("free")]))
    holder.commit()
    first, second = states(holder)
    lock(holder, first)
    let_in = round_.run(admit())
    assert let_in is not None
    assert [job.id for job in let_in.queued] == [second]
    round_.commit()
    holder.commit()
    let_in = round_.run(admit())
    assert let_in is not None
    assert [job.id for job in let_in.queued] == [first]


def test_a_round_tells_who_may_still_bring_earlier_notes(parties: list[Party]) -> None:
    caller, round_, _ = parties
    caller.run(enqueue([gated("late")]))
    first = round_.run(admit())
    round_.commit()
    caller.commit()
    then = round_.run(admit())
    assert first is not None
    assert then is not None
    assert first.oldest < first.own <= then.oldest


def test_a_vain_try_draws_no_number(parties: list[Party]) -> None:
    round_, other, _ = parties
    assert round_.run(admit()) is not None
    assert other.run(admit()) is None
    row = other.connection.execute("SELECT pg_current_xact_id_if_assigned() AS number").fetchone()
    assert row["number"] is None


def delete_one(_party: Party, id: int) -> Operation[Any]:
    """An order with its note."""
    wanted = asks.delete(id).operation
    assert wanted is not None
    return wanted


def delete_many(party: Party, _id: int) -> Operation[Any]:
    given, by = OperationParams(), Actor("ada", "http")
    begun = party.run(operate.begin(OperationAction.DELETE, "state:cancelled", given, by))
    party.commit()
    assert begun.id is not None
    return operate.advance(begun.id)


DELETES = pytest.mark.parametrize("order", [delete_one, delete_many])


@DELETES
def test_who_deletes_keeps_rounds_away_before_he_locks_what_they_may_write_to(
    parties: list[Party], thread: ThreadPoolExecutor, order: Callable[[Party, int], Operation[Any]]
) -> None:
    round_, other, third = parties
    id = cancelled(other, gated("eu"))
    admitted(round_)
    wanted = order(other, id)
    assert round_.run(admit()) is not None
    waiting = thread.submit(other.run, wanted)
    until(lambda: other.waits(round_) or waiting.done())
    assert not waiting.done()
    found = third.connection.execute("SELECT id FROM jobpipe.job FOR UPDATE SKIP LOCKED").fetchall()
    assert [row["id"] for row in found] == [id]
    third.commit()
    round_.commit()
    waiting.result(20)
    other.commit()
    assert states(third) == {}


@DELETES
def test_who_deletes_plain_jobs_waits_for_no_round(
    parties: list[Party], order: Callable[[Party, int], Operation[Any]]
) -> None:
    round_, other, _ = parties
    wanted = order(other, cancelled(other, PLAIN))
    assert round_.run(admit()) is not None
    other.run(wanted)
    assert states(other) == {}


def test_a_group_that_fails_waits_for_nobody(parties: list[Party]) -> None:
    holder, round_, other = parties
    first, second, third = (each.id for each in other.run(enqueue([grouped("fail")] * 3)))
    other.commit()
    admitted(round_)
    (job,) = take(other)
    assert job.id == first
    other.run(finish([ending(job, State.FAILED)], time.monotonic_ns()))
    other.commit()
    lock(holder, third)
    impatient(round_)
    assert [change.id for change in admitted(round_).ended] == [second]
    assert not admitted(round_).more
    assert next_at(round_) > 0  # there is a pause before the next look
    holder.commit()
    until(lambda: admitted(round_) and states(round_)[third] == State.CANCELLED)
    assert admitted(round_).next_in_us is None


def test_a_pause_waits_for_nobody(parties: list[Party]) -> None:
    holder, round_, other = parties
    first, second = (each.id for each in other.run(enqueue([gated("eu", 2)] * 2)))
    other.commit()
    admitted(round_)
    lock(holder, first)
    impatient(other)
    assert [change.id for change in other.run(pause_gate(KEY, None, None, None))] == [second]
    other.commit()
    admitted(round_)
    assert states(round_) == {first: State.QUEUED, second: State.BLOCKED}
    assert not admitted(round_).more
    assert next_at(round_) > 0
    holder.commit()
    until(lambda: admitted(round_) and states(round_)[first] == State.BLOCKED, 5)
    other.run(resume_gate(KEY))
    other.commit()
    let_in = sorted(admitted(round_).queued, key=lambda job: job.rank)
    assert [job.id for job in let_in] == [first, second]


def gated(key: str, n: int = 1) -> NewJob:
    wish = Wish(GateKind.CONCURRENCY, key, f'{{"n":{n}}}')
    return NewJob(task="t", args="{}", marks=GATED, wishes=(wish,))


def grouped(on_failure: str) -> NewJob:
    wish = Wish(GateKind.GROUP, "g", f'{{"on_failure":"{on_failure}"}}')
    return NewJob(task="t", args="{}", marks=GATED, wishes=(wish,), group_key="g")


def admitted(party: Party) -> Admitted:
    """Do a round."""
    round_ = party.run(admit())
    party.commit()
    assert round_ is not None
    return round_


def cancelled(party: Party, job: NewJob) -> int:
    (stored,) = party.run(enqueue([job]))
    party.run(steer.cancel(stored.id, Reason.BY_USER))
    party.commit()
    return stored.id


def lock(party: Party, id: int) -> None:
    party.connection.execute("SELECT 1 FROM jobpipe.job WHERE id = %s FOR UPDATE", [id])


def impatient(party: Party) -> None:
    """Let it fail rather than wait for a lock."""
    party.connection.execute("SET lock_timeout = '2s'")
    party.commit()


def states(party: Party) -> dict[int, State]:
    """Return the states of the jobs, in the order of their ids."""
    found = party.connection.execute("SELECT id, state FROM jobpipe.job ORDER BY id").fetchall()
    party.commit()
    return {row["id"]: State(row["state"]) for row in found}


def next_at(party: Party) -> int:
    """Return when the one gate is to be looked at next."""
    (row,) = party.connection.execute("SELECT next_at FROM jobpipe.gate").fetchall()
    party.commit()
    at: int = row["next_at"]
    return at
