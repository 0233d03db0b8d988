"""Make ``.venv`` ready: create it when it is missing or broken, install when something changed.

Run by any Python from 3.11 on, with nothing installed. ``--postgres`` adds the drivers of
PostgreSQL, ``--dev`` what the tests need: the extras and the dependency group ``dev`` (read here,
since an older pip cannot).
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from system_packages import install_system_packages

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
PYPROJECT = ROOT / "pyproject.toml"
WANTED = {"server": ".[server]", "postgres": ".[server,postgres]", "dev": ".[all]"}
"""What may be asked for; each holds those before it."""

IS_NEW_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 11))"


def set_up(what: str) -> None:
    """Install that one of ``WANTED``, unless it, or one that holds it, is installed already."""
    if not _usable():
        _create()
    state = hashlib.sha256(PYPROJECT.read_bytes()).hexdigest()
    names = list(WANTED)
    holding = [VENV / f"installed-{name}" for name in names[names.index(what) :]]
    if any(stamp.exists() and stamp.read_text() == state for stamp in holding):
        return
    print("Installing Jobpipe into .venv ...", flush=True)
    holding[0].unlink(missing_ok=True)
    _pip_install(["-e", WANTED[what], *(_dev_group() if what == "dev" else [])])
    holding[0].write_text(state)


def _usable() -> bool:
    """Tell whether .venv was made here (its scripts name their place), runs and has pip."""
    made = VENV / "pyvenv.cfg"
    if not PYTHON.exists() or f"-m venv {VENV}\n" not in made.read_text(encoding="utf-8"):
        return False
    for command in (["-c", IS_NEW_ENOUGH], ["-m", "pip", "--version"]):
        if subprocess.run([PYTHON, *command], capture_output=True, check=False).returncode:
            return False
    return True


def _create() -> None:
    if importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        install_system_packages([f"python{version}-venv"])
    shutil.rmtree(VENV, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)


def _dev_group() -> list[str]:
    groups = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["dependency-groups"]
    return list(groups["dev"])


def _pip_install(requirements: list[str]) -> None:
    flags = ["-qq", "--no-input", "--disable-pip-version-check", "--root-user-action=ignore"]
    subprocess.run(
        [PYTHON, "-m", "pip", "install", *flags, *requirements],
        cwd=ROOT,
        check=True,
        stdin=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    asked = [name.removeprefix("--") for name in sys.argv[1:]] or ["server"]
    if len(asked) > 1 or asked[0] not in WANTED:
        sys.exit(f"setup_venv.py takes --postgres or --dev, or nothing, not {sys.argv[1:]}")
    try:
        set_up(asked[0])
    except subprocess.CalledProcessError as error:
        sys.exit(f"Setting up .venv failed: {' '.join(map(str, error.cmd))}")
