"""Whether this code could run every job that waits in a store: asked before it ships.

Nothing is changed, not even an old schema. However many jobs wait, one page of them is held.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from msgspec import Struct

from jobpipe.errors import ConfigError
from jobpipe.store.migrations import SchemaStatus
from jobpipe.store.ops.waiting import WaitingJob, waiting_page
from jobpipe.store.port import Store
from jobpipe.tasks.codec import Undecodable, decode_args
from jobpipe.tasks.registry import Registry
from jobpipe.tasks.remote import RemoteTask
from jobpipe.tasks.versions import (
    Incompatible,
    NewerVersion,
    NoUpgrade,
    UpgradeFailed,
    version_of,
)

FIRST_IDS = 5
"""How many jobs a finding names."""

FINDINGS_MAX = 1_000
"""Most findings that are told apart; what is found beyond them is only counted."""

CODES: dict[type[Exception], str] = {
    NewerVersion: "newer_version",
    NoUpgrade: "no_upgrade",
    UpgradeFailed: "upgrade_failed",
    Undecodable: "undecodable",
}


class Checked(Store, Protocol):
    """A store that also tells how far its schema is."""

    def schema_status(self) -> SchemaStatus: ...


class CheckFinding(Struct, kw_only=True):
    """Why jobs of one task would not run."""

    code: str
    """``unknown_task``, ``newer_version``, ``no_upgrade``, ``upgrade_failed``, ``undecodable``."""
    task: str
    jobs: int
    first_ids: list[int]
    why: str
    """What is wrong with the first of them."""


class CheckView(Struct, frozen=True, kw_only=True):
    """What became of a check."""

    ok: bool
    checked: int
    """How many jobs wait."""
    refused: int
    """How many of them this code would not run."""
    findings: list[CheckFinding]
    """Those with most jobs first."""


def check_jobs(store: Checked, registry: Registry) -> CheckView:
    """Look at every waiting and parked job of the store.

    Raises ConfigError when a task is declared wrong, or the store's schema is another than this
    code's; StoreUnavailable.
    """
    registry.check()
    status = store.schema_status()
    if status.current != status.known:
        raise ConfigError(
            f"the store's schema has version {status.current}, this Jobpipe knows {status.known}",
            help="Run `jobpipe db migrate` on the store, or check with the Jobpipe that made it."
            if status.current
            else "There is nothing of Jobpipe at this URL: is it the right one?",
        )
    checked = refused = 0
    findings: dict[tuple[str, str], CheckFinding] = {}
    for job in _waiting(store):
        checked += 1
        if (trouble := _trouble(registry, job)) is not None:
            refused += 1
            _note(findings, job, *trouble)
    worst = sorted(findings.values(), key=lambda each: (-each.jobs, each.task, each.code))
    return CheckView(ok=not refused, checked=checked, refused=refused, findings=worst)


def _waiting(store: Store) -> Iterator[WaitingJob]:
    position: int | None = 0
    while position is not None:
        page = store.run(waiting_page(position))
        yield from page.jobs
        position = page.position


def _trouble(registry: Registry, job: WaitingJob) -> tuple[str, str] | None:
    """Return the code and the words for what keeps the job from running, if anything does."""
    if job.task not in registry:
        return "unknown_task", f"no task of this code is named {job.task}"
    task = registry.get(job.task)
    if isinstance(task, RemoteTask):  # whoever runs it knows what it takes
        return None
    try:
        if job.is_handed:  # only when it is complete can it be read
            task.versions.judge(version_of(job.args))
        else:
            decode_args(task.signature, task.versions.upgraded(job.args))
    except (Incompatible, Undecodable) as error:
        return CODES[type(error)], str(error)
    return None


def _note(
    findings: dict[tuple[str, str], CheckFinding], job: WaitingJob, code: str, why: str
) -> None:
    found = findings.get((job.task, code))
    if found is None:
        if len(findings) < FINDINGS_MAX:
            findings[job.task, code] = CheckFinding(
                code=code, task=job.task, jobs=1, first_ids=[job.id], why=why
            )
        return
    found.jobs += 1
    if len(found.first_ids) < FIRST_IDS:
        found.first_ids.append(job.id)
