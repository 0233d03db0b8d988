"""What is asked about one task."""

from __future__ import annotations

from urllib.parse import quote

from jobpipe.app.ask import Ask, Asked, Request, one
from jobpipe.app.task_views import TaskDetail, task_detail
from jobpipe.tasks.registry import Registry

PATH = "/api/v1/tasks"


def task(registry: Registry, name: str) -> Asked[TaskDetail]:
    """Show a declared task, here or by the service; raises UnknownTask."""
    return Ask(
        operation=None,
        value=lambda _nothing: task_detail(registry.get(name)),
        exchange=one(
            Request(path=f"{PATH}/{quote(name, safe='')}", answer=TaskDetail), lambda view: view
        ),
    )
