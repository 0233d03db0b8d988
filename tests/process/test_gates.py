"""Workers killed with SIGKILL while they hold slots and groups: limits stand, nothing leaks."""

from __future__ import annotations

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


def holds(scene: Scene, pid: int) -> bool:
    """Tell whether the process runs a job now."""
    runs = [entry for entry in scene.entries() if entry.pid == pid and entry.op is not None]
    return bool(runs) and runs[-1].what == "start"
