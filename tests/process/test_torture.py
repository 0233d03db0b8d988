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
from tests.process.torture.round import HEAL_SECONDS, play
from tests.process.torture.watch import Watch
from tests.servers.postgres import PostgresServer

HARM_SECONDS = 8.0


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest) -> Iterator[SqlitePlace | PostgresPlace]:
    with places.small_disk() as disk:
        if request.param == "sqlite":
            yield SqlitePlace(disk)
        else:
            with PostgresServer() as server:
                yield PostgresPlace(disk, server)


@pytest.mark.timeout(0)  # faults for some seconds, then all that was begun is finished
def test_a_round_is_clean_and_its_faults_meet_running_jobs(
    place: SqlitePlace | PostgresPlace,
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    verdict = play(place, 1, seed, HARM_SECONDS + HEAL_SECONDS)
    assert verdict.told == []
    assert verdict.jobs > 20
    assert verdict.attempts >= verdict.jobs
    assert sum(count.met for count in verdict.faults.values()) >= 2


@pytest.mark.timeout(0)  # as above
def test_a_planted_bug_is_found() -> None:
    with places.small_disk() as disk:
        verdict = play(
            SqlitePlace(disk), 1, 1, HARM_SECONDS + HEAL_SECONDS, plant="sweep_by_id", drain=5.0
        )
    assert verdict.anomalies.keys() & {"stuck", "overlapping", "stale", "doubled"}
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
