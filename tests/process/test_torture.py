"""The torture: a sound Jobpipe stands it, a planted bug is found, and the figures are right."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.ledger import Ledger
from tests.process.torture import places, record
from tests.process.torture.places import PostgresPlace, SqlitePlace
from tests.process.torture.record import Count, Line
from tests.process.torture.round import play
from tests.process.torture.watch import Watch
from tests.servers.postgres import PostgresServer

FAULTS = 8


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Iterator[SqlitePlace | PostgresPlace]:
    with places.small_disk() as disk:
        if request.param == "sqlite":
            yield SqlitePlace(disk)
        else:
            with PostgresServer() as server:
                yield PostgresPlace(disk, server)


@pytest.mark.timeout(0)  # some faults at jobs that run, then all that was begun is finished
def test_a_round_is_clean_and_its_faults_meet_running_jobs(
    place: SqlitePlace | PostgresPlace,
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    verdict = play(place, 1, seed, 0, at_least=FAULTS)
    assert verdict.told == []
    assert verdict.attempts >= verdict.jobs > 0
    assert sum(count.met for count in verdict.faults.values()) >= FAULTS // 2


@pytest.mark.timeout(0)  # as above
def test_a_planted_bug_is_found() -> None:
    with places.small_disk() as disk:
        verdict = play(
            SqlitePlace(disk), 1, 1, 0, plant="refund_twice", at_least=FAULTS, only="terminate"
        )
    assert "uncharged" in verdict.anomalies
    shutil.rmtree(verdict.folder)


def test_a_line_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    line = Line(date="2026-01-01", commit="abc", store="sqlite", minutes=2.5, seed=7)
    record.add(line.faults, {"SIGKILL": Count(3, 2)})
    record.add(line.faults, {"SIGKILL": Count(1, 1), "SIGSTOP": Count(1, 0)})
    record.append(line, file)
    record.append(line, file)
    assert record.lines(file) == [line, line]
    assert record.total_of(record.lines(file)) == {"SIGKILL": Count(8, 6), "SIGSTOP": Count(2, 0)}
    assert set(line.anomalies.values()) == {0}


def test_the_watch_knows_who_runs_what(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    watch = Watch(tmp_path)
    ledger.write("start", op="a", job=1, token=1)
    ledger.write("start", op="b", job=2, token=1)
    ledger.write("end", op="a", job=1, token=1)
    watch.look()
    [pid] = watch.running
    assert watch.running[pid] == {(2, 1)}
    assert watch.starts == 2
    watch.forget(pid)
    assert not watch.running
    watch.close()
    ledger.close()
