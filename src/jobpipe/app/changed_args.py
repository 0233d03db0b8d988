"""Other arguments for a job that waits: checked as an enqueue checks them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from jobpipe.app.requests import call_by_json
from jobpipe.errors import InvalidArguments, PayloadTooLarge, UnknownTask
from jobpipe.model.gate import GateKind
from jobpipe.model.job import JobRecord, NewJob
from jobpipe.model.marks import GATED
from jobpipe.store.ops.steer import Arguments
from jobpipe.tasks import wire
from jobpipe.tasks.codec import show
from jobpipe.tasks.gates import group_of
from jobpipe.tasks.registry import DeclaredTask, Registry
from jobpipe.tasks.task import Defaults
from jobpipe.tasks.versions import Incompatible

Change = Callable[[JobRecord], Arguments]
"""Turns the arguments of a job into those that it gets."""


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

    def change(record: JobRecord) -> Arguments:
        if record.task not in registry:
            raise UnknownTask(
                f"task {record.task} is not declared here, and so nobody can check its arguments",
                help="Ask an application that declares it (--app), or the service that runs it.",
            )
        task = registry.get(record.task)
        try:
            upgraded = task.versions.upgraded(record.args)
        except Incompatible as error:
            raise InvalidArguments(str(error)) from error
        plain = wire.read(upgraded)
        job = call_by_json(task, {**plain, **given}, {}).new_job(Defaults(max_payload=max_payload))
        is_older = (record.version or 1) < task.spec.version
        _check_names(record, _before(task, plain, max_payload), job, is_older=is_older)
        return Arguments(job.args, job.version)

    return change


def _before(task: DeclaredTask, stored: Mapping[str, Any], max_payload: int) -> NewJob | None:
    """Return the job that the task makes of its arguments; None: they fit no longer."""
    try:
        return call_by_json(task, stored, {}).new_job(Defaults(max_payload=max_payload))
    except (InvalidArguments, PayloadTooLarge):
        return None


def _check_names(record: JobRecord, before: NewJob | None, job: NewJob, *, is_older: bool) -> None:
    """Refuse arguments that would make another group, key or tenant: a job keeps those.

    What it was enqueued with in place of what the task makes, or without, stays as it is; of
    arguments of an older version nobody can tell.
    """
    if before is None:
        return
    names: list[tuple[str, object, object]] = []
    if is_older or record.tenant == before.tenant:
        names.append(("tenant", before.tenant, job.tenant))
    if is_older or record.unique_key == before.unique_key:
        names.append(("unique key", before.unique_key, job.unique_key))
    if (record.marks or 0) & GATED:
        kinds = set(GateKind)
        if not is_older and record.group != group_of(before.wishes):
            kinds.remove(GateKind.GROUP)
        names.append(("gates", _gates(before, kinds), _gates(job, kinds)))
    for what, was, now in names:
        if was != now:
            raise InvalidArguments(
                f"task {job.task}: with these arguments the {what} would be {show(now)}, not"
                f" {show(was)}, and a job keeps what it was enqueued with",
                help="Cancel the job and enqueue another.",
            )


def _gates(job: NewJob, kinds: Collection[GateKind]) -> str:
    return ", ".join(f"{wish.kind}:{wish.key}" for wish in job.wishes if wish.kind in kinds)


def _is_named(given: object) -> bool:
    return isinstance(given, Mapping) and bool(given) and all(isinstance(k, str) for k in given)
