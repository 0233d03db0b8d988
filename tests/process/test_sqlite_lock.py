"""Somebody else holds the write lock of the SQLite file for longer than a lease lasts."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

from tests.process.scene import Scene


def test_workers_go_on_and_nobody_loses_a_lease(sqlite_scene: Scene) -> None:
    scene, gate = sqlite_scene, sqlite_scene.gate()
    workers = [scene.worker(), scene.worker()]
    for n in range(4):
        scene.enqueue("wait" if n % 2 else "hold", f"before {n}", gate=str(gate))
    scene.until(lambda: all(scene.started(f"before {n}") for n in range(4)), "the runs")
    path = scene.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN IMMEDIATE")
        enqueue = threading.Thread(target=scene.enqueue, args=("quick", "meanwhile"))
        enqueue.start()
        # Three leases long; the runs end meanwhile, and their outcomes must wait.
        gate.touch()
        scene.until(
            lambda: all(scene.ended_anywhere(f"before {n}") for n in range(4)), "the runs' ends"
        )
        enqueue.join(3.0)
        assert enqueue.is_alive(), "a producer waits while the file is locked"
        other.execute("ROLLBACK")
    enqueue.join(5.0)
    assert not enqueue.is_alive()
    scene.settled()
    scene.assert_clean()
    assert not any(entry.what == "unknown" or entry.what == "fail" for entry in scene.entries())
    assert not any(worker.over for worker in workers)
    assert "locked" not in scene.logs()
    assert not scene.event("WorkerSwept")
    assert not scene.event("StoreLost")
