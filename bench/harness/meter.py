"""Reads from /proc what processes have used: CPU seconds, memory; and what the host stole."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6
PARENT, FIRST_TIME, LAST_TIME, RSS = 1, 11, 14, 21
"""Places in /proc/PID/stat behind the name: parent, four CPU times (with waited children), RSS."""


@dataclass(frozen=True)
class Cpu:
    """Ticks of the whole machine since it started."""

    total: int
    steal: int
    busy: int

    def steal_since(self, before: Cpu) -> float:
        """Return the share of time that the host took away in between, in percent."""
        return 100 * (self.steal - before.steal) / max(1, self.total - before.total)

    def others_since(self, before: Cpu, ours: float) -> float:
        """Return the share of time that processes had in between which are not ours, in percent.

        ``ours`` is what our own have used, in seconds.
        """
        others = self.busy - before.busy - ours * TICKS
        return max(0.0, 100 * others / max(1, self.total - before.total))


def machine_cpu() -> Cpu:
    """Read the machine's clock ticks."""
    ticks = [int(n) for n in (PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    user, nice, system, idle, waiting, *interrupts, steal = ticks
    return Cpu(
        user + nice + system + idle + waiting + sum(interrupts) + steal,
        steal,
        user + nice + system + sum(interrupts),
    )


def tree(roots: Iterable[int]) -> dict[int, list[str]]:
    """Return the roots and all that descends from them, each with its fields of stat."""
    stats = {}
    children = defaultdict(list)
    for folder in PROC.iterdir():
        if folder.name.isdigit() and (fields := _fields(folder)):
            pid = int(folder.name)
            stats[pid] = fields
            children[int(fields[PARENT])].append(pid)
    found: dict[int, list[str]] = {}
    open_pids = [pid for pid in roots if pid in stats]
    while open_pids:
        pid = open_pids.pop()
        if pid not in found:
            found[pid] = stats[pid]
            open_pids += children[pid]
    return found


def cpu_seconds(roots: Iterable[int]) -> float:
    """Return what the trees have used so far, with the children that have been waited for."""
    members = tree(roots).values()
    ticks = sum(int(n) for fields in members for n in fields[FIRST_TIME : LAST_TIME + 1])
    return ticks / TICKS


def rss_mb(roots: Iterable[int]) -> float:
    """Return the resident memory of the trees now; shared pages count in each process."""
    return sum(int(fields[RSS]) for fields in tree(roots).values()) * PAGE_MB


def peak_mb(roots: Iterable[int]) -> float:
    """Return the largest peak of resident memory of any one process of the trees."""
    return max((_high_water(pid) for pid in tree(roots)), default=0.0)


def _fields(folder: Path) -> list[str]:
    try:
        return (folder / "stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _high_water(pid: int) -> float:
    try:
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0.0
