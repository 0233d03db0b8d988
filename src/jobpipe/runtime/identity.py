"""Who this process is: enough to tell, on the same host, whether another one is dead."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def host() -> str:
    """Return the host's name with its boot and its process namespace, where they can be read.

    Two containers may share a name; a pid means something only within one namespace and boot.
    """
    return "/".join(filter(None, [socket.gethostname(), _boot(), _namespace()]))


def pid_started(pid: int) -> str:
    """Return when the kernel started the process, in its own unit; empty when unknown."""
    facts = _facts(pid)
    return facts[19] if facts else ""


def is_dead(pid: int, started: str) -> bool:
    """Tell whether the process is gone, or its pid belongs to another one by now."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    now = pid_started(pid)
    return (bool(started and now) and started != now) or _is_corpse(pid)


def _is_corpse(pid: int) -> bool:
    """Whether it has ended and its parent has not asked how, as the first process of a container
    may never do; a first thread that ended before others is no corpse."""
    try:
        return _facts(pid)[:1] == ["Z"] and len(os.listdir(f"/proc/{pid}/task")) <= 1
    except OSError:
        return False


def _facts(pid: int) -> list[str]:
    """Return the fields after the name, which stands in parentheses and may hold blanks: the first
    is the state, the 20th the start time; empty when unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return stat.rpartition(")")[2].split()


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")
    except OSError:
        return ""
