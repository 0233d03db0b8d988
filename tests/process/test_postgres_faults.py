"""PostgreSQL crashes, or cuts every connection, under load: workers and producers come back."""

from __future__ import annotations

import random

import pytest

from tests.process.load import Load
from tests.process.scene import Scene
from tests.servers.postgres import PostgresServer

CRASHES, CUTS, MIXED = 3, 10, 8
"""Faults of the samples."""


@pytest.mark.timeout(0)
def test_the_server_crashes(
    postgres_server: PostgresServer, postgres_scene: Scene, crash_seconds: float
) -> None:
    scene = postgres_scene
    load = Load(scene, random.SystemRandom().randrange(2**32))

    def crash() -> None:
        scene.ledger.write("fault", how="immediate restart")
        postgres_server.stop("immediate")
        postgres_server.start()
        scene.ledger.write("over")

    load.run(crash, faults=CRASHES, seconds=crash_seconds, ready=True)
    load.stop()
    scene.assert_clean()


@pytest.mark.timeout(0)
def test_every_connection_is_cut(
    postgres_server: PostgresServer, postgres_scene: Scene, crash_seconds: float
) -> None:
    scene = postgres_scene
    load = Load(scene, random.SystemRandom().randrange(2**32))

    def cut() -> None:
        scene.ledger.write("fault", how="terminated backends")
        assert postgres_server.terminate_backends(scene.url)
        scene.ledger.write("over")

    load.run(cut, faults=CUTS, seconds=crash_seconds, ready=True)
    load.stop()
    scene.assert_clean()


@pytest.mark.timeout(0)
def test_the_server_crashes_while_processes_are_killed(
    postgres_server: PostgresServer, postgres_scene: Scene, crash_seconds: float
) -> None:
    scene = postgres_scene
    load = Load(scene, random.SystemRandom().randrange(2**32), workers=3)

    def harm() -> None:
        what = load.chance.choice(["kill", "crash", "cut"])
        scene.ledger.write("fault", how=what)
        if what == "cut":
            postgres_server.terminate_backends(scene.url)
        elif what == "crash":
            postgres_server.stop("immediate")
        if what != "cut":
            load.kill_one()
        postgres_server.start()
        scene.ledger.write("over")

    load.run(harm, faults=MIXED, seconds=crash_seconds, ready=True)
    load.stop()
    scene.assert_clean()


def test_the_server_is_away_for_longer_than_a_lease(
    postgres_server: PostgresServer, postgres_scene: Scene
) -> None:
    """Workers cannot renew, so they stop their work in time; it begins anew when it can."""
    scene, gate = postgres_scene, postgres_scene.gate()
    workers = [scene.worker(), scene.worker()]
    for n in range(4):
        scene.enqueue("wait" if n % 2 else "hold", f"job {n}", gate=str(gate))
    scene.until(lambda: all(scene.started(f"job {n}") for n in range(4)), "the runs")
    scene.ledger.write("fault", how="away")
    postgres_server.stop("immediate")
    for worker in workers:
        scene.until(lambda: scene.event("LeaseEnded", worker), "the worker's insight")  # noqa: B023
    scene.enqueue("quick", "refused")
    postgres_server.start()
    scene.ledger.write("over")
    for n in range(4):
        scene.until(lambda: scene.started(f"job {n}", times=2), "the second runs")  # noqa: B023
    gate.touch()
    scene.settled()
    assert not any(worker.over for worker in workers)
    assert "refused" not in scene.states()
    scene.assert_clean()
