"""Death at each point of the code that a worker or a producer passes: others finish everything."""

from __future__ import annotations

import signal

import pytest

from tests.process.scene import Scene


def around(*operations: str) -> list[str]:
    """Return the points before and after the commit of each operation."""
    return [f"{name}.{when}_commit" for name in operations for when in ("before", "after")]


WORKING = [
    *around("register", "claim", "finish", "promote", "renew", "take_duty", "rollup"),
    "claim.taken",
    "finish.before",
    "promote.before",
    "heartbeat.renew",
]
STOPPING = [*around("give_back", "end_worker"), "give_back.before"]
SWEEPING = [*around("sweep"), "sweep.before"]
PRODUCING = [
    "enqueue_checked.before_commit@1",
    "enqueue_checked.after_commit@1",
    "enqueue_checked.before_commit@3",
    "enqueue_plain.before_commit@2",
    "enqueue_plain.after_commit@2",
    "compose.before_commit@1",
]


def finish_by_another(scene: Scene) -> None:
    """Let a worker without any failpoint do what is left, and judge."""
    scene.worker()
    scene.settled()
    scene.assert_clean()


def armed(point: str) -> str:
    name, _, count = point.partition("@")
    return f"{name}=kill@{count or 1}"


@pytest.mark.parametrize("point", WORKING)
def test_a_worker_dies_at_work(scene: Scene, point: str) -> None:
    for task in ("quick", "fail_once", "snooze_once"):
        scene.enqueue(task, task)
    scene.enqueue("nap", "nap", seconds=0.1)
    scene.enqueue("work", "work", seconds=0.1)
    scene.enqueue("quick", "delayed", delay=0.3)
    scene.compose("flow")
    victim = scene.worker(failpoints=armed(point), ready=False)
    assert victim.wait() == -signal.SIGKILL, scene.logs()
    finish_by_another(scene)


@pytest.mark.parametrize("point", STOPPING)
def test_a_worker_dies_while_it_stops(scene: Scene, point: str) -> None:
    gate = scene.gate()
    victim = scene.worker(failpoints=armed(point), shutdown_seconds=0)
    scene.enqueue("wait", "one", gate=str(gate))
    scene.until(lambda: scene.started("one"), "the run")
    scene.fault(victim, signal.SIGTERM)
    assert victim.wait() == -signal.SIGKILL, scene.logs()
    gate.touch()
    finish_by_another(scene)


@pytest.mark.parametrize("point", SWEEPING)
def test_a_worker_dies_while_it_sweeps(scene: Scene, point: str) -> None:
    gate = scene.gate()
    dead = scene.worker()
    scene.enqueue("wait", "one", gate=str(gate))
    scene.until(lambda: scene.started("one"), "the run")
    scene.kill(dead)
    victim = scene.worker(failpoints=armed(point), ready=False)
    assert victim.wait() == -signal.SIGKILL, scene.logs()
    gate.touch()
    finish_by_another(scene)


@pytest.mark.parametrize("point", around("unpark"))
def test_a_worker_dies_while_it_brings_back_a_parked_job(scene: Scene, point: str) -> None:
    scene.enqueue("new", "parked")
    older = scene.worker("--without-new")
    scene.until(lambda: scene.event("JobParked"), "the parking")
    scene.fault(older, signal.SIGTERM)
    older.wait()
    victim = scene.worker(failpoints=armed(point), ready=False)
    assert victim.wait() == -signal.SIGKILL, scene.logs()
    finish_by_another(scene)


@pytest.mark.parametrize("point", PRODUCING)
def test_a_producer_dies(scene: Scene, point: str) -> None:
    victim = scene.producer("mix", failpoints=armed(point), seed=7, count=30)
    assert victim.wait() == -signal.SIGKILL, scene.logs()
    finish_by_another(scene)


@pytest.mark.parametrize("point", around("cancel", "rerun"))
def test_somebody_dies_who_steers_a_job(scene: Scene, point: str) -> None:
    victim = scene.producer("steer", failpoints=armed(point))
    assert victim.wait() == -signal.SIGKILL, scene.logs()
    finish_by_another(scene)
