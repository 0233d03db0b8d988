"""What a running job says: kept in order, refused once its attempt is over, gone with the job."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from jobpipe.errors import JobNotFound
from jobpipe.model.job import Claimed, Lane
from jobpipe.model.report import Checkpoint, LogLine, LogRecord, Progress, ProgressRecord
from jobpipe.model.state import Reason, State
from jobpipe.store.ops import claim, report, steer, upkeep
from jobpipe.store.ops import worker as workers
from tests.conformance.clock import DAY, MINUTE, SECOND
from tests.conformance.lab import Lab, held, new_job

ALONE = Lane("alone", 0)
TABLES = ("log", "progress", "checkpoint", "attempt", "idempotency")

Said = Claimed | tuple[int, int]


def line(job: Said, number: int, **fields: Any) -> LogLine:
    id, token = job if isinstance(job, tuple) else (job.id, job.token)
    about = {"at_ns": 0, "level": 20, "logger": "app", "message": f"line {number}", **fields}
    return LogLine(id, token, number, **about)


def write(lab: Lab, *lines: LogLine) -> set[tuple[int, int]]:
    return lab.run(report.write_lines(lines, 0))


def say(lab: Lab, job: Claimed, done: float, **fields: Any) -> set[tuple[int, int]]:
    return lab.run(report.write_progress([Progress(job.id, job.token, done, **fields)]))


def save(lab: Lab, job: Claimed, state: str) -> set[tuple[int, int]]:
    return lab.run(report.save_checkpoints([Checkpoint(job.id, job.token, state)]))


def again(lab: Lab, lane: Lane = ALONE) -> Claimed:
    """Claim the one job that waits in the lane."""
    (job,) = lab.claim(lab.worker(), 10, [lane])
    return job


def numbers(lines: list[LogRecord]) -> list[tuple[int, int]]:
    return [(each.token, each.number) for each in lines]


def stored(lab: Lab, id: int) -> dict[str, int]:
    """Count what the tables hold of a job."""
    return {
        table: len(lab.place.sql(f"SELECT 1 AS n FROM {{p}}{table} WHERE job_id = {id}"))
        for table in TABLES
    }


# The log


def test_a_line_is_read_as_it_was_written(lab: Lab) -> None:
    job = lab.claimed()
    now = time.monotonic_ns()
    before = lab.now()
    said = [
        line(job, 1, at_ns=now - 5 * SECOND * 1_000, level=40, logger="a.b", message="ünï\n'x'"),
        line(job, 2, at_ns=now, level=10, logger="", message="", fields='{"k": [1, null]}'),
    ]
    assert lab.run(report.write_lines(said, now)) == {(job.id, 1)}
    first, second = lab.run(report.read_log(job.id))
    assert (first.level, first.logger, first.message) == (40, "a.b", "ünï\n'x'")
    assert (second.level, second.logger, second.message) == (10, "", "")
    assert (first.fields, second.fields) == (None, '{"k": [1, null]}')
    assert second.at - first.at == 5 * SECOND
    assert 0 <= second.at - before < MINUTE


def test_lines_of_many_jobs_go_into_one_statement(lab: Lab) -> None:
    lab.enqueue([new_job()] * 3)
    jobs = lab.claim(lab.worker())
    said = [line(job, number) for number in (2, 1) for job in jobs]
    assert write(lab, *said) == {(job.id, 1) for job in jobs}
    for job in jobs:
        assert numbers(lab.run(report.read_log(job.id))) == [(1, 1), (1, 2)]


def test_the_log_is_read_in_order_page_by_page(lab: Lab) -> None:
    first = lab.claimed()
    write(lab, *[line(first, number) for number in (3, 1, 2)])
    lab.run(claim.give_back([held(first)]))
    second = again(lab)
    write(lab, line(second, 1), line(second, 2))
    id = first.id
    everything = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]
    assert numbers(lab.run(report.read_log(id))) == everything
    pages, after = [], (0, 0)
    while page := numbers(lab.run(report.read_log(id, after, 2))):
        pages.append(page)
        after = page[-1]
    assert pages == [everything[:2], everything[2:4], everything[4:]]
    assert numbers(lab.run(report.read_log(id, token=1))) == everything[:3]
    assert numbers(lab.run(report.read_log(id, token=2))) == everything[3:]
    assert numbers(lab.run(report.read_log(id, (1, 2), token=1))) == [(1, 3)]
    assert numbers(lab.run(report.read_log(id, (1, 2), token=2))) == everything[3:]
    assert lab.run(report.read_log(id, (2, 1), token=1)) == []


def test_a_job_that_said_nothing_has_an_empty_log(lab: Lab) -> None:
    assert lab.run(report.read_log(lab.new())) == []
    with pytest.raises(JobNotFound, match="there is no job 999999"):
        lab.run(report.read_log(999_999))


def test_a_line_written_twice_stands_once(lab: Lab) -> None:
    job = lab.claimed()
    write(lab, line(job, 1, message="first"))
    assert write(lab, line(job, 1, message="other"), line(job, 2)) == {(job.id, 1)}
    assert [each.message for each in lab.run(report.read_log(job.id))] == ["first", "line 2"]


@pytest.mark.parametrize("level,kept", [(-1, 0), (2**40, 32_767)])
def test_a_level_that_no_program_should_use_is_kept_in_bounds(
    lab: Lab, level: int, kept: int
) -> None:
    job = lab.claimed()
    write(lab, line(job, 1, level=level))
    assert [each.level for each in lab.run(report.read_log(job.id))] == [kept]


# Progress


def test_the_last_word_on_progress_counts(lab: Lab) -> None:
    job = lab.claimed()
    assert lab.job(job.id).progress is None
    before = lab.now()
    assert say(lab, job, 1) == {(job.id, 1)}
    assert say(lab, job, 2.5, total=10, note="half done") == {(job.id, 1)}
    progress = lab.job(job.id).progress
    assert progress is not None
    assert 0 <= progress.at - before < MINUTE
    assert progress == ProgressRecord(done=2.5, total=10.0, note="half done", at=progress.at)
    assert stored(lab, job.id)["progress"] == 1


def test_a_new_attempt_has_the_word_on_progress(lab: Lab) -> None:
    job = lab.claimed()
    say(lab, job, 9, note="old")
    lab.run(claim.give_back([held(job)]))
    second = again(lab)
    assert say(lab, second, 1) == {(job.id, 2)}
    assert say(lab, job, 10) == set()
    progress = lab.job(job.id).progress
    assert progress is not None
    assert (progress.done, progress.total, progress.note) == (1.0, None, None)


# Checkpoints


def test_a_first_claim_finds_no_checkpoint(lab: Lab) -> None:
    job = lab.claimed()
    assert (job.checkpoint, job.suspect) == (None, False)
    lab.run(claim.give_back([held(job)]))
    assert again(lab).checkpoint is None


def test_a_checkpoint_is_handed_to_the_next_attempts(lab: Lab) -> None:
    job = lab.claimed()
    assert save(lab, job, '{"page": 1}') == {(job.id, 1)}
    assert save(lab, job, '{"page": 2}') == {(job.id, 1)}
    lab.finish(job, State.RETRYING)
    lab.clock.advance(MINUTE)
    lab.run(upkeep.promote(10))
    second = again(lab)
    assert (second.token, second.checkpoint) == (2, '{"page": 2}')
    lab.run(claim.give_back([held(second)]))
    third = again(lab)
    assert (third.token, third.checkpoint) == (3, '{"page": 2}')
    save(lab, third, "3")
    lab.run(workers.sweep([row["id"] for row in lab.place.sql("SELECT id FROM {p}worker")]))
    assert again(lab).checkpoint == "3"


def test_each_job_of_a_claim_has_its_own_checkpoint(lab: Lab) -> None:
    lab.enqueue([new_job()] * 3)
    jobs = lab.claim(lab.worker())
    one, _, three = jobs
    said = [Checkpoint(three.id, 1, '"three"'), Checkpoint(one.id, 1, '"one"')]
    assert lab.run(report.save_checkpoints(said)) == {(one.id, 1), (three.id, 1)}
    lab.run(claim.give_back([held(job) for job in jobs]))
    found = [job.checkpoint for job in lab.claim(lab.worker())]
    assert found == ['"one"', None, '"three"']


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
def test_a_rerun_goes_on_from_the_checkpoint_of_a_failure(lab: Lab, state: State) -> None:
    job = lab.claimed()
    save(lab, job, "7")
    say(lab, job, 5)
    write(lab, line(job, 1))
    lab.finish(job, state)
    lab.run(steer.rerun(job.id))
    assert lab.job(job.id).progress is None
    assert again(lab).checkpoint == "7"
    assert numbers(lab.run(report.read_log(job.id))) == [(1, 1)]


def test_a_rerun_of_a_success_begins_from_nothing(lab: Lab) -> None:
    job = lab.claimed()
    save(lab, job, "7")
    lab.finish(job)
    lab.run(steer.rerun(job.id))
    assert again(lab).checkpoint is None
    assert stored(lab, job.id)["checkpoint"] == 0


def test_checkpoints_and_taking_back_at_once_leave_no_stale_state(lab: Lab) -> None:
    lab.enqueue([new_job()] * 20)
    worker = lab.worker()
    jobs = lab.claim(worker, 20)
    said = [Checkpoint(job.id, job.token, "1") for job in jobs]
    accepted, _ = lab.run_at_once(
        [report.save_checkpoints(said), claim.give_back([held(job) for job in jobs])]
    )
    found = {job.id: job.checkpoint for job in lab.claim(worker, 20)}
    assert found == {job.id: "1" if (job.id, 1) in accepted else None for job in jobs}


# The guard


def finished(lab: Lab, job: Claimed) -> None:
    lab.finish(job)


def given_back(lab: Lab, job: Claimed) -> None:
    lab.run(claim.give_back([held(job)]))


def taken_over(lab: Lab, job: Claimed) -> None:
    given_back(lab, job)
    again(lab)


def swept(lab: Lab, job: Claimed) -> None:
    (row,) = lab.place.sql(f"SELECT worker_id FROM {{p}}job WHERE id = {job.id}")
    lab.run(workers.sweep([row["worker_id"]]))


def deleted(lab: Lab, job: Claimed) -> None:
    lab.finish(job)
    lab.run(steer.delete_job(job.id))


ENDS = [finished, given_back, taken_over, swept, deleted]


@pytest.mark.parametrize("end", ENDS)
def test_an_attempt_that_is_over_says_nothing_any_more(
    lab: Lab, end: Callable[[Lab, Claimed], None]
) -> None:
    job, other = lab.claimed(), lab.claimed(queue="other")
    end(lab, job)
    before = stored(lab, job.id)
    still = {(other.id, other.token)}
    assert write(lab, line(job, 1), line(other, 1)) == still
    progresses = [Progress(other.id, 1, 1), Progress(job.id, job.token, 1)]
    assert lab.run(report.write_progress(progresses)) == still
    checkpoints = [Checkpoint(job.id, job.token, "1"), Checkpoint(other.id, 1, "1")]
    assert lab.run(report.save_checkpoints(checkpoints)) == still
    assert stored(lab, job.id) == before
    kept = {"log": 1, "progress": 1, "checkpoint": 1, "attempt": 0, "idempotency": 0}
    assert stored(lab, other.id) == kept


def test_a_token_of_the_future_is_refused_too(lab: Lab) -> None:
    job = lab.claimed()
    assert write(lab, line((job.id, 2), 1), line((job.id + 1, 1), 1)) == set()
    assert lab.run(report.write_progress([Progress(job.id, 2, 1)])) == set()
    assert lab.run(report.save_checkpoints([Checkpoint(job.id, 2, "1")])) == set()


def test_saying_nothing_is_fine(lab: Lab) -> None:
    assert write(lab) == set()
    assert lab.run(report.write_progress([])) == set()
    assert lab.run(report.save_checkpoints([])) == set()


# The end of it all


def speaking(lab: Lab, state: State, **fields: Any) -> int:
    """Make a job that said something of each kind and ended."""
    job = lab.claimed(**fields)
    write(lab, line(job, 1), line(job, 2))
    say(lab, job, 1)
    save(lab, job, "1")
    lab.finish(job, state)
    return job.id


def test_pruning_takes_all_with_it_and_nothing_else(lab: Lab) -> None:
    gone = speaking(lab, State.FAILED, idempotency_key="k")
    lab.clock.advance(10 * DAY)
    kept = speaking(lab, State.FAILED, queue="later")
    assert lab.run(upkeep.prune(0, 100, {State.FAILED: DAY})).deleted == 1
    assert set(stored(lab, gone).values()) == {0}
    assert stored(lab, kept) == {
        "log": 2,
        "progress": 1,
        "checkpoint": 1,
        "attempt": 1,
        "idempotency": 0,
    }


def test_pruning_takes_few_jobs_at_once_when_they_said_much(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "PRUNE_LINES", 5)
    ids = [speaking(lab, State.SUCCEEDED, queue=f"q{n}") for n in range(3)]
    ids.append(lab.finished(State.SUCCEEDED))
    ids.append(speaking(lab, State.SUCCEEDED, queue="last"))
    talker = lab.claimed(queue="talker")
    write(lab, *[line(talker, number) for number in range(1, 9)])
    lab.finish(talker)
    lab.clock.advance(10 * DAY)
    position, steps = 0, []
    for _ in range(4):
        pruned = lab.run(upkeep.prune(position, 100, {State.SUCCEEDED: DAY}))
        steps.append(pruned.deleted)
        position = pruned.position
    assert steps == [2, 3, 1, 0]
    assert lab.place.sql("SELECT job_id FROM {p}log") == []
    assert lab.recount() == {}


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
def test_a_deleted_job_is_gone_with_all_that_belongs_to_it(lab: Lab, state: State) -> None:
    id = speaking(lab, state, idempotency_key="k")
    neighbour = speaking(lab, state, queue="other")
    assert lab.run(steer.delete_job(id)) is state
    assert set(stored(lab, id).values()) == {0}
    assert stored(lab, neighbour)["log"] == 2
    assert lab.counts() == lab.recount() == {("other", state): 1}
    assert lab.run(steer.delete_job(id)) is None
    (new,) = lab.enqueue([new_job(idempotency_key="k", args='{"other":1}')])
    assert new.created
    assert new.id > id


def test_a_job_that_has_not_ended_is_not_deleted(lab: Lab) -> None:
    queued, scheduled = lab.new(), lab.new(delay_us=MINUTE)
    running = lab.claimed().id
    parked = lab.finished(State.PARKED, queue="parked")
    before = lab.recount()
    states = [lab.run(steer.delete_job(id)) for id in (queued, scheduled, running, parked)]
    assert states == [State.QUEUED, State.SCHEDULED, State.RUNNING, State.PARKED]
    assert lab.recount() == before == lab.counts()


def test_a_worker_that_still_notes_a_deleted_job_does_no_harm(lab: Lab) -> None:
    job = lab.claimed()
    lab.finish(job)
    lab.run(steer.delete_job(job.id))
    (row,) = lab.place.sql("SELECT worker_id FROM {p}claim")
    assert lab.run(workers.inventory(row["worker_id"])) == []
    assert len(lab.run(workers.sweep([row["worker_id"]]))) == 1
    assert lab.place.sql("SELECT id FROM {p}claim") == []
    assert lab.counts() == {}


# Suspects


def test_a_suspect_is_told_as_one_until_it_comes_to_an_outcome(lab: Lab) -> None:
    job = lab.claimed()
    (back,) = lab.run(claim.give_back([held(job)], suspect=True))
    assert (back.id, back.rank) == (job.id, job.rank)
    record = lab.job(job.id)
    assert (record.state, record.attempt, record.losses) == (State.QUEUED, 0, 0)
    second = again(lab)
    assert (second.suspect, second.attempt) == (True, 1)
    lab.run(claim.give_back([held(second)]))
    third = again(lab)
    assert third.suspect
    lab.finish(third, State.RETRYING)
    lab.clock.advance(MINUTE)
    lab.run(upkeep.promote(10))
    assert not again(lab).suspect


def test_only_those_that_are_named_become_suspects(lab: Lab) -> None:
    lab.enqueue([new_job()] * 3)
    jobs = lab.claim(lab.worker())
    lab.run(claim.give_back([held(job) for job in jobs[:2]], suspect=True))
    lab.run(claim.give_back([held(jobs[2])]))
    assert [job.suspect for job in lab.claim(lab.worker())] == [True, True, False]


def test_a_stale_accusation_changes_nothing(lab: Lab) -> None:
    job = lab.claimed()
    taken_over(lab, job)
    assert lab.run(claim.give_back([held(job)], suspect=True)) == []
    assert lab.job(job.id).state is State.RUNNING
    assert lab.place.sql("SELECT id FROM {p}job WHERE suspect IS NOT NULL") == []


def test_a_rerun_clears_the_suspicion(lab: Lab) -> None:
    job = lab.claimed()
    lab.run(claim.give_back([held(job)], suspect=True))
    lab.run(steer.cancel(job.id, Reason.BY_USER))
    lab.run(steer.rerun(job.id))
    assert not again(lab).suspect


# What a dead worker held


def test_the_inventory_tells_what_a_supervisor_must_know(lab: Lab) -> None:
    lab.enqueue([new_job(task="a"), new_job(task="b", max_attempts=2), new_job(task="c")])
    worker = lab.worker()
    a, b, c = lab.claim(worker)
    lab.claimed()
    lab.run(steer.cancel(b.id, Reason.BY_USER))
    lab.finish(c)
    found = sorted(lab.run(workers.inventory(worker)), key=lambda job: job.id)
    assert [(job.id, job.token, job.rank, job.claim_id) for job in found] == [
        (job.id, job.token, job.rank, job.claim_id) for job in (a, b)
    ]
    assert [(job.task, job.attempt, job.max_attempts) for job in found] == [
        ("a", 1, 5),
        ("b", 1, 2),
    ]
    assert [job.cancel_requested for job in found] == [False, True]
    assert [job.suspect for job in found] == [False, False]
    lab.run(claim.give_back([found[0]], suspect=True))
    (again_a,) = lab.claim(worker)
    retried = {job.id: job for job in lab.run(workers.inventory(worker))}
    assert set(retried) == {a.id, b.id}
    assert retried[a.id].suspect
    assert retried[a.id].token == again_a.token == 2


def test_a_worker_without_jobs_has_an_empty_inventory(lab: Lab) -> None:
    assert lab.run(workers.inventory(lab.worker())) == []
    assert lab.run(workers.inventory(12345)) == []
