"""Make ``.venv`` ready: create it when it is missing or broken, install when something changed.

Run by any Python from 3.11 on, with nothing installed. ``--dev`` adds what the tests need: the
extras and the dependency group ``dev`` (read here, since an older pip cannot).
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
IS_NEW_ENOUGH = "import sys; sys.exit(sys.version_info < (3, 11))"


def set_up(*, dev: bool) -> None:
    """Install the package (and with ``dev`` the tools) unless that is done already."""
    if not _usable():
        _create()
    plain, full = VENV / "installed", VENV / "installed-dev"
    state = hashlib.sha256(PYPROJECT.read_bytes()).hexdigest()
    done = full if dev else plain
    if done.exists() and done.read_text() == state:
        return
    print("Installing Jobpipe into .venv ...", flush=True)
    done.unlink(missing_ok=True)
    _pip_install(["-e", ".[all]", *_dev_group()] if dev else ["-e", ".[server]"])
    for stamp in [plain, full] if dev else [plain]:
        stamp.write_text(state)


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
    try:
        set_up(dev="--dev" in sys.argv[1:])
    except subprocess.CalledProcessError as error:
        sys.exit(f"Setting up .venv failed: {' '.join(map(str, error.cmd))}")
