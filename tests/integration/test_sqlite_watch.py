"""What the watcher of an SQLite store takes for news, and what it costs nothing to leave out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from jobpipe.model.job import NewJob
from jobpipe.store.ops.enqueue import enqueue
from jobpipe.store.sqlite.driver import SqliteStore
from jobpipe.store.sqlite.watch import DataVersion


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[SqliteStore, SqliteStore]]:
    """The same store twice, as two processes have it."""
    with (
        closing(SqliteStore(str(tmp_path / "jobs.db"))) as own,
        closing(SqliteStore(str(tmp_path / "jobs.db"))) as other,
    ):
        own.migrate()
        yield own, other


@pytest.fixture
def probe(stores: tuple[SqliteStore, SqliteStore]) -> Iterator[DataVersion]:
    store(stores[0])
    with closing(stores[0].watch()) as probe:
        yield probe


def store(where: SqliteStore) -> None:
    where.run(enqueue([NewJob(task="t", args="{}")]))


def test_what_another_process_commits_is_news_once(
    stores: tuple[SqliteStore, SqliteStore], probe: DataVersion
) -> None:
    assert not probe.has_changed()
    store(stores[1])
    assert [probe.has_changed(), probe.has_changed()] == [True, False]


def test_while_our_writer_is_at_work_its_commits_are_no_news(
    stores: tuple[SqliteStore, SqliteStore], probe: DataVersion
) -> None:
    for _ in range(3):
        store(stores[0])
        assert not probe.has_changed()


def test_our_writer_hears_of_others_as_it_begins(
    stores: tuple[SqliteStore, SqliteStore], probe: DataVersion
) -> None:
    store(stores[0])
    assert not probe.has_changed()
    store(stores[1])
    store(stores[0])
    assert probe.has_changed()


def test_what_comes_after_our_last_commit_is_found_in_the_quiet(
    stores: tuple[SqliteStore, SqliteStore], probe: DataVersion
) -> None:
    store(stores[0])
    store(stores[1])
    assert [probe.has_changed(), probe.has_changed(), probe.has_changed()] == [False, True, False]


def test_a_busy_process_does_not_look_at_the_file(
    stores: tuple[SqliteStore, SqliteStore], probe: DataVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(stores[0])
    monkeypatch.setattr(probe, "_connection", None)
    assert not probe.has_changed()
