"""What Jobpipe leaves beside a database is not taken for a part of the repository."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

from jobpipe import Jobpipe

IGNORED = Path(__file__).parents[2].joinpath(".gitignore").read_text(encoding="utf-8").split()


def test_what_stands_beside_a_database_is_ignored(tmp_path: Path) -> None:
    jp = Jobpipe(f"sqlite:///{tmp_path}/jobs.db")

    @jp.task
    def add(a: int) -> int:
        return a + 1

    with jp.running():
        assert add.enqueue(1).result(timeout=10) == 2
        found = {each.name for each in tmp_path.iterdir()}
    assert {"jobs.db", "jobs.db-wal", "jobs.db-turn", "jobs.db-workers"} <= found
    jp.close()
    left = {each.name for each in tmp_path.iterdir()} | found
    assert [name for name in left if not any(fnmatch(name, p.rstrip("/")) for p in IGNORED)] == []
