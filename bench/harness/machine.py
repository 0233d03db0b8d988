"""What a run stood on: hardware, how fast the disk syncs, versions, the servers' settings."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from bench.harness.system import Store

SYNC_SECONDS = 1.0
BLOCK = bytes(8192)
GIGABYTE = 1024**3
TOLD_SETTINGS = (
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "work_mem",
    "max_connections",
    "autovacuum",
    "jit",
)


def hardware() -> dict[str, Any]:
    """Describe the machine, and how busy it is before we begin."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory": f"{memory:.0f} GiB",
        "system": _system(),
        "kernel": platform.release(),
        "disk": _disk(),
        "fdatasync of 8 kB": f"{sync_rate():,.0f} a second",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def sync_rate(seconds: float = SYNC_SECONDS) -> float:
    """Return how often a second 8 kB can be written and synced, one after the other."""
    with tempfile.TemporaryFile(dir=tempfile.gettempdir()) as file:
        os.pwrite(file.fileno(), BLOCK, 0)
        os.fdatasync(file.fileno())
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            os.pwrite(file.fileno(), BLOCK, 0)
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.perf_counter() - began)


def postgres(url: str) -> dict[str, str]:
    """Return the server's version, the settings that matter here, and what is not default."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        found = connection.execute("SELECT name, current_setting(name) FROM pg_settings")
        settings: dict[str, str] = dict(found.fetchall())
        changed = connection.execute(
            "SELECT name, current_setting(name) FROM pg_settings WHERE source = 'command line'"
        ).fetchall()
    facts = {"version": settings["server_version"]}
    facts |= {name: settings[name] for name in TOLD_SETTINGS}
    facts["given at the start"] = ", ".join(
        f"{name}={value}"
        for name, value in changed
        if name not in ("port", "unix_socket_directories", "data_directory")
    )
    return facts


def server_version(store: Store) -> str:
    """Return the version of a kind of store other than PostgreSQL."""
    if store == "sqlite":
        return sqlite3.sqlite_version
    if store == "redis":
        return _first_number(_output("redis-server", "--version"))
    folders = Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*")
    return next((folder.name.rpartition("-")[2] for folder in folders), "")


def commit(root: Path) -> str:
    """Return the commit that is measured, and whether the tree differs from it."""
    name = _output("git", "-C", str(root), "rev-parse", "--short", "HEAD").strip()
    status = _output("git", "-C", str(root), "status", "--porcelain", "--", "src").strip()
    return f"{name} with changes" if status else name


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _disk() -> str:
    """Return the file system under the temporary folder, where all stores are."""
    folder = os.path.realpath(tempfile.gettempdir())
    mounts = [line.split()[:3] for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [
        (len(place), f"{kind} on {device}")
        for device, place, kind in mounts
        if folder == place or folder.startswith(place.rstrip("/") + "/")
    ]
    return max(holding, default=(0, "unknown"))[1]


def _output(*command: str) -> str:
    if not shutil.which(command[0]):
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout


def _first_number(text: str) -> str:
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else ""
