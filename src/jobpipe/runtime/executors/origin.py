"""Where a worker's application and tasks come from, so that a child process can import them.

All names are those of the worker's own modules: none comes from a job.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from jobpipe.runtime.executors.frames import Hello
from jobpipe.tasks.registry import Registry

MAIN = "__main__"


def introduce(application: object, registry: Registry, settings: Mapping[str, str]) -> Hello:
    """Return what a child process has to know to become this program."""
    place = _place(application)
    tasks = {
        name: task.function.__module__
        for task in registry
        for name in (task.name, *task.spec.aliases)
    }
    needs_main = place is not None and place.startswith(f"{MAIN}:")
    path, module = _main() if needs_main or MAIN in tasks.values() else (None, None)
    return Hello(
        parent=os.getpid(),
        sys_path=[entry or os.getcwd() for entry in sys.path],
        main_path=path,
        main_module=module,
        application=place,
        tasks=tasks,
        settings=dict(settings),
    )


def _place(application: object) -> str | None:
    """Return ``module:attribute`` of the application; the program's own file comes last."""
    found = [
        f"{name}:{attribute}"
        for name, module in list(sys.modules.items())
        for attribute, value in list(getattr(module, "__dict__", {}).items())
        if value is application
    ]
    return min(found, key=lambda place: place.startswith(f"{MAIN}:"), default=None)


def _main() -> tuple[str | None, str | None]:
    """Return the file, or the name of the module, that this program runs."""
    main = sys.modules[MAIN]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return None, str(spec.name)
    file = getattr(main, "__file__", None)
    return (os.path.abspath(file) if file else None), None
