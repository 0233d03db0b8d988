"""Find the servers that the tests start, and install them where that is possible.

Run by any Python from 3.11 on, with nothing installed. Without the right to install, it ends at
once and names the command that helps.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

CLUSTER_SETTINGS = Path("/etc/postgresql-common/createcluster.conf")


def ensure_servers() -> None:
    """Install PostgreSQL and pgbouncer when one of them is missing."""
    missing = []
    if not _postgres_found():
        _forbid_default_cluster()
        missing.append("postgresql")
    if not shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
        missing.append("pgbouncer")
    if missing:
        install_system_packages(missing)


def install_system_packages(packages: list[str]) -> None:
    """Install with apt-get as root; otherwise exit with the command to run."""
    command = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(
            f"Missing system packages: {', '.join(packages)}. Install them, then start again:\n"
            f"  sudo {command}"
        )
    print(f"Installing system packages: {', '.join(packages)} ...", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for step in ("apt-get update", command):
        done = subprocess.run(
            step.split(),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            sys.exit(f"{step} failed:\n{done.stdout}")


def _postgres_found() -> bool:
    if shutil.which("initdb") and shutil.which("postgres"):
        return True
    return any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


def _forbid_default_cluster() -> None:
    """Keep Debian from starting a server of its own: the tests start theirs."""
    if os.geteuid() == 0 and shutil.which("apt-get") and not CLUSTER_SETTINGS.exists():
        CLUSTER_SETTINGS.parent.mkdir(parents=True, exist_ok=True)
        CLUSTER_SETTINGS.write_text("create_main_cluster = false\n")


if __name__ == "__main__":
    ensure_servers()
