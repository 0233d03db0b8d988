"""Processes killed with SIGKILL: nothing lost, nothing doubled without a recorded reason."""

from __future__ import annotations

import random
import time

import pytest

from tests.process.load import Load
from tests.process.scene import Scene

FAULTS = 12
"""Kills of the sample."""


@pytest.mark.parametrize("task", ["wait", "hold"])
def test_a_killed_workers_job_runs_again_at_once_on_the_same_host(scene: Scene, task: str) -> None:
    """Not the lease tells of the death, which lasts 60 s here, but the kernel."""
    gate = scene.gate()
    first = scene.worker(lease_seconds=60)
    scene.worker(lease_seconds=60, queues="other")
    scene.enqueue(task, "one", gate=str(gate))
    scene.until(lambda: scene.started("one"), "the run")
    second = scene.worker(lease_seconds=60)
    scene.kill(first)
    killed = time.monotonic()
    scene.until(lambda: scene.started("one", times=2), "the second run", seconds=5)
    assert time.monotonic() - killed < 2.0
    gate.touch()
    scene.settled()
    assert scene.ended("one", second)
    scene.assert_clean()


def test_a_job_that_is_lost_three_times_is_given_up(scene: Scene) -> None:
    gate = scene.gate()
    scene.enqueue("wait", "one", gate=str(gate))
    for time_ in (1, 2, 3):
        worker = scene.worker()
        scene.until(lambda: scene.started("one", times=time_), "the run")  # noqa: B023
        scene.kill(worker)
    scene.worker()
    scene.settled()
    [job] = scene.database.contents().jobs
    assert (job.state, job.reason, job.losses, job.attempt) == ("failed", "lost", 3, 0)
    scene.assert_clean()


@pytest.mark.timeout(0)
def test_workers_and_producers_are_killed_at_random(scene: Scene, crash_seconds: float) -> None:
    load = Load(scene, random.SystemRandom().randrange(2**32))
    load.run(load.kill_one, faults=FAULTS, seconds=crash_seconds)
    load.stop()
    scene.assert_clean()
    assert load.met() >= FAULTS // 4, "kills must meet running jobs"
