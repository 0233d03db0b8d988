"""Other arguments for a job that waits: checked as an enqueue checks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jobpipe.app.requests import call_by_json
from jobpipe.errors import InvalidArguments, PayloadTooLarge, UnknownTask
from jobpipe.model.job import NewJob
from jobpipe.store.ops.steer import Arguments
from jobpipe.tasks import wire
from jobpipe.tasks.codec import show
from jobpipe.tasks.registry import DeclaredTask, Registry
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
        plain = wire.read(upgraded)
        job = call_by_json(task, {**plain, **given}, {}).new_job(Defaults(max_payload=max_payload))
        _check_names(task, plain, job, max_payload)
        return Arguments(job.args, job.version)

    return change


def _check_names(
    task: DeclaredTask, stored: Mapping[str, Any], job: NewJob, max_payload: int
) -> None:
    """Refuse arguments that would make another group, key or tenant: a job keeps those."""
    try:
        before = call_by_json(task, stored, {}).new_job(Defaults(max_payload=max_payload))
    except (InvalidArguments, PayloadTooLarge):  # what stands there fits no longer
        return
    for what, was, now in (
        ("tenant", before.tenant, job.tenant),
        ("unique key", before.unique_key, job.unique_key),
        ("gates", _gates(before), _gates(job)),
    ):
        if was != now:
            raise InvalidArguments(
                f"task {job.task}: with these arguments the {what} would be {show(now)}, not"
                f" {show(was)}, and a job keeps what it was enqueued with",
                help="Cancel the job and enqueue another.",
            )


def _gates(job: NewJob) -> str:
    return ", ".join(f"{wish.kind}:{wish.key}" for wish in job.wishes)


def _is_named(given: object) -> bool:
    return isinstance(given, Mapping) and bool(given) and all(isinstance(k, str) for k in given)
