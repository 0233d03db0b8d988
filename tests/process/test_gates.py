"""Workers killed with SIGKILL while they hold slots and groups: limits stand, nothing leaks."""

from __future__ import annotations

import signal

import pytest

from tests.process.scene import Scene

KILLS = 2
"""A job that is lost three times is given up."""


def test_killed_workers_leave_no_slot_behind_and_no_order(scene: Scene) -> None:
    """Takes some seconds: two workers are killed one after the other, each while it runs jobs."""
    for number in range(40):
        scene.enqueue("limited", f"limited {number}", seconds=0.02)
        scene.enqueue("in_order", f"ordered {number}", seconds=0.02)
    for _ in range(KILLS):
        worker = scene.worker()
        scene.until(lambda: holds(scene, worker.pid), "a run")  # noqa: B023
        scene.kill(worker)
    scene.worker()
    scene.worker()
    scene.settled_with_one_more()
    assert {job.state for job in scene.database.contents().jobs} == {"succeeded"}
    scene.assert_clean()


@pytest.mark.parametrize("point", ["turn_over.before_commit", "turn_over.after_commit"])
def test_a_worker_dies_as_it_hands_a_slot_on(scene: Scene, point: str) -> None:
    """Takes some seconds: as many outcomes have ended as were lost, and whom it claimed with them
    comes back."""
    for number in range(10):
        scene.enqueue("limited", f"limited {number}", seconds=0.02)
        scene.enqueue("in_order", f"ordered {number}", seconds=0.02)
    victim = scene.worker(failpoints=f"{point}=kill@3", ready=False)
    assert victim.wait() == -signal.SIGKILL, scene.logs()
    scene.worker()
    scene.settled_with_one_more()
    scene.assert_clean()


@pytest.mark.parametrize("fault", ["turn_over_not_sent", "turn_over_unanswered"])
def test_the_connection_breaks_as_a_slot_is_handed_on(scene: Scene, fault: str) -> None:
    """Takes some seconds: a claim that no answer told of is given back five seconds later."""
    for number in range(8):
        scene.enqueue("limited", f"limited {number}", seconds=0.02)
    worker = scene.worker(fault=fault)
    scene.settled()
    assert not worker.over
    assert {job.state for job in scene.database.contents().jobs} == {"succeeded"}
    scene.assert_clean()


def holds(scene: Scene, pid: int) -> bool:
    """Tell whether the process runs a job now."""
    runs = [entry for entry in scene.entries() if entry.pid == pid and entry.op is not None]
    return bool(runs) and runs[-1].what == "start"
