"""What keeps a store in order: due jobs, expiries, parked jobs, pruning, counters."""

from __future__ import annotations

from collections import Counter

import pytest

from jobpipe.errors import JobNotFound
from jobpipe.model.change import Change
from jobpipe.model.job import Lane
from jobpipe.model.state import Reason, State
from jobpipe.model.takes import Takes
from jobpipe.store.ops import claim, read, steer, upkeep
from jobpipe.store.ops import worker as workers
from jobpipe.store.ops.claim import Moved
from tests.conformance.clock import DAY, MINUTE, SECOND
from tests.conformance.lab import LANE, Lab, held, new_job

NOTHING = Moved([], [])

KEEP = {State.SUCCEEDED: DAY, State.CANCELLED: 2 * DAY, State.FAILED: 3 * DAY}


def test_what_is_due_is_queued_behind_all_that_is_queued(lab: Lab) -> None:
    late = lab.new(delay_us=2 * SECOND, queue="b")
    early = lab.new(delay_us=SECOND)
    far = lab.new(delay_us=MINUTE)
    plain = lab.new()
    lab.clock.advance(5 * SECOND)
    moved = lab.run(upkeep.promote(10))
    assert {(job.id, job.lane) for job in moved.queued} == {(early, LANE), (late, Lane("b", 0))}
    assert lab.run(upkeep.promote(10)) == NOTHING
    assert lab.job(far).state is State.SCHEDULED
    record = lab.job(early)
    assert (record.state, record.due_at) == (State.QUEUED, None)
    assert record.queued_at is not None
    assert record.queued_at >= record.created_at + 5 * SECOND
    assert [job.id for job in lab.claim(lab.worker())] == [plain, early]


def test_a_step_of_promotion_is_bounded(lab: Lab) -> None:
    lab.enqueue([new_job(delay_us=SECOND)] * 5)
    lab.clock.advance(MINUTE)
    assert [len(lab.run(upkeep.promote(2)).queued) for _ in range(4)] == [2, 2, 1, 0]


def test_promotions_at_once_move_each_job_once(lab: Lab) -> None:
    ids = [answer.id for answer in lab.enqueue([new_job(delay_us=SECOND)] * 40)]
    lab.clock.advance(MINUTE)
    moved = lab.run_at_once([upkeep.promote(40)] * 4)
    assert sorted(job.id for each in moved for job in each.queued) == ids


def test_a_job_whose_time_is_over_fails_when_it_falls_due(lab: Lab) -> None:
    id = lab.new(delay_us=MINUTE, expires_in_us=SECOND)
    lab.clock.advance(2 * SECOND)
    assert lab.run(upkeep.promote(10)) == Moved([], [Change(id, State.FAILED, "default")])
    record = lab.job(id)
    assert (record.state, record.reason) == (State.FAILED, Reason.EXPIRED)
    assert record.finished_at is not None
    assert lab.counts() == lab.recount() == {("default", State.FAILED): 1}


def test_a_queued_job_expires(lab: Lab) -> None:
    lab.new()
    ids = [answer.id for answer in lab.enqueue([new_job(expires_in_us=SECOND)] * 3)]
    assert lab.run(upkeep.expire(10)) == []
    lab.clock.advance(2 * SECOND)
    expired = [lab.run(upkeep.expire(2)) for _ in range(3)]
    assert [len(each) for each in expired] == [2, 1, 0]
    assert sorted(each.id for step in expired for each in step) == ids
    assert {(lab.job(id).state, lab.job(id).reason) for id in ids} == {
        (State.FAILED, Reason.EXPIRED)
    }
    assert lab.counts() == lab.recount()


def test_a_running_job_does_not_expire(lab: Lab) -> None:
    job = lab.claimed(expires_in_us=SECOND)
    lab.clock.advance(MINUTE)
    assert lab.run(upkeep.expire(10)) == []
    lab.finish(job)
    assert lab.job(job.id).state is State.SUCCEEDED


def due_in_us(lab: Lab, worker: int) -> int | None:
    return lab.run(workers.control(worker)).due.in_us


def test_the_next_due_time_is_known(lab: Lab) -> None:
    worker = lab.worker()
    assert due_in_us(lab, worker) is None
    lab.new()
    assert due_in_us(lab, worker) is None
    lab.new(delay_us=60 * MINUTE)
    due = due_in_us(lab, worker)
    assert due is not None
    assert 59 * MINUTE < due <= 60 * MINUTE
    lab.new(queue="other", expires_in_us=10 * MINUTE)
    due = due_in_us(lab, worker)
    assert due is not None
    assert 9 * MINUTE < due <= 10 * MINUTE
    lab.clock.advance(20 * MINUTE)
    due = due_in_us(lab, worker)
    assert due is not None
    assert -11 * MINUTE < due < -9 * MINUTE


def test_parked_jobs_come_back_for_who_knows_their_task(lab: Lab) -> None:
    unknown = lab.finished(State.PARKED, task="a")
    undecodable = lab.claimed(queue="q2", task="a")
    lab.finish(undecodable, State.PARKED, reason=Reason.UNDECODABLE)
    other = lab.finished(State.PARKED, task="b", queue="q3")
    find, a, b = upkeep.find_parked, Takes("a"), Takes("b")
    assert lab.run(find([a], [Reason.UNKNOWN_TASK], 10)) == [unknown]
    both = [Reason.UNKNOWN_TASK, Reason.UNDECODABLE]
    assert lab.run(find([a, Takes("x")], both, 10)) == [unknown, undecodable.id]
    assert lab.run(find([a, b], both, 2)) == [unknown, undecodable.id]
    assert lab.run(find([a, b], both, 2, after=undecodable.id)) == [other]
    assert lab.run(find([], both, 10)) == []
    (queued,) = lab.run(upkeep.unpark([unknown])).queued
    assert (queued.id, queued.lane) == (unknown, Lane("alone", 0))
    assert lab.run(upkeep.unpark([unknown, 999])) == NOTHING
    record = lab.job(unknown)
    assert (record.state, record.reason, record.error) == (State.QUEUED, None, None)
    assert (record.attempt, record.token) == (0, 1)
    assert lab.job(other).state is State.PARKED
    (job,) = lab.claim(lab.worker(), 1, [Lane("alone", 0)])
    assert (job.id, job.token, job.attempt) == (unknown, 2, 1)


def test_parked_jobs_come_back_for_who_takes_their_version(lab: Lab) -> None:
    jobs = [lab.claimed(), lab.claimed(queue="q2", version=3)]
    first, third = (job.id for job in jobs)
    for job in jobs:
        lab.finish(job, State.PARKED, reason=Reason.INCOMPATIBLE)

    def found(*takes: Takes) -> list[int]:
        return lab.run(upkeep.find_parked(takes, [Reason.INCOMPATIBLE], 10))

    assert found(Takes("t")) == [first, third]
    assert found(Takes("t", 1, 2)) == [first]
    assert found(Takes("t", 2, 2)) == []
    assert found(Takes("t", 2, 3), Takes("x")) == [third]
    assert found(Takes("x")) == []


def test_a_job_that_is_parked_again_rests_longer(lab: Lab) -> None:
    """Half a second after the first claim, twice as long after each one, at most 64 seconds."""
    id = lab.new()
    worker = lab.worker()

    def found(seconds: float, error: str) -> list[int]:
        (job,) = lab.claim(worker)
        lab.finish(job, State.PARKED, reason=Reason.INCOMPATIBLE, error=error)
        lab.clock.advance(round(seconds * SECOND))
        later = upkeep.find_parked([Takes("t")], [Reason.INCOMPATIBLE], 10, anew=False)
        ids = lab.run(later)
        assert lab.run(upkeep.find_parked([Takes("t")], [Reason.INCOMPATIBLE], 10)) == [id]
        lab.run(upkeep.unpark([id]))
        return ids

    newer, failed = (f'{{"type":"{kind}"}}' for kind in ("NewerVersion", "UpgradeFailed"))
    assert [found(seconds, newer) for seconds in (0.3, 0.7, 3, 3)] == [[], [], [id], []]
    assert found(100, failed) == []
    assert [found(seconds, newer) for seconds in (15, 31, 63, 65)] == [[], [], [], [id]]
    assert [found(seconds, newer) for seconds in (63, 65)] == [[], [id]]


def test_a_parked_job_that_was_to_be_cancelled_is_not_run(lab: Lab) -> None:
    worker = lab.worker()
    id = lab.new()
    (job,) = lab.claim(worker)
    assert lab.run(steer.cancel(id, Reason.BY_USER)) is State.RUNNING
    lab.finish(job, State.PARKED)
    assert lab.run(upkeep.unpark([id])) == Moved([], [Change(id, State.CANCELLED, "default")])
    record = lab.job(id)
    assert (record.state, record.reason) == (State.CANCELLED, Reason.BY_USER)
    assert lab.run(read.counts()) == {("default", State.CANCELLED): 1}


def test_a_duty_is_taken_by_one_for_one_round(lab: Lab) -> None:
    answers = lab.run_at_once([upkeep.take_duty("prune", MINUTE) for _ in range(4)])
    assert sorted(answer is not None for answer in answers) == [False, False, False, True]
    assert lab.run(upkeep.take_duty("prune", MINUTE)) is None
    assert lab.run(upkeep.take_duty("rollup", MINUTE)) == 0
    lab.clock.advance(2 * MINUTE)
    assert lab.run(upkeep.take_duty("prune", MINUTE)) == 0


def test_control_tells_of_duties_while_they_are_due(lab: Lab) -> None:
    worker = lab.worker()
    assert lab.run(workers.control(worker)).duties == {"prune"}
    lab.run(upkeep.take_duty("prune", MINUTE))
    assert lab.run(workers.control(worker)).duties == set()
    lab.finished(State.SUCCEEDED)
    assert lab.run(workers.control(worker)).duties == set()  # one counter alone is folded
    lab.finished(State.SUCCEEDED)
    assert lab.run(workers.control(worker)).duties == {"rollup"}
    lab.run(upkeep.rollup())
    assert lab.run(workers.control(worker)).duties == set()
    lab.clock.advance(2 * MINUTE)
    assert lab.run(workers.control(worker)).duties == {"prune"}


def test_each_final_state_is_kept_for_its_own_time(lab: Lab) -> None:
    ids = {
        state: lab.finished(state)
        for state in (State.SUCCEEDED, State.CANCELLED, State.FAILED, State.PARKED)
    }
    gone: list[int] = []
    for _day in range(4):
        assert lab.run(upkeep.prune(0, 100, KEEP)).deleted in (0, 1)
        gone.append(sum(lab.run(read.job(id)) is None for id in ids.values()))
        lab.clock.advance(DAY + SECOND)
    assert gone == [0, 1, 2, 3]
    assert lab.job(ids[State.PARKED]).state is State.PARKED
    assert lab.counts() == lab.recount() == {("alone", State.PARKED): 1}


def test_what_is_kept_for_ever_is_never_pruned(lab: Lab) -> None:
    lab.finished(State.FAILED)
    lab.clock.advance(1_000 * DAY)
    pruned = lab.run(upkeep.prune(0, 100, {**KEEP, State.FAILED: None}))
    assert pruned.deleted == 0
    assert lab.counts() == {("alone", State.FAILED): 1}


@pytest.mark.parametrize("waiting", [State.RETRYING, State.SCHEDULED])
def test_what_has_not_ended_is_never_pruned(lab: Lab, waiting: State) -> None:
    lab.finished(waiting)
    lab.new()
    lab.claimed(queue="running")
    before = lab.recount()
    lab.clock.advance(1_000 * DAY)
    assert lab.run(upkeep.prune(0, 100, KEEP)).deleted == 0
    assert lab.recount() == before


def test_a_job_that_was_rerun_is_not_pruned(lab: Lab) -> None:
    id = lab.finished(State.SUCCEEDED)
    lab.clock.advance(10 * DAY)
    lab.run(steer.rerun(id))
    assert lab.run(upkeep.prune(0, 100, KEEP)).deleted == 0
    assert lab.job(id).state is State.QUEUED


def test_pruning_frees_the_key_and_takes_the_history(lab: Lab) -> None:
    id = lab.finished(State.FAILED, idempotency_key="k")
    assert len(lab.attempts(id)) == 1
    lab.clock.advance(10 * DAY)
    assert lab.run(upkeep.prune(0, 100, KEEP)).deleted == 1
    assert lab.attempts(id) == []
    with pytest.raises(JobNotFound):
        lab.run(steer.rerun(id))
    (new,) = lab.enqueue([new_job(idempotency_key="k", args='{"other":1}')])
    assert new.created
    assert new.id > id


def test_pruning_walks_on_from_where_it_stopped(lab: Lab) -> None:
    lab.enqueue([new_job()] * 5)
    for job in lab.claim(lab.worker()):
        lab.finish(job)
    lab.clock.advance(10 * DAY)
    young = lab.new()
    ids = [row["id"] for row in lab.place.sql("SELECT id FROM {p}job ORDER BY id")]
    first = lab.run(upkeep.prune(0, 2, KEEP))
    assert (first.deleted, first.position) == (2, ids[1])
    lab.clock.advance(MINUTE)
    assert lab.run(upkeep.take_duty("prune", MINUTE)) == ids[1]
    second = lab.run(upkeep.prune(first.position, 2, KEEP))
    assert (second.deleted, second.position) == (2, ids[3])
    third = lab.run(upkeep.prune(second.position, 2, KEEP))
    assert (third.deleted, third.position) == (1, 0)
    assert [job.id for job in lab.claim(lab.worker())] == [young]


def test_ids_and_ranks_are_never_given_out_twice(lab: Lab) -> None:
    last = lab.finished(State.SUCCEEDED)
    lab.clock.advance(10 * DAY)
    assert lab.run(upkeep.prune(0, 100, KEEP)).deleted == 1
    assert lab.new() > last


def test_ended_workers_are_forgotten_once_no_job_tells_of_them(lab: Lab) -> None:
    ended, alive, orphaned = lab.worker("ended"), lab.worker("alive"), lab.worker("orphaned")
    lab.run(workers.end_worker(ended))
    lab.run(workers.end_worker(orphaned))
    lab.new()
    lab.claim(orphaned)
    assert lab.run(upkeep.prune_workers(DAY, DAY)) == 0
    lab.clock.advance(2 * DAY)
    assert lab.run(upkeep.prune_workers(DAY, DAY)) == 1
    rows = lab.place.sql("SELECT id FROM {p}worker ORDER BY id")
    assert [row["id"] for row in rows] == sorted([alive, orphaned])


def test_claims_of_programs_elsewhere_are_forgotten_sooner(lab: Lab) -> None:
    worker, program = lab.worker("worker"), lab.worker("program")
    lab.place.sql(f"UPDATE {{p}}worker SET pid = 0 WHERE id = {program}")
    for each in (worker, program):
        lab.run(workers.end_worker(each))
    lab.clock.advance(2 * DAY)
    assert lab.run(upkeep.prune_workers(10 * DAY, DAY)) == 1
    assert [row["id"] for row in lab.place.sql("SELECT id FROM {p}worker")] == [worker]


def test_folded_counters_keep_their_sums(lab: Lab) -> None:
    for n in range(6):
        lab.finished(State.SUCCEEDED if n % 3 else State.FAILED, queue=f"q{n % 2}")
    before = lab.counts()
    assert before == lab.recount()
    assert lab.run(upkeep.rollup()) == 6
    assert lab.counts() == before
    assert lab.run(upkeep.rollup()) == 4
    assert len(lab.place.sql("SELECT n FROM {p}tally")) == 4
    assert lab.counts() == before


def test_folding_nothing_is_fine(lab: Lab) -> None:
    lab.new()
    assert lab.run(upkeep.rollup()) == 0
    assert lab.counts() == {("default", State.QUEUED): 1}


def test_folds_and_outcomes_at_once_lose_no_count(lab: Lab) -> None:
    lab.enqueue([new_job()] * 20)
    worker = lab.worker()
    for _ in range(4):
        for job in lab.claim(worker, 5):
            lab.finish(job)
        lab.run_at_once([upkeep.rollup()] * 3)
    assert lab.counts() == lab.recount() == {("default", State.SUCCEEDED): 20}


def test_every_job_is_accounted_for_through_a_whole_life(lab: Lab) -> None:
    """Enqueued = waiting + running + ended + pruned, per queue, after every step."""
    pruned = Counter[str]()

    def check() -> None:
        assert lab.counts() == lab.recount()
        stored = Counter[str]()
        for (queue, _state), n in lab.counts().items():
            stored[queue] += n
        assert stored + pruned == Counter({"default": 8, "alone": 1})

    lab.enqueue([new_job()] * 6 + [new_job(delay_us=SECOND), new_job(expires_in_us=SECOND)])
    lab.finished(State.SUCCEEDED)
    check()
    worker = lab.worker()
    jobs = lab.claim(worker, 5)
    check()
    for job, state in zip(
        jobs, [State.SUCCEEDED, State.FAILED, State.RETRYING, State.PARKED], strict=False
    ):
        lab.finish(job, state)
        check()
    lab.run(claim.give_back([held(jobs[4])]))
    check()
    lab.clock.advance(MINUTE)
    lab.run(upkeep.promote(10))
    lab.run(upkeep.expire(10))
    check()
    lab.claim(worker, 2)
    lab.run(workers.sweep([worker]))
    check()
    lab.run(steer.cancel(jobs[3].id, Reason.BY_USER))
    lab.run(steer.rerun(jobs[0].id))
    lab.run(upkeep.rollup())
    check()
    lab.clock.advance(10 * DAY)
    before = lab.recount()
    lab.run(upkeep.prune(0, 100, KEEP))
    for key, n in (Counter(before) - Counter(lab.recount())).items():
        pruned[key[0]] += n
    assert pruned.total() == 4
    check()
