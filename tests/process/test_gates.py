"""Workers killed with SIGKILL while they hold slots and groups: limits stand, nothing leaks."""

from __future__ import annotations

from collections.abc import Iterable

from tests.process.ledger import Entry
from tests.process.scene import Scene

KILLS = 2
"""A job that is lost three times is given up."""
SLOTS = 2


def most_at_a_time(entries: Iterable[Entry], ops: set[str]) -> int:
    """Count the runs of these wishes at a time; a kill ends those of its process."""
    running: dict[tuple[str | None, int | None], int] = {}
    most = 0
    for entry in entries:
        if entry.what == "start" and entry.op in ops:
            running[entry.op, entry.token] = entry.pid
            most = max(most, len(running))
        elif entry.what == "end":
            running.pop((entry.op, entry.token), None)
        elif entry.what == "fault":
            running = {run: pid for run, pid in running.items() if pid != entry.whom}
    return most


def test_killed_workers_leave_no_slot_behind_and_no_order(scene: Scene) -> None:
    """Takes some seconds: two workers are killed one after the other, each while it runs jobs."""
    limited = {f"limited-{number}" for number in range(40)}
    ordered = [f"ordered-{number}" for number in range(40)]
    for first, second in zip(sorted(limited), ordered, strict=True):
        scene.enqueue("limited", first, seconds=0.02)
        scene.enqueue("in_order", second, seconds=0.02)
    for _ in range(KILLS):
        worker = scene.worker()
        scene.until(lambda: holds(scene, worker.pid), "a run")  # noqa: B023
        scene.kill(worker)
    scene.worker()
    scene.worker()
    scene.settled()
    entries = scene.entries()
    assert most_at_a_time(entries, limited) == SLOTS
    assert most_at_a_time(entries, set(ordered)) == 1
    starts = [entry.op for entry in entries if entry.what == "start" and entry.op in ordered]
    assert list(dict.fromkeys(starts)) == ordered
    assert {job.state for job in scene.database.contents().jobs} == {"succeeded"}
    scene.assert_clean()


def holds(scene: Scene, pid: int) -> bool:
    """Tell whether the process runs a job now."""
    runs = [entry for entry in scene.entries() if entry.pid == pid and entry.op is not None]
    return bool(runs) and runs[-1].what == "start"
