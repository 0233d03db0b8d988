"""Poison: whatever a task does to its worker, its own job fails with the cause, and no other.

One supervised worker per store takes all poisons one after the other, each beside two innocent
jobs that must end well with their first attempt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobpipe.model.state import FINAL, State
from tests.process.poison import POISONS, application
from tests.process.supervised import Supervised
from tests.waiting import is_alive

SETTINGS = {
    "JOBPIPE_APP": "tests.process.poison:jp",
    "JOBPIPE_CONCURRENCY": "5",
    "JOBPIPE_LEASE_SECONDS": "5",
    "JOBPIPE_POLL_SECONDS": "0.2",
    "JOBPIPE_PULSE_SECONDS": "2",
    "JOBPIPE_SHUTDOWN_SECONDS": "1",
}

ON_POSTGRES = ["exits", "reads_address_zero", "holds_the_interpreter"]
"""What a worker dies of is not the store's business; that it is written down there is."""


def _ward(url: str, folder: Path) -> Iterator[Supervised]:
    ward = Supervised(url, folder, application(url))
    ward.start(**SETTINGS)
    yield ward
    ward.close()


@pytest.fixture(scope="module")
def sqlite_ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    folder = tmp_path_factory.mktemp("ward")
    yield from _ward(f"sqlite:///{folder}/jobs.db", folder)


@pytest.fixture
def postgres_ward(postgres_url: str, tmp_path: Path) -> Iterator[Supervised]:
    yield from _ward(postgres_url, tmp_path)


@pytest.mark.parametrize("name", sorted(POISONS.keys() - {"kills_its_worker"}))
def test_a_poison_fails_alone_and_its_cause_is_told(
    sqlite_ward: Supervised, name: str, tmp_path: Path
) -> None:
    _swallow(sqlite_ward, name, tmp_path)


@pytest.mark.parametrize("name", ON_POSTGRES)
def test_so_it_is_on_postgresql(postgres_ward: Supervised, name: str, tmp_path: Path) -> None:
    _swallow(postgres_ward, name, tmp_path)


def _swallow(ward: Supervised, name: str, folder: Path) -> None:
    gate, note = folder / "gate", folder / "note"
    beside = [
        ward.jp.enqueue_named(task, {"gate": str(gate)}).id
        for task in ("bystander", "async_bystander")
    ]
    ward.until(lambda: all(ward.record(id).state is State.RUNNING for id in beside), "bystanders")
    id = ward.jp.enqueue_named(name, meta={"note": str(note)}).id
    ward.until(lambda: ward.record(id).state in FINAL, f"the end of {name}")
    ended = ward.record(id)
    assert ended.state is State.FAILED
    assert re.search(POISONS[name], str(ended.error)), ended.error
    gate.touch()
    ward.until(lambda: all(ward.record(id).state in FINAL for id in beside), "their end")
    ends = [ward.record(id) for id in beside]
    assert [(end.state, end.attempt, end.result) for end in ends] == [
        (State.SUCCEEDED, 1, '"unharmed"')
    ] * 2, [ward.jp.attempts(id) for id in beside]
    if note.exists():
        heir = int(note.read_text(encoding="ascii"))
        ward.until(lambda: not is_alive(heir), "the end of the child left behind")


def test_one_that_kills_its_worker_from_a_process_of_its_own_ends_too(
    sqlite_ward: Supervised,
) -> None:
    """Nobody can tell which of those that run apart it was: they count losses, so it has an end."""
    ids = [sqlite_ward.jp.enqueue_named("kills_its_worker").id for _ in range(2)]
    sqlite_ward.until(
        lambda: all(sqlite_ward.record(id).state in FINAL for id in ids), "the end of both"
    )
    for record in map(sqlite_ward.record, ids):
        assert record.state is State.FAILED
        assert re.search(r"WorkerDied|WorkerLost", str(record.error)), record.error


def test_one_that_kills_a_moment_after_its_end_is_run_alone(sqlite_ward: Supervised) -> None:
    """Its outcome was not written when the worker died: nothing ran, and yet somebody did it."""
    id = sqlite_ward.jp.enqueue_named("kills_a_moment_later").id
    sqlite_ward.until(lambda: sqlite_ward.record(id).state in FINAL, "its end")
    assert sqlite_ward.record(id).state is State.SUCCEEDED
