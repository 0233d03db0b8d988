"""What is installed into .venv: no more than was asked for, and once."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script on an empty .venv; what it would install is noted in ``installed``."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    script = importlib.import_module("setup_venv")
    monkeypatch.setattr(script, "VENV", tmp_path)
    monkeypatch.setattr(script, "PYPROJECT", tmp_path / "pyproject.toml")
    tmp_path.joinpath("pyproject.toml").write_text(
        '[dependency-groups]\ndev = ["pytest"]\n', encoding="utf-8"
    )
    monkeypatch.setattr(script, "_usable", lambda: True)
    monkeypatch.setattr(script, "installed", [], raising=False)
    monkeypatch.setattr(script, "_pip_install", script.installed.append)
    return script


def test_what_is_there_is_not_installed_again(script: ModuleType) -> None:
    for what in ["server", "server", "postgres", "postgres", "server", "dev", "dev", "postgres"]:
        script.set_up(what)
    assert script.installed == [
        ["-e", ".[server]"],
        ["-e", ".[server,postgres]"],
        ["-e", ".[all]", "pytest"],
    ]


def test_other_requirements_are_installed_anew(script: ModuleType, tmp_path: Path) -> None:
    script.set_up("dev")
    tmp_path.joinpath("pyproject.toml").write_text("", encoding="utf-8")
    script.set_up("postgres")
    assert script.installed[1:] == [["-e", ".[server,postgres]"]]


def test_what_failed_is_installed_again(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_requirements: list[str]) -> None:
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(script, "_pip_install", fails)
        with pytest.raises(InterruptedError):
            script.set_up("server")
    script.set_up("server")
    assert script.installed == [["-e", ".[server]"]]
