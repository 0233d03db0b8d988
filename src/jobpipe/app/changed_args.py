"""Other arguments for a job that waits: checked as an enqueue checks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jobpipe.app.requests import call_by_json
from jobpipe.errors import InvalidArguments, UnknownTask
from jobpipe.store.ops.steer import Arguments
from jobpipe.tasks import wire
from jobpipe.tasks.codec import show
from jobpipe.tasks.registry import Registry
from jobpipe.tasks.task import Defaults
from jobpipe.tasks.versions import Incompatible

Change = Callable[[str, str], Arguments]
"""Turns the arguments of a job, by its task and as they are stored, into those that it gets."""


def change_of(given: Mapping[str, Any], registry: Registry, max_payload: int) -> Change:
    """Return what puts the given arguments in place of those of the same names.

    It raises UnknownTask when the task is not declared here, so that nobody can check them;
    InvalidArguments when they do not fit; PayloadTooLarge. Raises InvalidArguments at once when
    they are not given by name.
    """
    if not _is_named(given):
        raise InvalidArguments(
            f"arguments are given by name, not as {show(given)}",
            help="Pass those that are to change as a mapping; the others stay.",
        )

    def change(name: str, stored: str) -> Arguments:
        if name not in registry:
            raise UnknownTask(
                f"task {name} is not declared here, and so nobody can check its arguments",
                help="Ask an application that declares it (--app), or the service that runs it.",
            )
        task = registry.get(name)
        try:
            upgraded = task.versions.upgraded(stored)
        except Incompatible as error:
            raise InvalidArguments(str(error)) from error
        wanted = call_by_json(task, {**wire.read(upgraded), **given}, {})
        job = wanted.new_job(Defaults(max_payload=max_payload))
        return Arguments(job.args, job.version)

    return change


def _is_named(given: object) -> bool:
    return isinstance(given, Mapping) and bool(given) and all(isinstance(k, str) for k in given)
