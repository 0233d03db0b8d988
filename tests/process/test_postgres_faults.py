"""PostgreSQL crashes, or cuts every connection, under load: workers and producers come back."""

from __future__ import annotations

import random

import pytest

from tests.process.load import Load
from tests.process.scene import Scene
from tests.servers.postgres import PostgresServer

CRASHES, CUTS = 3, 10
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

    load.run(crash, faults=CRASHES, seconds=crash_seconds)
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

    load.run(cut, faults=CUTS, seconds=crash_seconds)
    load.stop()
    scene.assert_clean()
