"""The checker names each planted bug; the same scene without the bug is clean.

Every bug was met in some system of the field. A scene brings about what the bug needs to show, by
failpoints and faults that sound code survives.
"""

from __future__ import annotations

import signal

import psycopg
import pytest

from tests.process.checker import Kind
from tests.process.scene import Scene

AT_RATE = 36
"""Jobs of a rate: at once they are too many, at the rate they take more than a second."""


def planted(*bugs: tuple[str, Kind]) -> pytest.MarkDecorator:
    """Run a scene without any bug, and with each of these."""
    cases: list[tuple[str | None, Kind | None]] = [(None, None), *bugs]
    return pytest.mark.parametrize("bug, kind", cases, ids=[bug or "no bug" for bug, _ in cases])


def judge(scene: Scene, kind: Kind | None, *, in_order: bool = False) -> None:
    """Find the kind of the bug, or nothing at all."""
    found = scene.anomalies(in_order=in_order)
    names = {anomaly.kind for anomaly in found}
    told = "\n".join(map(str, found)) + "\n" + scene.logs()
    assert kind in names if kind else not found, told


@planted(("no_state_check", Kind.TALLY_DRIFT))
def test_the_answer_to_an_outcome_is_lost(
    sqlite_scene: Scene, bug: str | None, kind: Kind | None
) -> None:
    scene = sqlite_scene
    scene.enqueue("quick", "one")
    worker = scene.worker("--burst", plant=bug, fault="finish_unanswered", ready=False)
    worker.wait()
    judge(scene, kind)


@planted(("outcome_dropped", Kind.STUCK))
def test_the_store_is_away_when_an_outcome_is_to_be_written(
    sqlite_scene: Scene, bug: str | None, kind: Kind | None
) -> None:
    scene = sqlite_scene
    scene.enqueue("quick", "one")
    scene.worker(plant=bug, fault="finish_not_sent")
    scene.quiet(1.5)
    judge(scene, kind)


@planted(("no_token_check", Kind.STALE))
def test_a_worker_is_paused_before_it_writes_an_outcome(
    scene: Scene, bug: str | None, kind: Kind | None
) -> None:
    gate = scene.gate()
    paused = scene.worker(plant=bug, fault="numb", failpoints="finish.before=stop@2", concurrency=1)
    # One slot, and the duties of the start done: on SQLite it must not stop while it writes.
    scene.enqueue("quick", "before")
    scene.settled()
    scene.enqueue("end_as_told", "one", gate=str(gate), how="return")
    scene.until(lambda: paused.stopped, "the pause")
    second = scene.worker()
    scene.until(lambda: scene.started("one", times=2), "the second run")
    paused.send(signal.SIGCONT)
    scene.until(
        lambda: scene.event("WriteRefused", paused) or not scene.database.unfinished(),
        "the answer to the outcome of the worker that was paused",
    )
    gate.touch()
    scene.until(lambda: scene.ended("one", second), "the second run's end")
    scene.settled()
    judge(scene, kind)


@planted(
    ("token_reused", Kind.TOKEN_NOT_RISING),
    ("refund_twice", Kind.UNCHARGED),
    ("give_back_charged", Kind.OVERCHARGED),
)
def test_a_worker_stops_while_its_job_runs(
    scene: Scene, bug: str | None, kind: Kind | None
) -> None:
    gate = scene.gate()
    first = scene.worker(plant=bug, shutdown_seconds=0)
    scene.enqueue("wait", "one", gate=str(gate))
    scene.until(lambda: scene.started("one"), "the run")
    scene.fault(first, signal.SIGTERM)
    assert first.wait() == 0, scene.logs()
    gate.touch()
    scene.worker(plant=bug)
    scene.settled()
    judge(scene, kind)


@planted(("ack_before_commit", Kind.LOST))
def test_a_producer_dies_when_it_has_its_answer(
    sqlite_scene: Scene, bug: str | None, kind: Kind | None
) -> None:
    scene = sqlite_scene
    assert scene.producer("die_after_answer", plant=bug).wait() == -signal.SIGKILL
    scene.worker("--burst", ready=False).wait()
    judge(scene, kind)


@planted(("sweep_by_id", Kind.OVERLAPPING))
def test_a_dead_workers_record_names_a_job_that_another_has_by_now(
    scene: Scene, bug: str | None, kind: Kind | None
) -> None:
    gate = scene.gate()
    first = scene.worker(failpoints="finish.after_commit=stop@1")
    scene.enqueue("wait_after_failure", "one", gate=str(gate))
    scene.until(lambda: first.stopped, "the pause after the failure was written")
    second = scene.worker(plant=bug, concurrency=5)
    scene.until(lambda: scene.started("one", times=2), "the second run")
    scene.until(lambda: scene.event("WorkerSwept", second), "the sweep")
    scene.enqueue("quick", "behind")
    scene.until(lambda: scene.started("behind"), "a job behind whatever was taken back")
    gate.touch()
    scene.settled()
    judge(scene, kind)


@planted(("no_poll", Kind.STUCK))
def test_no_hint_arrives(scene: Scene, bug: str | None, kind: Kind | None) -> None:
    worker = scene.worker(plant=bug, fault="deaf")
    scene.enqueue("quick", "that makes the lane known")
    scene.settled()
    scene.renewed(worker, times=2)
    scene.enqueue("quick", "one")
    scene.quiet(1.5)
    judge(scene, kind)


@planted(("local_clock", Kind.OVERLAPPING))
def test_a_workers_clock_is_wrong_by_a_day(
    postgres_scene: Scene, bug: str | None, kind: Kind | None
) -> None:
    scene, gate = postgres_scene, postgres_scene.gate()
    scene.worker()
    scene.enqueue("hold", "one", gate=str(gate))
    scene.until(lambda: scene.started("one"), "the run")
    ahead = scene.worker(plant=bug, fault="clock_a_day_ahead")
    scene.renewed(ahead, times=4)
    scene.until(lambda: not bug or scene.started("one", times=2), "the second run")
    gate.touch()
    scene.settled()
    judge(scene, kind)


@planted(("lease_not_prolonged", Kind.LEASE_LOST))
def test_a_job_lasts_longer_than_the_lease(
    sqlite_scene: Scene, bug: str | None, kind: Kind | None
) -> None:
    scene, gate = sqlite_scene, sqlite_scene.gate()
    worker = scene.worker(plant=bug)
    scene.enqueue("wait", "one", gate=str(gate))
    scene.until(lambda: scene.started("one"), "the run")
    other = scene.worker(queues="other")
    scene.renewed(other, times=6)
    scene.until(lambda: scene.event("LeaseEnded", worker) if bug else True, "the end of the lease")
    gate.touch()
    scene.settled()
    judge(scene, kind)


@planted(("no_full_walk", Kind.STUCK))
def test_a_commit_is_late_by_more_than_the_lag(
    postgres_scene: Scene, bug: str | None, kind: Kind | None
) -> None:
    scene = postgres_scene
    worker = scene.worker(plant=bug)
    with psycopg.connect(scene.url) as connection:
        scene.ledger.write("invoke", op="late")
        job = scene.jp.enqueue_named("quick", {"op": "late"}, on=connection)
        for n in range(6):
            scene.enqueue("quick", f"meanwhile {n}")
            scene.renewed(worker, times=1)
        connection.commit()
        scene.ledger.write("ok", op="late", job=job.id)
    scene.quiet(2.0)
    judge(scene, kind)


@planted(("promote_unguarded", Kind.EARLY))
def test_a_job_waits_for_its_time(scene: Scene, bug: str | None, kind: Kind | None) -> None:
    scene.enqueue("quick", "later", delay=3.0)
    scene.worker(plant=bug)
    scene.settled()
    judge(scene, kind)


@planted(("newest_first", Kind.REORDERED))
def test_jobs_wait_in_one_lane(scene: Scene, bug: str | None, kind: Kind | None) -> None:
    for n in range(5):
        scene.enqueue("quick", f"number {n}")
    scene.worker(plant=bug, concurrency=1)
    scene.settled()
    judge(scene, kind, in_order=True)


@planted(("own_transaction", Kind.ABORTED))
def test_a_caller_rolls_back(sqlite_scene: Scene, bug: str | None, kind: Kind | None) -> None:
    scene = sqlite_scene
    assert scene.producer("roll_back", plant=bug).wait() == 0
    scene.worker("--burst", ready=False).wait()
    judge(scene, kind)


@planted(("key_not_held", Kind.DOUBLED), ("flow_stored_twice", Kind.NOT_CALLED_ONCE))
def test_a_wish_is_repeated_under_its_key(
    sqlite_scene: Scene, bug: str | None, kind: Kind | None
) -> None:
    scene = sqlite_scene
    assert scene.producer("ask_twice", plant=bug).wait() == 0
    scene.worker("--burst", ready=False).wait()
    judge(scene, kind)


@planted(
    ("running_not_counted", Kind.OVER_LIMIT),
    ("turn_lost_by_failure", Kind.OUT_OF_TURN),
    ("rate_never_shuts", Kind.OVER_RATE),
    ("needs_ignored", Kind.NOT_CALLED_ONCE),
    ("flow_ends_early", Kind.PREMATURE),
)
def test_jobs_wait_at_gates_and_for_others(
    sqlite_scene: Scene, bug: str | None, kind: Kind | None
) -> None:
    scene = sqlite_scene
    for n in range(6):
        scene.enqueue("limited", f"limited {n}", seconds=0.1)
        scene.enqueue("in_order", f"in order {n}", seconds=0.01, fails=n == 0)
    for n in range(AT_RATE if kind in (None, Kind.OVER_RATE) else 0):
        scene.enqueue("rated", f"rated {n}")
    scene.compose("flow")
    scene.compose("doomed flow", "doomed")
    scene.worker(plant=bug)
    scene.settled()
    judge(scene, kind)


@planted(("slot_kept_by_the_lost", Kind.LEAKED))
def test_a_worker_is_killed_that_holds_the_only_slot(
    sqlite_scene: Scene, bug: str | None, kind: Kind | None
) -> None:
    """The job goes down with its worker, and the next one of its key has its turn."""
    scene, gate = sqlite_scene, sqlite_scene.gate()
    worker = scene.worker(plant=bug)
    scene.enqueue("once", "first", gate=str(gate))
    scene.enqueue("once", "next", gate=str(gate))
    scene.until(lambda: scene.started("first"), "the run")
    scene.kill(worker)
    gate.touch()
    scene.worker(plant=bug)
    scene.quiet(1.5)
    judge(scene, kind)
