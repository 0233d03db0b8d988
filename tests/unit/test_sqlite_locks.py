"""The locks that tell of living workers, at the moment when one is taken."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from jobpipe.store.sqlite.locks import WorkerLocks


def test_a_worker_is_never_seen_dead_while_it_takes_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = str(tmp_path / "jobs.db")
    flock, seen = fcntl.flock, []

    def looked_at_first(descriptor: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", flock)
        seen.append(WorkerLocks(database).is_dead(7))
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", looked_at_first)
    lock = WorkerLocks(database).hold(7)
    assert seen == [False]
    assert not WorkerLocks(database).is_dead(7)
    lock.release()
    assert WorkerLocks(database).is_dead(7)
    assert [file.name for file in (tmp_path / "jobs.db-workers").iterdir()] == ["7.lock"]
