"""Who else writes gates waits for the round that has read them (PostgreSQL)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobpipe.model.gate import GateKind, GateName, Wish
from jobpipe.model.job import NewJob
from jobpipe.model.marks import GATED
from jobpipe.model.state import Reason, State
from jobpipe.store.ops import steer, upkeep
from jobpipe.store.ops.admit import admit
from jobpipe.store.ops.enqueue import enqueue
from jobpipe.store.ops.forget import prune_empty_flows
from jobpipe.store.ops.gate_settings import hold_gate
from jobpipe.store.ops.gates import prune_gates
from jobpipe.store.port import Mode, Operation
from tests.integration.test_report_locks import Party, parties, thread
from tests.waiting import until

__all__ = ["parties", "thread"]

KEY = GateName(GateKind.CONCURRENCY, "eu")
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
    first, second = (row["id"] for row in jobs(holder))
    holder.connection.execute("SELECT 1 FROM jobpipe.job WHERE id = %s FOR UPDATE", [first])
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


def gated(key: str) -> NewJob:
    wish = Wish(GateKind.CONCURRENCY, key, '{"n":1}')
    return NewJob(task="t", args="{}", marks=GATED, wishes=(wish,))


def jobs(party: Party) -> list[dict[str, Any]]:
    return party.connection.execute("SELECT id FROM jobpipe.job ORDER BY id").fetchall()
