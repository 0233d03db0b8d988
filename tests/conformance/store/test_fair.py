"""Tenants share a queue: who comes late does not wait for the lines of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from jobpipe.model.job import Claimed, Lane, NewJob
from jobpipe.model.marks import GATED, STARTS
from jobpipe.model.state import Reason, State
from jobpipe.model.worker import NewWorker
from jobpipe.store.ops import claim, steer, upkeep, worker
from jobpipe.store.ops.admit import admit
from jobpipe.store.ops.claim import Queued
from jobpipe.store.ops.steer import Patch
from tests.conformance.clock import MINUTE, SECOND
from tests.conformance.lab import LANE, Lab, held, new_job
from tests.conformance.store.gates import slots

READY = 10
"""How many jobs of tenants are kept queued for a few slots, or none."""


def of(tenant: str | None, n: int = 1, **fields: object) -> list[NewJob]:
    marks = None if tenant is None else GATED | STARTS
    return [new_job(tenant=tenant, marks=marks, task=tenant or "t", **fields)] * n


def stored(lab: Lab, jobs: Sequence[NewJob]) -> list[int]:
    return [answer.id for answer in lab.enqueue(jobs)]


def settle(lab: Lab) -> list[int]:
    """Do rounds until there is nothing to do; return what came into the queue, by rank."""
    queued: list[Queued] = []
    while (round_ := lab.run(admit())) is not None:
        queued += round_.queued
        if not round_.more:
            break
    return [job.id for job in sorted(queued, key=lambda job: job.rank)]


def enter(lab: Lab, slots: int, queues: list[str]) -> int:
    about = NewWorker(name="w", host="here", pid=7, pid_started="1", slots=slots, queues=queues)
    return lab.run(worker.register(about, 15 * SECOND))


def run(lab: Lab, starts: int, slots: int = 4) -> list[str]:
    """Start and finish so many jobs, as a worker would; return their tenants, as they started."""
    mine = lab.worker()
    order: list[str] = []
    settle(lab)
    while len(order) < starts:
        jobs = lab.claim(mine, min(slots, starts - len(order)))
        assert jobs, "nothing was let in"
        order += [job.task for job in jobs]
        for job in jobs:
            lab.finish(job)
        settle(lab)
    return order


def rows(lab: Lab, table: str) -> int:
    (row,) = lab.place.sql(f"SELECT count(*) AS n FROM {{p}}{table}")
    return int(row["n"])


def test_a_lone_tenant_gets_everything(lab: Lab) -> None:
    ids = stored(lab, of("acme", 25))
    assert settle(lab) == ids[:READY]
    assert settle(lab) == []
    assert lab.job(ids[READY]).state is State.BLOCKED
    assert run(lab, 25) == ["acme"] * 25
    assert lab.counts() == {("default", State.SUCCEEDED): 25}


def test_jobs_without_a_tenant_wait_for_nobody(lab: Lab) -> None:
    stored(lab, of("acme", 50))
    (plain,) = stored(lab, of(None))
    (gated,) = stored(lab, [new_job(marks=GATED)])
    assert lab.job(plain).state is State.QUEUED
    assert gated in settle(lab)


def test_a_tenant_with_thousands_of_jobs_does_not_delay_the_ten_of_another(lab: Lab) -> None:
    stored(lab, of("whale", 5_000))
    settle(lab)
    stored(lab, of("fish", 10))
    order = run(lab, READY + 20)
    assert order[:READY] == ["whale"] * READY
    assert Counter(order[READY:]) == {"fish": 10, "whale": 10}


def test_thousands_on_the_way_to_their_line_keep_nobody_waiting(lab: Lab) -> None:
    stored(lab, of("whale", 3_000))
    fish = stored(lab, of("fish", 3))
    round_ = lab.run(admit())
    assert round_ is not None
    assert round_.more
    assert {*fish} < {job.id for job in round_.queued}
    settle(lab)
    assert (rows(lab, "arrival"), rows(lab, "line")) == (0, 3_003 - READY)


def test_the_jobs_of_many_tenants_come_to_their_lines_by_and_by(lab: Lab) -> None:
    ids = stored(lab, [job for n in range(250) for job in of(f"t{n}", 2)])
    assert len(settle(lab)) == READY
    assert rows(lab, "line") == len(ids) - READY
    assert rows(lab, "tenant") == 250


def test_weights_are_kept(lab: Lab) -> None:
    lab.place.sql("INSERT INTO {p}tenant (queue, name, weight) VALUES ('default', 'gold', 3)")
    stored(lab, [*of("iron", 200), *of("gold", 200)])
    order = Counter(run(lab, 100))
    assert 0.9 * 75 <= order["gold"] <= 1.1 * 75


def test_who_was_idle_is_not_owed_the_past(lab: Lab) -> None:
    stored(lab, of("early", 1))
    run(lab, 1)
    stored(lab, of("busy", 40))
    run(lab, 20)
    stored(lab, of("early", 40))
    assert Counter(run(lab, READY + 20)[READY:]) == {"early": 10, "busy": 10}


def test_a_line_is_in_the_order_of_priority_and_then_of_arrival(lab: Lab) -> None:
    first, second = stored(lab, of("acme", 2))
    urgent, other = stored(lab, of("acme", 2, priority=5))
    assert settle(lab) == [urgent, other, first, second]


def test_twice_the_slots_of_the_living_workers_of_the_queue_are_ready(lab: Lab) -> None:
    enter(lab, 6, ["default"])
    enter(lab, 7, ["mail:2", "*"])
    enter(lab, 100, ["default:3", "*"])
    enter(lab, 100, ["mail"])
    late = enter(lab, 100, ["*"])
    lab.run(worker.end_worker(late))
    stored(lab, of("acme", 100))
    assert len(settle(lab)) == 2 * (6 + 7 + 3)
    lab.clock.advance(MINUTE)  # all leases have ended
    stored(lab, of("acme", 100, queue="mail"))
    assert len(settle(lab)) == READY


def test_a_job_that_comes_back_waits_in_its_line_again(lab: Lab) -> None:
    first, *_ = stored(lab, of("acme", 30))
    settle(lab)
    mine = lab.worker()
    failed, snoozed = lab.claim(mine, 2)
    lab.finish(failed, State.RETRYING)
    lab.finish(snoozed, State.SCHEDULED)
    lab.clock.advance(MINUTE)
    lab.run(upkeep.promote(10))
    assert lab.job(first).state is State.BLOCKED
    assert failed.id not in settle(lab)
    order = [job.id for job in _drained(lab, mine)]
    assert order[-2:] == [failed.id, snoozed.id]
    assert lab.job(first).attempt == 2


def test_a_job_that_is_run_again_waits_in_its_line_again(lab: Lab) -> None:
    first, *_ = stored(lab, of("acme", 30))
    settle(lab)
    mine = lab.worker()
    (job,) = lab.claim(mine, 1)
    lab.finish(job)
    settle(lab)
    lab.run(steer.rerun(first))
    settle(lab)
    assert lab.job(first).state is State.BLOCKED
    assert [job.id for job in _drained(lab, mine)][-1] == first


def test_what_is_given_back_need_not_wait_again_and_counts_as_ready(lab: Lab) -> None:
    stored(lab, of("acme", 30))
    settle(lab)
    mine = lab.worker()
    jobs = lab.claim(mine, 4)
    assert len(settle(lab)) == 4
    back = lab.run(claim.give_back([held(job) for job in jobs]))
    assert len(back) == 4
    lab.claim(mine, 4)
    assert settle(lab) == []
    lab.claim(mine, 4)
    assert len(settle(lab)) == 4


def test_what_a_dead_worker_held_need_not_wait_again_and_counts_as_ready(lab: Lab) -> None:
    ids = stored(lab, of("acme", 30))
    settle(lab)
    lab.claim(lab.worker(lease_us=SECOND), 4)
    settle(lab)
    lab.clock.advance(2 * SECOND)
    (swept,) = lab.run(worker.sweep([]))
    assert [back.id for back in swept.queued] == ids[:4]
    mine = lab.worker()
    assert [job.id for job in lab.claim(mine, 4)] == ids[:4]
    assert settle(lab) == []
    lab.claim(mine, 4)
    assert len(settle(lab)) == 4


def test_what_a_dead_worker_held_waits_for_a_turn_again_if_it_has_gates(lab: Lab) -> None:
    ids = stored(lab, of("acme", 30, wishes=(slots(100),)))
    settle(lab)
    lab.claim(lab.worker(lease_us=SECOND), 4)
    lab.clock.advance(2 * SECOND)
    lab.run(worker.sweep([]))
    settle(lab)
    order = [job.id for job in _drained(lab, lab.worker())]
    assert order == [*ids[4:], *ids[:4]]


def test_a_job_that_ends_leaves_its_line(lab: Lab) -> None:
    ids = stored(lab, of("acme", 30))
    late = stored(lab, of("acme", 1, expires_in_us=SECOND))
    settle(lab)
    for id in ids[READY:]:
        lab.run(steer.cancel(id, Reason.BY_USER))
    assert settle(lab) == late[:0]
    assert rows(lab, "line") == 1
    lab.clock.advance(MINUTE)
    order = run(lab, READY)
    assert len(order) == READY
    assert lab.job(late[0]).reason is Reason.EXPIRED
    assert (rows(lab, "line"), rows(lab, "look")) == (0, 0)


def test_a_job_that_ended_before_anybody_looked_costs_no_turn(lab: Lab) -> None:
    ids = stored(lab, of("acme", 30))
    settle(lab)
    for id in ids[READY : READY + 5]:
        lab.run(steer.cancel(id, Reason.BY_USER))
        lab.run(steer.delete_job(id))
    lab.place.sql("DELETE FROM {p}look")  # as if the round had not come to them yet
    (job, *_) = lab.claim(lab.worker(), 5)
    lab.finish(job)
    for _ in range(3):
        settle(lab)
    assert lab.job(ids[READY + 5]).state is State.QUEUED


def test_a_deleted_job_leaves_no_row(lab: Lab) -> None:
    ids = stored(lab, of("acme", 15))
    settle(lab)
    for id in ids:
        lab.run(steer.cancel(id, Reason.BY_USER))
        lab.run(steer.delete_job(id))
    assert settle(lab) == []
    stored(lab, of("other", 1))
    assert len(settle(lab)) == 1
    assert (rows(lab, "line"), rows(lab, "let_go")) == (0, 1)


def test_a_job_that_is_moved_stands_in_another_line(lab: Lab) -> None:
    ids = stored(lab, of("acme", 15))
    settle(lab)
    lab.run(steer.patch(ids[-1], Patch(priority=9)))
    lab.run(steer.patch(ids[-2], Patch(queue="mail")))
    lab.run(steer.patch(ids[0], Patch(queue="mail")))
    assert ids[-2] in (moved := settle(lab))
    assert moved == [ids[-2], ids[-1]] or moved == [ids[-1], ids[-2]]


def test_tenants_that_nobody_weighs_are_forgotten(lab: Lab) -> None:
    for tenant in ("a", "b", "c"):
        stored(lab, of(tenant, 2))
    run(lab, 6)
    assert rows(lab, "tenant") == 3
    for _ in range(3):
        stored(lab, of("d", 1))
        run(lab, 1)
    assert rows(lab, "tenant") == 1


def test_every_queue_has_its_turn(lab: Lab) -> None:
    jobs = [job for n in range(70) for job in of("acme", 2, queue=f"q{n}")]
    assert len(settle(lab)) == 0
    ids = stored(lab, jobs)
    assert sorted(settle(lab)) == ids


def test_more_than_a_round_can_let_in_comes_in_by_and_by(lab: Lab) -> None:
    enter(lab, 800, ["*"])
    jobs = [*of("acme", 900, queue="a"), *of("acme", 900, queue="b")]
    stored(lab, jobs)
    assert len(settle(lab)) == 1800


@pytest.mark.parametrize("crash", ["", "DELETE FROM {p}look"])
def test_what_has_started_makes_room_even_if_the_note_of_it_was_lost(lab: Lab, crash: str) -> None:
    stored(lab, of("acme", 40))
    settle(lab)
    jobs = lab.claim(lab.worker(), READY)
    if crash:
        lab.place.sql(crash)
    lab.finish(jobs[0])
    assert len(settle(lab)) == READY


def test_a_gate_that_is_shut_to_one_tenant_stops_no_other(lab: Lab) -> None:
    lab.place.sql("INSERT INTO {p}tenant (queue, name, weight) VALUES ('default', 'whale', 1000)")
    whale = stored(lab, of("whale", 30, wishes=(slots(1),)))
    fish = stored(lab, of("fish", 5))
    assert sorted(settle(lab)) == [whale[0], *fish]
    assert rows(lab, "let_go") <= 1 + READY + len(fish)
    started = [lab.job(id).task for id in (job.id for job in _drained(lab, lab.worker()))]
    assert Counter(started) == {"whale": 30, "fish": 5}


def test_those_of_one_tenant_pass_a_gate_in_the_order_of_their_turns(lab: Lab) -> None:
    ids = stored(lab, of("acme", 20, wishes=(slots(1),)))
    settle(lab)
    assert [job.id for job in _drained(lab, lab.worker())] == ids


def _drained(lab: Lab, mine: int) -> list[Claimed]:
    """Run all that there is."""
    ran: list[Claimed] = []
    while jobs := lab.claim(mine, 4, [LANE, Lane("mail", 0)]):
        ran += jobs
        for job in jobs:
            lab.finish(job)
        settle(lab)
    return ran
