"""Sets up what each system runs in: ``.bench/<folder>``, kept until its requirements change.

Run as a program by any Python from 3.11 on, with nothing installed, it makes the harness's own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.harness.system import System, Unusable

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".bench"
SYSTEMS = ROOT / "bench" / "systems"
NEWEST = 16
INSTALL_SECONDS = 600


def command(system: System) -> list[str]:
    """Return how the system's program is started."""
    home, folder = _home(system), SYSTEMS / (system.folder or system.name)
    if system.language == "node":
        return [_node(), str(home / "system" / "program.mjs")]
    return [str(home / "bin" / "python"), str(folder / "program.py")]


def set_up(system: System) -> None:
    """Install what the system needs, unless that is done; raises Unusable."""
    home, needs = _home(system), _needs(system)
    if system.language == "node":
        _once(home, needs, "node", lambda: _install_node(needs, home))
        _copy_modules(SYSTEMS / (system.folder or system.name), home)
    else:
        _once(
            home, needs, system.python, lambda: _install_python(_python(system.python), needs, home)
        )


def set_up_harness() -> None:
    """Install what the harness itself needs, with the Python that runs us."""
    home = HOME / "harness"
    _once(home, ROOT / "bench", "", lambda: _install_python(sys.executable, ROOT / "bench", home))


def environment(name: str, requirements: str) -> str:
    """Install these requirements, unless that is done, and return the environment's Python."""
    home = HOME / name
    needs = HOME / "requirements" / name
    needs.mkdir(parents=True, exist_ok=True)
    (needs / "requirements.txt").write_text(requirements)
    _once(home, needs, "", lambda: _install_python(sys.executable, needs, home))
    return str(home / "bin" / "python")


def version(system: System) -> str:
    """Return the installed version of the system's package; empty for a floor."""
    if not system.package:
        return ""
    home = _home(system)
    if system.language == "node":
        about = home / "node_modules" / system.package / "package.json"
        return str(json.loads(about.read_text())["version"])
    code = f"import importlib.metadata as m; print(m.version({system.package!r}))"
    return _run([str(home / "bin" / "python"), "-c", code], home).strip()


def language_version(system: System) -> str:
    """Return the version of the interpreter that runs the system."""
    return _run([command(system)[0], "--version"], ROOT).strip()


def _home(system: System) -> Path:
    return HOME / (system.venv or system.folder or system.name)


def _needs(system: System) -> Path:
    """Return the folder that says what is to be installed."""
    return SYSTEMS / (system.venv or system.folder or system.name)


def _once(home: Path, needs: Path, language: str, install: Callable[[], None]) -> None:
    """Install anew when that was not done, or for other requirements."""
    names = ["requirements.txt", "package.json", "package-lock.json"]
    texts = [(needs / name).read_bytes() for name in names if (needs / name).exists()]
    if any(b"-e ." in text for text in texts):
        texts.append((ROOT / "pyproject.toml").read_bytes())
    wanted = hashlib.sha256(b"\n".join([str(home).encode(), language.encode(), *texts])).hexdigest()
    mark = home / "installed"
    if not mark.exists() or mark.read_text() != wanted:
        print(f"  installing {home.name} ...", flush=True)
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        install()
        mark.write_text(wanted)


def _install_python(python: str, needs: Path, home: Path) -> None:
    _run([python, "-m", "venv", str(home)], ROOT)
    flags = ["-q", "--no-input", "--disable-pip-version-check", "--root-user-action=ignore"]
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", *flags]
    # From the root, so that a requirement "-e ." is this very tree.
    _run([*pip, "-r", str(needs / "requirements.txt")], ROOT)


def _install_node(folder: Path, home: Path) -> None:
    if not shutil.which("npm"):
        raise Unusable("npm is not installed")
    locked = (folder / "package-lock.json").exists()
    for name in ("package.json", "package-lock.json"):
        if (folder / name).exists():
            shutil.copy(folder / name, home)
    _run(["npm", "ci" if locked else "install", "--no-audit", "--no-fund"], home)


def _copy_modules(folder: Path, home: Path) -> None:
    """Bring the program to its packages, since a module finds them only in folders above it."""
    (home / "system").mkdir(exist_ok=True)
    for file in folder.glob("*.mjs"):
        shutil.copy(file, home / "system")
    shutil.copy(SYSTEMS / "kit.mjs", home)


def _node() -> str:
    found = shutil.which("node")
    if not found:
        raise Unusable("node is not installed")
    return found


def _python(oldest: str) -> str:
    """Find an interpreter that is new enough, the oldest such first; raises Unusable."""
    minor = int(oldest.partition(".")[2])
    for number in range(minor, NEWEST):
        name = f"python3.{number}"
        homes = Path.home().glob(f".pyenv/versions/3.{number}.*/bin/{name}")
        for candidate in [shutil.which(name), *map(str, homes)]:
            if candidate and _runs(candidate):
                return candidate
    raise Unusable(f"no Python from {oldest} on is installed")


def _runs(python: str) -> bool:
    done = subprocess.run([python, "-c", "import venv"], capture_output=True, check=False)
    return not done.returncode


def _run(command: list[str], folder: Path) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"npm_config_update_notifier": "false"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unusable(f"{Path(command[0]).name}: {error}") from error
    if done.returncode:
        raise Unusable(f"{' '.join(command[:4])} failed: {(done.stderr or done.stdout)[-400:]}")
    return done.stdout


if __name__ == "__main__":
    try:
        set_up_harness()
    except Unusable as error:
        sys.exit(f"Setting up the harness failed: {error}")
