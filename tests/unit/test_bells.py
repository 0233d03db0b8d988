"""Bells wake the processes that share a database; where there is none, nothing happens."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from jobpipe import Jobpipe
from jobpipe.store.sqlite.bells import Bells

LONG = 30.0


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder with a path as short as a socket's must be."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_bells_of_a_database_ring_until_they_are_taken_down(place: Path) -> None:
    bells, others = Bells(str(place / "jobs.db")), Bells(str(place / "other.db"))
    one, two, strange = bells.hang(), bells.hang(), others.hang()
    assert one
    assert two
    assert strange
    bells.ring()
    assert one.wait(LONG)
    assert two.wait(LONG)
    assert not strange.wait(0.0001)
    two.take_down()
    bells.ring()
    assert one.wait(LONG)
    assert not two.wait(0.0001)
    for bell in (one, two, strange):
        bell.close()
        bell.close()
    assert names(place / "jobs.db-workers") == []


def test_a_bell_whose_process_is_gone_is_cleared_away(place: Path) -> None:
    bells = Bells(str(place / "jobs.db"))
    gone = bells.hang()
    assert gone
    folder = place / "jobs.db-workers"
    (name,) = names(folder)
    os.link(folder / name, folder / f"left-{name}")
    gone.close()
    assert names(folder) == [f"left-{name}"]
    (folder / "7.lock").touch()
    bells.ring()
    assert names(folder) == ["7.lock"]


def test_ringing_a_bell_that_rings_already_waits_for_nobody(place: Path) -> None:
    bells = Bells(str(place / "jobs.db"))
    bell = bells.hang()
    assert bell
    for _ in range(1_000):
        bells.ring()
    assert bell.wait(LONG)
    bell.close()


def tell_often(bells: Bells) -> None:
    for _ in range(10_000):
        bells.tell("x" * 4_000)


def test_an_ear_takes_words_in_their_order_and_hears_no_bell(place: Path) -> None:
    bells = Bells(str(place / "jobs.db"))
    ear, bell = bells.listen(), bells.hang()
    assert ear
    assert bell
    bells.ring()
    bells.tell("one")
    bells.tell("two" * 2_000)
    assert [ear.hear(LONG), ear.hear(LONG), ear.hear(0.0001)] == ["one", "two" * 2_000, None]
    assert bell.wait(LONG)
    assert not bell.wait(0.0001)
    for each in (ear, bell):
        each.close()
    bells.tell("nobody")


def test_an_ear_that_takes_nothing_more_is_told_of(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobpipe.store.sqlite.bells.TELL_SECONDS", 0.001)
    bells = Bells(str(place / "jobs.db"))
    ear = bells.listen()
    assert ear
    with pytest.raises(TimeoutError):
        tell_often(bells)
    ear.close()


def test_without_a_folder_or_with_a_path_too_long_there_is_no_bell(place: Path) -> None:
    Bells(str(place / "jobs.db")).ring()
    assert names(place) == []
    Bells(str(place / "missing" / "jobs.db")).ring()
    assert Bells(str(place / "missing" / "jobs.db")).hang() is None
    deep = Bells(str(place / f"{'d' * 110}.db"))
    assert deep.hang() is None
    assert deep.listen() is None
    deep.ring()
    deep.tell("nobody")


def test_an_enqueue_rings_after_its_commit(place: Path) -> None:
    path = place / "jobs.db"
    jp = Jobpipe(f"sqlite:///{path}")

    @jp.task
    def work() -> None:
        """Nothing."""

    bell = Bells(str(path)).hang()
    assert bell
    try:
        work.enqueue()
        assert bell.wait(LONG)
    finally:
        bell.close()
        jp.close()
