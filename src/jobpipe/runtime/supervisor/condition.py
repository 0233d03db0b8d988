"""How a supervisor and its children are, for machines and in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobpipe.runtime.supervisor.place import Place
from jobpipe.runtime.supervisor.process import ChildProcess


def condition_of(
    places: Sequence[Place],
    children: Sequence[ChildProcess],
    store_is_away: bool,
    is_stopping: bool,
) -> dict[str, Any]:
    """Return the condition as the health port tells it."""
    if is_stopping:
        status = "stopping"
    elif not any(place.is_served for place in places):
        status = "no worker is ready"
    elif store_is_away:
        status = "the store is away"
    else:
        status = "ok"
    workers = [
        {
            "name": child.name,
            "pid": child.pid,
            "ready": child.is_working,
            "running": _running(child),
            "finished": child.page.counts[1],
        }
        for child in children
    ]
    return {"status": status, "workers": workers}


def status_line(places: Sequence[Place], children: Sequence[ChildProcess]) -> str:
    """Return the condition in words."""
    ready = sum(place.is_served for place in places)
    running = sum(_running(child) for child in children)
    finished = sum(child.page.counts[1] for child in children)
    return f"{ready} of {len(places)} workers ready, {running} jobs running, {finished} ended"


def _running(child: ChildProcess) -> int:
    started, finished = child.page.counts
    return max(0, started - finished)
