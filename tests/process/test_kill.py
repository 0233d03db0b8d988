"""Processes killed with SIGKILL: nothing lost, nothing doubled without a recorded reason."""

from __future__ import annotations

from tests.process.scene import Scene


def test_a_killed_workers_job_is_run_by_another(scene: Scene) -> None:
    gate = scene.gate()
    first = scene.worker()
    scene.enqueue("wait", "one", gate=str(gate))
    scene.until(lambda: scene.started("one"), "the run")
    scene.kill(first)
    scene.worker()
    scene.until(lambda: scene.started("one", times=2), "the second run", seconds=5)
    gate.touch()
    scene.settled()
    scene.assert_clean()
