"""A worker stands still past its lease: another has its jobs by then, and it can write nothing."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.process.load import Load
from tests.process.scene import Program, Scene

PAUSES = 3
"""Pauses of the sample."""
LEASES = 3.0
"""Seconds, and so leases, that a pause lasts at most."""


def wake(scene: Scene, program: Program) -> None:
    """Let it go on; the harm is over when it knows that its lease is lost."""
    before = scene.count("LeaseEnded", program)
    program.send(signal.SIGCONT)
    scene.until(lambda: scene.count("LeaseEnded", program) > before, "the paused worker's insight")
    scene.ledger.write("over", whom=program.pid)


def test_a_worker_wakes_when_its_job_has_been_done_by_another(scene: Scene) -> None:
    gate = scene.gate()
    paused = scene.worker()
    for kind in ("wait", "hold"):
        scene.enqueue(kind, kind, gate=str(gate))
        scene.until(lambda kind=kind: scene.started(kind), "the run")  # type: ignore[misc]
    scene.fault(paused, signal.SIGSTOP)
    scene.worker()
    for kind in ("wait", "hold"):
        scene.until(lambda kind=kind: scene.started(kind, 2), "the second run")  # type: ignore[misc]
    gate.touch()
    scene.settled()
    wake(scene, paused)
    scene.assert_clean()
    # It begins anew, and is as good as any other.
    scene.enqueue("quick", "afterwards")
    scene.settled()
    scene.assert_clean()


@pytest.mark.parametrize("how", ["return", "fail", "retry", "snooze", "give_up", "cancel"])
def test_each_outcome_of_a_stale_attempt_is_refused(scene: Scene, how: str) -> None:
    """The worker does not know that its lease is lost, so that it does try to write."""
    gate = scene.gate()
    stale = scene.worker(fault="numb", failpoints="finish.before=stop@2", concurrency=1)
    # One slot, and the duties of the start done: on SQLite it must not stop while it writes.
    scene.enqueue("quick", "before")
    scene.settled()
    scene.enqueue("end_as_told", "one", gate=str(gate), how=how)
    scene.until(lambda: stale.stopped, "the pause before the outcome is written")
    second = scene.worker()
    scene.until(lambda: scene.started("one", times=2), "the second run")
    stale.send(signal.SIGCONT)
    scene.until(lambda: scene.event("WriteRefused", stale), "the refusal in the log")
    assert scene.states()["one"] == "running"
    gate.touch()
    scene.settled()
    assert scene.ended("one", second)
    scene.assert_clean()


def test_a_give_back_by_a_stale_worker_is_refused(scene: Scene) -> None:
    gate = scene.gate()
    stale = scene.worker(fault="numb", failpoints="give_back.before=stop@1", shutdown_seconds=0)
    scene.enqueue("wait", "one", gate=str(gate))
    scene.until(lambda: scene.started("one"), "the run")
    stale.send(signal.SIGTERM)
    scene.until(lambda: stale.stopped, "the pause before the job is given back")
    scene.worker()
    scene.until(lambda: scene.started("one", times=2), "the second run")
    stale.send(signal.SIGCONT)
    assert stale.wait() == 0
    assert scene.states() == {"one": "running"}
    gate.touch()
    scene.settled()
    scene.assert_clean()


def test_a_claim_by_a_stale_worker_is_taken_back(scene: Scene) -> None:
    """It claimed, stood still past its lease, and begins what another has finished by then."""
    stale = scene.worker(fault="numb", failpoints="claim.taken=stop@1")
    scene.enqueue("quick", "one")
    scene.until(lambda: stale.stopped, "the pause after the claim")
    scene.worker()
    scene.settled()
    stale.send(signal.SIGCONT)
    scene.until(lambda: scene.event("WriteRefused", stale), "the refusal in the log")
    scene.assert_clean()


@pytest.mark.timeout(0)
def test_workers_stand_still_at_random(scene: Scene, crash_seconds: float) -> None:
    load = Load(scene, random.SystemRandom().randrange(2**32))

    def pause() -> None:
        victim = load.chance.choice(load.workers)
        scene.until(lambda: scene.is_registered(victim), "the worker")
        scene.fault(victim, signal.SIGSTOP)
        asleep = time.monotonic()
        # On SQLite it may have stopped with the write lock in its hand: then nobody can sweep.
        scene.until(
            lambda: (
                not scene.is_registered(victim)
                or (scene.database.is_sqlite and time.monotonic() > asleep + LEASES)
            ),
            "the sweep",
        )
        if scene.is_registered(victim):
            victim.send(signal.SIGCONT)
            scene.ledger.write("over", whom=victim.pid)
        else:
            wake(scene, victim)

    load.run(pause, faults=PAUSES, seconds=crash_seconds)
    load.stop()
    scene.assert_clean()
