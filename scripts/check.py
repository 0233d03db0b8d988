"""Run the static checks (``lint``) or everything (``test``); each layer's time is printed.

Run by any Python from 3.11 on, with nothing installed. A failed static check does not keep the
tests from running; it is named again in their summary, and the exit code tells of either.
"""

from __future__ import annotations

import subprocess
import sys
import time

from setup_venv import ROOT, VENV, set_up
from system_packages import ensure_servers

BIN = VENV / "bin"
IN_TWO = ["-n", "2", "--dist", "loadfile"]
"""Most tests wait more than they compute, so two processes share them, file by file."""
STATIC: dict[str, list[str]] = {
    "format": [str(BIN / "ruff"), "format", "--check", "."],
    "rules": [str(BIN / "ruff"), "check", "."],
    "types": [str(BIN / "mypy")],
    "import walls": [str(BIN / "lint-imports"), "--no-logo"],
}


def main(goal: str) -> int:
    """Do what ``goal`` (lint, test) names and return the exit code."""
    began = time.perf_counter()
    if goal == "test":
        ensure_servers()
    set_up("dev")
    layers = [_layer("install", began, passed=True)]
    failed = 0
    for name, command in STATIC.items():
        began = time.perf_counter()
        print(f"== {name}", flush=True)
        passed = not subprocess.run(command, cwd=ROOT, check=False).returncode
        layers.append(_layer(name, began, passed=passed))
        failed += not passed
    if goal == "lint":
        print("\n".join(layers))
    else:
        flags = [f"--layer={layer}" for layer in layers]
        tests = subprocess.run([str(BIN / "pytest"), *IN_TWO, *flags], cwd=ROOT, check=False)
        failed += tests.returncode != 0
    return 1 if failed else 0


def _layer(name: str, began: float, *, passed: bool) -> str:
    verdict = "ok" if passed else "FAILED"
    return f"{name:<20} {time.perf_counter() - began:7.1f} s  {verdict}"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except subprocess.CalledProcessError as error:
        sys.exit(f"Setting up failed: {' '.join(map(str, error.cmd))}")
