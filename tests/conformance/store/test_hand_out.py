"""Jobs handed out to programs elsewhere: each claim a worker of its own, fenced like any."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from jobpipe.errors import LeaseLost
from jobpipe.model.job import Claimed, Lane
from jobpipe.model.report import LogLine, Progress
from jobpipe.model.state import Reason, State
from jobpipe.model.worker import NewWorker
from jobpipe.policy.outcome import EXPIRED
from jobpipe.store.ops import hand_out as ops
from jobpipe.store.ops import report, steer, upkeep, worker
from jobpipe.store.ops.hand_out import HandedOut, LogBounds, Settled, Sorted
from tests.conformance.clock import SECOND
from tests.conformance.lab import LANE, Lab, ending

LEASE = 10 * SECOND
CALLER = "shell-token"
BOUNDS = LogBounds(level=20, lines=3, bytes=1_000)


def elsewhere() -> NewWorker:
    return NewWorker(name="sh", host=CALLER, pid=0, pid_started="", slots=0, queues=["default"])


def all_of(found: Sequence[Claimed]) -> Sorted:
    return Sorted(found, [], [])


def hand_out(
    lab: Lab, limit: int = 10, sort: Any = all_of, claim_id: int | None = None
) -> HandedOut:
    return lab.run(
        ops.hand_out(
            elsewhere(),
            LEASE,
            [LANE],
            limit,
            after={},
            sort=sort,
            now_ns=time.monotonic_ns(),
            claim_id=claim_id,
        )
    )


def handed(lab: Lab, jobs: int = 1) -> tuple[int, list[Claimed]]:
    """Store so many jobs and hand them out in one claim."""
    for _ in range(jobs):
        lab.new()
    given = hand_out(lab, jobs)
    assert given.claim is not None
    assert len(given.found) == jobs
    return given.claim, given.found


def settle(lab: Lab, claim: int, *ends: Any) -> Settled:
    return lab.run(ops.settle(claim, CALLER, ends, time.monotonic_ns()))


def workers(lab: Lab) -> list[dict[str, Any]]:
    return lab.place.sql(
        "SELECT id, name, host, slots, ended_at, lease_until FROM {p}worker ORDER BY id"
    )


def sweep(lab: Lab) -> None:
    lab.run(worker.sweep([]))


def test_a_claim_is_a_worker_of_its_own_with_a_slot_for_each_job(lab: Lab) -> None:
    claim, jobs = handed(lab, 2)
    (row,) = workers(lab)
    assert (row["id"], row["name"], row["host"], row["slots"]) == (claim, "sh", CALLER, 2)
    assert row["ended_at"] is None
    assert [job.token for job in jobs] == [1, 1]
    assert lab.job(jobs[0].id).state is State.RUNNING
    assert lab.job(jobs[0].id).worker == "sh"
    more = lab.new()
    assert hand_out(lab, claim_id=claim).found[0].id == more
    assert [row["slots"] for row in workers(lab)] == [3]


def test_a_look_that_finds_nothing_leaves_nothing(lab: Lab) -> None:
    assert hand_out(lab) == HandedOut([], None, None, [])
    assert workers(lab) == []


def test_what_nobody_is_to_run_ends_in_the_same_transaction(lab: Lab) -> None:
    gone, kept, returned = lab.new(), lab.new(), lab.new()

    def sort(found: Sequence[Claimed]) -> Sorted:
        end = ending(found[0], State.FAILED, reason=Reason.EXPIRED, outcome=EXPIRED.outcome)
        return Sorted(found[1:2], [end], found[2:])

    given = hand_out(lab, sort=sort)
    assert (lab.job(gone).state, lab.job(gone).reason) == (State.FAILED, Reason.EXPIRED)
    assert lab.job(kept).state is State.RUNNING
    assert lab.job(returned).state is State.QUEUED
    assert [(back.id, back.rank) for back in given.back] == [(returned, given.found[2].rank)]
    assert [row["slots"] for row in workers(lab)] == [1]


def test_a_claim_with_nothing_to_run_has_ended_at_once(lab: Lab) -> None:
    lab.new()
    given = hand_out(lab, sort=lambda found: Sorted([], [ending(found[0], State.PARKED)], []))
    assert (given.claim, given.lease_until) == (None, None)
    assert workers(lab)[0]["ended_at"] is not None
    assert lab.place.sql("SELECT * FROM {p}claim") == []


def test_a_claim_of_which_nobody_was_told_is_given_back_whole(lab: Lab) -> None:
    claim, jobs = handed(lab, 2)
    back = lab.run(ops.give_claim_back(claim, CALLER))
    assert [(queued.id, queued.rank) for queued in back] == [(job.id, job.rank) for job in jobs]
    for job in jobs:
        record = lab.job(job.id)
        assert (record.state, record.attempt, record.losses) == (State.QUEUED, 0, 0)
    assert workers(lab)[0]["ended_at"] is not None
    assert lab.place.sql("SELECT * FROM {p}claim") == []
    with pytest.raises(LeaseLost):
        lab.run(ops.give_claim_back(claim, CALLER))


def test_the_claim_ends_with_its_last_job(lab: Lab) -> None:
    claim, (first, second) = handed(lab, 2)
    settled = settle(lab, claim, ending(first, State.SUCCEEDED))
    assert settled.written == {(first.id, 1)}
    assert settled.lease_until is not None
    assert workers(lab)[0]["ended_at"] is None
    assert settle(lab, claim, ending(second, State.FAILED)).lease_until is None
    assert workers(lab)[0]["ended_at"] is not None
    assert lab.place.sql("SELECT * FROM {p}claim") == []
    assert [lab.job(job.id).state for job in (first, second)] == [State.SUCCEEDED, State.FAILED]


def test_what_was_written_before_is_told_to_be_written(lab: Lab) -> None:
    claim, (first, second) = handed(lab, 2)
    settle(lab, claim, ending(first, State.SUCCEEDED))
    again = settle(lab, claim, ending(first, State.SUCCEEDED))
    assert (again.written, again.taken) == ({(first.id, 1)}, [])
    settle(lab, claim, ending(second, State.SUCCEEDED))
    ended = settle(lab, claim, ending(second, State.SUCCEEDED))
    assert (ended.written, ended.lease_until) == ({(second.id, 1)}, None)
    assert lab.counts() == lab.recount()
    with pytest.raises(LeaseLost, match=f"claim {claim} has ended"):
        settle(lab, claim, ending(second, State.FAILED))


def test_a_claim_writes_nothing_of_what_another_holds(lab: Lab) -> None:
    mine, (_,) = handed(lab)
    other, (job,) = handed(lab)
    python = lab.claimed()
    for stranger in (job, python):
        refused = settle(lab, mine, ending(stranger, State.SUCCEEDED))
        assert refused.written == frozenset()
        assert lab.job(stranger.id).state is State.RUNNING
    stale = ending(job, State.SUCCEEDED, token=2)
    assert settle(lab, other, stale).written == frozenset()
    assert settle(lab, other, ending(job, State.SUCCEEDED)).written == {(job.id, 1)}


def test_a_worker_of_ours_is_no_claim(lab: Lab) -> None:
    worker_id = lab.worker()
    with pytest.raises(LeaseLost):
        lab.run(ops.keep_claim(worker_id, "here"))


def test_a_claim_is_its_callers_alone(lab: Lab) -> None:
    claim, (first, second) = handed(lab, 2)
    settle(lab, claim, ending(first, State.SUCCEEDED))
    before = workers(lab)
    lab.clock.advance(SECOND)
    now_ns = time.monotonic_ns()
    for call in (
        ops.keep_claim(claim, "other"),
        ops.settle(claim, "other", [ending(second, State.SUCCEEDED)], now_ns),
        ops.settle(claim, "other", [ending(first, State.SUCCEEDED)], now_ns),
        ops.hear_lines(claim, "other", [line(second, "not mine")], BOUNDS, now_ns),
        ops.hear_progress(claim, "other", [Progress(second.id, 1, 1)]),
        ops.give_claim_back(claim, "other"),
    ):
        with pytest.raises(LeaseLost, match=f"claim {claim} has ended"):
            lab.run(call)
    assert workers(lab) == before  # nor was its lease renewed
    assert (lab.job(second.id).state, lab.job(second.id).progress) == (State.RUNNING, None)
    assert lab.run(report.read_log(second.id)) == []
    settle(lab, claim, ending(second, State.SUCCEEDED))
    with pytest.raises(LeaseLost, match=f"claim {claim} has ended"):
        lab.run(ops.settle(claim, "other", [ending(second, State.SUCCEEDED)], now_ns))


def test_each_call_renews_the_lease_for_as_long_as_it_was_given(lab: Lab) -> None:
    claim, (job, _) = handed(lab, 2)
    for call in (
        lambda: lab.run(ops.keep_claim(claim, CALLER)).lease_until,
        lambda: lab.run(ops.hear_progress(claim, CALLER, [Progress(job.id, 1, 1)])).lease_until,
        lambda: (
            lab.run(
                ops.hear_lines(claim, CALLER, [line(job, "x")], BOUNDS, time.monotonic_ns())
            ).lease_until
        ),
        lambda: settle(lab, claim, ending(job, State.SUCCEEDED)).lease_until,
    ):
        lab.clock.advance(8 * SECOND)
        sweep(lab)
        until = call()
        assert until is not None
        assert abs(until - lab.now() - LEASE) < SECOND


def test_a_silent_claim_is_taken_back_like_a_dead_worker(lab: Lab) -> None:
    claim, (job,) = handed(lab)
    lab.clock.advance(11 * SECOND)
    sweep(lab)
    assert (lab.job(job.id).state, lab.job(job.id).losses) == (State.QUEUED, 1)
    for call in (
        ops.keep_claim(claim, CALLER),
        ops.settle(claim, CALLER, [ending(job, State.SUCCEEDED)], time.monotonic_ns()),
        ops.hear_lines(claim, CALLER, [line(job, "late")], BOUNDS, time.monotonic_ns()),
        ops.hear_progress(claim, CALLER, [Progress(job.id, 1, 1)]),
    ):
        with pytest.raises(LeaseLost):
            lab.run(call)
    assert lab.job(job.id).state is State.QUEUED
    again = hand_out(lab)
    assert (again.found[0].id, again.found[0].token) == (job.id, 2)


def test_a_heartbeat_tells_what_is_to_be_cancelled(lab: Lab) -> None:
    claim, (first, second) = handed(lab, 2)
    assert lab.run(ops.keep_claim(claim, CALLER)).cancels == []
    lab.run(steer.cancel(second.id, Reason.BY_USER))
    assert lab.run(ops.keep_claim(claim, CALLER)).cancels == [(second.id, 1)]
    settle(lab, claim, ending(second, State.CANCELLED), ending(first, State.SUCCEEDED))
    assert lab.job(second.id).state is State.CANCELLED
    assert lab.place.sql("SELECT * FROM {p}cancel_request") == []


def test_a_retry_after_a_cancel_request_ends_the_job(lab: Lab) -> None:
    claim, (job,) = handed(lab)
    lab.run(steer.cancel(job.id, Reason.BY_USER))
    settle(lab, claim, ending(job, State.RETRYING))
    assert (lab.job(job.id).state, lab.job(job.id).reason) == (State.CANCELLED, Reason.BY_USER)
    assert lab.counts() == lab.recount()


def test_a_retry_and_a_snooze_wait_for_their_time(lab: Lab) -> None:
    claim, (retried, snoozed) = handed(lab, 2)
    settle(lab, claim, ending(retried, State.RETRYING), ending(snoozed, State.SCHEDULED))
    assert lab.run(upkeep.promote(10)).queued == []
    assert [lab.job(job.id).attempt for job in (retried, snoozed)] == [1, 0]
    lab.clock.advance(31 * SECOND)
    assert {queued.id for queued in lab.run(upkeep.promote(10)).queued} == {retried.id, snoozed.id}


def line(job: Claimed, message: str, level: int = 20) -> LogLine:
    return LogLine(job.id, job.token, 0, time.monotonic_ns(), level, "app", message)


def told(lab: Lab, claim: int, *lines: LogLine) -> frozenset[tuple[int, int]]:
    return lab.run(ops.hear_lines(claim, CALLER, lines, BOUNDS, time.monotonic_ns())).accepted


def test_lines_are_numbered_as_they_come_and_bounded(lab: Lab) -> None:
    claim, (job, other) = handed(lab, 2)
    assert told(lab, claim, line(job, "a"), line(other, "b"), line(job, "c")) == {
        (job.id, 1),
        (other.id, 1),
    }
    assert told(lab, claim, line(job, "fine", 10)) == {(job.id, 1)}
    told(lab, claim, line(job, "d"), line(job, "one too many"))
    kept = lab.run(report.read_log(job.id))
    assert [(each.number, each.message) for each in kept] == [(1, "a"), (2, "c"), (3, "d")]
    told(lab, claim, line(other, "é" * 499), line(other, "no room"))
    assert [each.message for each in lab.run(report.read_log(other.id))] == ["b", "é" * 499]


def test_words_about_jobs_of_others_are_refused(lab: Lab) -> None:
    claim, _ = handed(lab)
    stranger = lab.claimed()
    assert told(lab, claim, line(stranger, "not mine")) == frozenset()
    assert lab.run(report.read_log(stranger.id)) == []
    said = lab.run(ops.hear_progress(claim, CALLER, [Progress(stranger.id, 1, 5)]))
    assert said.accepted == frozenset()
    assert lab.job(stranger.id).progress is None


def test_the_last_word_on_a_progress_counts(lab: Lab) -> None:
    claim, (job,) = handed(lab)
    words = [Progress(job.id, 1, 1, 10), Progress(job.id, 1, 2, 10, "half")]
    assert lab.run(ops.hear_progress(claim, CALLER, words)).accepted == {(job.id, 1)}
    progress = lab.job(job.id).progress
    assert progress is not None
    assert (progress.done, progress.total, progress.note) == (2, 10, "half")


def test_where_jobs_stand(lab: Lab) -> None:
    claim, (job,) = handed(lab)
    (stands,) = lab.run(ops.standing([job.id, 10**6])).values()
    assert (stands.id, stands.token, stands.claim) == (job.id, 1, claim)
    assert (stands.state, stands.task, stands.attempt) == (State.RUNNING, "t", 1)
    assert (stands.max_attempts, stands.started_at is not None) == (5, True)
    assert stands.queue == "default"


def test_other_lanes_are_left_alone(lab: Lab) -> None:
    lab.new(queue="other")
    assert hand_out(lab).found == []
    assert lab.place.sql("SELECT * FROM {p}claim") == []
    assert lab.claim(lab.worker(), lanes=[Lane("other", 0)])
