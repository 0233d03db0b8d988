"""A task with versions for a process of its own, which imports this module."""

from __future__ import annotations

import os
from typing import Any

from jobpipe import Tasks

tasks = Tasks()


@tasks.task(name="versioned", aliases=["formerly"], version=2, executor="process", max_attempts=1)
def versioned(id: int) -> tuple[int, int]:
    return id, os.getpid()


@versioned.upgrade(from_version=1)
def renamed(args: dict[str, Any]) -> dict[str, Any]:
    assert os.getpid() != args.get("worker"), "what may kill a process runs apart"
    return {"id": args["user"]}
