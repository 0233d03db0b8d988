"""Scenes and supervised workers on both stores, and how long crash runs last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.scene import Scene
from tests.process.supervised import Supervised


@pytest.fixture(params=["sqlite", "postgres"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """A scene on an empty store of each kind."""
    yield from _scene(request.getfixturevalue(f"{request.param}_url"), tmp_path)


@pytest.fixture
def sqlite_scene(sqlite_url: str, tmp_path: Path) -> Iterator[Scene]:
    yield from _scene(sqlite_url, tmp_path)


@pytest.fixture
def postgres_scene(postgres_url: str, tmp_path: Path) -> Iterator[Scene]:
    yield from _scene(postgres_url, tmp_path)


def _scene(url: str, folder: Path) -> Iterator[Scene]:
    scene = Scene(folder, url)
    yield scene
    scene.close()


@pytest.fixture
def crash_seconds(request: pytest.FixtureRequest) -> float:
    """How long a random crash run goes on; 0: a sample."""
    return float(request.config.getoption("--crash-minutes")) * 60


@pytest.fixture(params=["sqlite", "postgres"])
def ward(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Supervised]:
    """Supervised workers on an empty store of each kind."""
    yield from _ward(request.getfixturevalue(f"{request.param}_url"), tmp_path)


@pytest.fixture
def on_sqlite(sqlite_url: str, tmp_path: Path) -> Iterator[Supervised]:
    yield from _ward(sqlite_url, tmp_path)


def _ward(url: str, folder: Path) -> Iterator[Supervised]:
    ward = Supervised(url, folder)
    yield ward
    ward.close()
