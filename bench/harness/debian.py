"""Installs servers of Debian for the harness, and keeps Debian from running them itself."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.system_packages import install_system_packages

POLICY = Path("/usr/sbin/policy-rc.d")
FORBID = "#!/bin/sh\nexit 101\n"
"""Read by every package that would start its service: it may not."""


def ensure_program(program: str, package: str) -> str:
    """Return the path of a server's program, installed by its package when it is missing."""
    if not (found := _found(program)):
        with _no_service_starts():
            install_system_packages([package])
        _forbid_at_boot(package)
        found = _found(program)
    if not found:
        raise RuntimeError(f"the package {package} brought no program {program}")
    return found


def _found(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin")


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Forbid Debian to start services, unless a policy is there that says more."""
    if POLICY.exists() or not POLICY.parent.is_dir() or not shutil.which("apt-get"):
        yield
        return
    try:
        POLICY.write_text(FORBID)
        POLICY.chmod(0o755)
    except OSError:  # not root: nothing will be installed
        yield
        return
    try:
        yield
    finally:
        POLICY.unlink()


def _forbid_at_boot(package: str) -> None:
    if shutil.which("systemctl") and Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "disable", package], capture_output=True, check=False)
