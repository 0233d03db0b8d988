"""SIGTERM: a worker takes nothing more, lets jobs end, gives back the rest, and exits 0."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.process.scene import Scene


def test_running_jobs_end_within_the_grace_and_the_rest_is_given_back_uncharged(
    scene: Scene,
) -> None:
    gate = scene.gate()
    worker = scene.worker(concurrency=2, shutdown_seconds=20)
    for n in range(5):
        scene.enqueue("wait" if n % 2 else "hold", f"job {n}", gate=str(gate))
    scene.until(lambda: scene.started("job 0") and scene.started("job 1"), "two runs")
    worker.send(signal.SIGTERM)
    scene.until(lambda: scene.event("WorkerStopping", worker), "the stop")
    gate.touch()
    assert worker.wait() == 0, scene.logs()
    states = scene.states()
    assert [states[f"job {n}"] for n in range(5)] == ["succeeded"] * 2 + ["queued"] * 3
    assert {job.attempt for job in scene.database.contents().jobs if job.state == "queued"} == {0}
    scene.worker()
    scene.settled()
    scene.assert_clean()


@pytest.mark.parametrize("task", ["wait", "hold"])
def test_a_job_that_outlasts_the_grace_is_given_back(scene: Scene, task: str) -> None:
    gate = scene.gate()
    worker = scene.worker(shutdown_seconds=0.2)
    scene.enqueue(task, "one", gate=str(gate))
    scene.until(lambda: scene.started("one"), "the run")
    scene.fault(worker, signal.SIGTERM)
    assert worker.wait(seconds=10) == 0, scene.logs()
    assert [(j.state, j.attempt) for j in scene.database.contents().jobs] == [("queued", 0)]
    gate.touch()
    scene.worker()
    scene.settled()
    scene.assert_clean()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("task", ["wait", "hold"])
def test_a_second_signal_stops_at_once(scene: Scene, task: str, number: signal.Signals) -> None:
    gate = scene.gate()
    worker = scene.worker(shutdown_seconds=60)
    scene.enqueue(task, "one", gate=str(gate))
    scene.until(lambda: scene.started("one"), "the run")
    scene.fault(worker, number)
    scene.until(lambda: scene.event("WorkerStopping", worker), "the stop")
    worker.send(number)
    assert worker.wait(seconds=5) == 128 + number, scene.logs()
    gate.touch()
    scene.worker()
    scene.settled()
    scene.assert_clean()


def test_workers_are_stopped_at_random_moments(scene: Scene, crash_seconds: float) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    deadline = time.monotonic() + crash_seconds
    rounds = 0
    while rounds < 4 or time.monotonic() < deadline:
        rounds += 1
        producer = scene.producer("mix", seed=seed + rounds, count=60, threads=2)
        worker = scene.worker(shutdown_seconds=chance.choice([0, 0.05, 10]), ready=False)
        passed = chance.randrange(1, 250)
        began = len(scene.entries())
        scene.until(
            lambda: worker.over or len(scene.entries()) >= began + passed or producer.over,  # noqa: B023
            "some lines of the ledger",
        )
        scene.until(lambda: scene.event("WorkerStarted", worker), "the worker")  # noqa: B023
        scene.fault(worker, signal.SIGTERM)
        assert worker.wait(seconds=15) == 0, scene.logs()
        assert producer.wait() == 0, scene.logs()
    scene.worker()
    scene.settled()
    scene.assert_clean()
