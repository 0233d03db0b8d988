"""What programs elsewhere send and hear: claims of jobs, and what became of them.

The structs are the bodies and answers of the service; ``Jobpipe.aclaim`` and its companions take
and return the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from jobpipe.app.views import SECOND_US, plain, time_text
from jobpipe.config.settings import QueueSlots
from jobpipe.config.values import read_queues
from jobpipe.errors import InvalidArguments
from jobpipe.model.job import Claimed
from jobpipe.store.ops.hand_out import Heard, Kept, Key, Settled
from jobpipe.tasks import wire
from jobpipe.tasks.options import refusal
from jobpipe.tasks.registry import Registry
from jobpipe.tasks.spec import NAME_ALLOWED, QUEUE_ALLOWED, is_name
from jobpipe.tasks.versions import version_of

SLOTS_MAX = 1_000
ITEMS_MAX = 1_000
"""Most jobs, lines or words of one call."""
TASKS_MAX = 1_000
WAIT_MAX = 60.0
LEASE_MIN, LEASE_MAX = 1.0, 3_600.0

Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Token = Annotated[int, Meta(ge=1, le=2**62)]
Seconds = Annotated[float, Meta(ge=0, le=315_360_000)]
Text = Annotated[str, Meta(max_length=100_000)]
Level = Literal["debug", "info", "warning", "error", "critical"]


class Body(Struct, kw_only=True, forbid_unknown_fields=True):
    """A body of a call; unknown fields are refused."""


class NewClaim(Body):
    """A request for jobs."""

    worker: str
    """The name under which people see who runs the jobs."""
    queues: str | list[str]
    """As ``JOBPIPE_QUEUES``: ``mail:10,reports`` or a list of such; ``*`` is every queue."""
    slots: Annotated[int, Meta(ge=1, le=SLOTS_MAX)] = 1
    """Most jobs to hand out."""
    wait_seconds: Annotated[float, Meta(ge=0, le=WAIT_MAX)] = 0
    """How long to wait for the first one."""
    lease_seconds: Annotated[float, Meta(ge=LEASE_MIN, le=LEASE_MAX)] | None = None
    """How long the claim lives without a sign of life; the setting decides when it is left out."""
    tasks: Annotated[list[str], Meta(max_length=TASKS_MAX)] | None = None
    """The tasks that this program knows: jobs of others are parked. Left out: it takes any."""


class Item(Body):
    """One attempt, by its job and its token."""

    job: Id
    token: Token

    @property
    def key(self) -> Key:
        return self.job, self.token


class FinishedItem(Item):
    """A job that went well."""

    result: Any = None
    cancelled: bool = False
    """It was stopped because somebody had cancelled it."""


class ErrorBody(Body):
    """What went wrong."""

    type: Annotated[str, Meta(max_length=200)] = "Error"
    message: str = ""
    traceback: str = ""


class FailedItem(Item):
    """A job that went wrong."""

    error: ErrorBody = msgspec.field(default_factory=ErrorBody)
    retry: bool = True
    """False: it fails for good, whatever attempts are left."""
    retry_after_seconds: Seconds | None = None
    """Left out: the delays of the task decide."""
    slow_key: bool = False
    """With a retry: no other job of its rates' keys starts for as long."""
    cancelled: bool = False


class SnoozedItem(Item):
    """A job to be run later; no attempt is charged."""

    seconds: Seconds


class LineItem(Item):
    """A line for a job's log."""

    message: Text
    level: Level = "info"
    logger: Annotated[str, Meta(max_length=200)] = ""
    fields: dict[str, Any] = {}
    at: datetime | None = None
    """When it was said, with its offset from UTC; left out: now."""


class ProgressItem(Item):
    """How far a job is."""

    done: float
    total: float | None = None
    note: Text | None = None


class FinishedJobs(Body):
    """Jobs that went well."""

    jobs: Annotated[list[FinishedItem], Meta(min_length=1, max_length=ITEMS_MAX)]


class FailedJobs(Body):
    """Jobs that went wrong."""

    jobs: Annotated[list[FailedItem], Meta(min_length=1, max_length=ITEMS_MAX)]


class SnoozedJobs(Body):
    """Jobs to be run later."""

    jobs: Annotated[list[SnoozedItem], Meta(min_length=1, max_length=ITEMS_MAX)]


class Lines(Body):
    """Lines for the logs of running jobs."""

    lines: Annotated[list[LineItem], Meta(min_length=1, max_length=ITEMS_MAX)]


class Progresses(Body):
    """How far running jobs are."""

    jobs: Annotated[list[ProgressItem], Meta(min_length=1, max_length=ITEMS_MAX)]


class NoBody(Body):
    """Nothing is to be said but that the program lives."""


class ClaimedJobView(Struct, frozen=True, kw_only=True):
    """A job to be run now."""

    id: int
    token: int
    """Goes with everything that is said about this attempt."""
    task: str
    args: Any
    version: int
    """Of the arguments."""
    attempt: int
    max_attempts: int
    queue: str
    priority: int
    timeout_seconds: float | None
    """The program itself stops the attempt then, and reports a failure."""
    meta: Any
    state: Any
    """What an earlier attempt left for this one to go on from."""


class ClaimView(Struct, frozen=True, kw_only=True):
    """What a claim was given."""

    claim: int | None
    """None when there was no job."""
    lease_seconds: float | None
    lease_until: str | None
    jobs: list[ClaimedJobView]


class CancelView(Struct, frozen=True):
    """A running job that somebody asked to cancel."""

    job: int
    token: int


class HeartbeatView(Struct, frozen=True, kw_only=True):
    """The lease after a sign of life."""

    lease_until: str | None
    cancels: list[CancelView]


class Verdict(Struct, frozen=True, kw_only=True):
    """What became of one item."""

    job: int
    token: int
    status: Literal["ok", "lease_lost"]


class VerdictsView(Struct, frozen=True, kw_only=True):
    """What became of the items of a call, in their order."""

    lease_until: str | None
    """None: all jobs of the claim have ended, and it with them."""
    jobs: list[Verdict]


NOTHING = ClaimView(claim=None, lease_seconds=None, lease_until=None, jobs=[])


def queues_of(wanted: NewClaim) -> tuple[QueueSlots, ...]:
    """Return the queues that a claim asks for; raises InvalidArguments."""
    try:
        return read_queues(wanted.queues)
    except ValueError:
        raise refusal(
            "queues",
            wanted.queues,
            f"queues in order (mail:10,reports), * for all: {QUEUE_ALLOWED}",
        ) from None


def queue_names(queues: Sequence[QueueSlots]) -> list[str]:
    """Return the queues as a list shows them."""
    return [q.name if q.slots is None else f"{q.name}:{q.slots}" for q in queues]


def worker_of(wanted: NewClaim) -> str:
    """Return the name of the worker; raises InvalidArguments."""
    if not is_name(wanted.worker):
        raise refusal("worker", wanted.worker, NAME_ALLOWED)
    return wanted.worker


def tasks_of(wanted: NewClaim) -> frozenset[str] | None:
    """Return the tasks that the program knows, None for any; raises InvalidArguments."""
    if wanted.tasks is None:
        return None
    for task in wanted.tasks:
        if not is_name(task):
            raise refusal("tasks", task, NAME_ALLOWED)
    return frozenset(wanted.tasks)


def names_known(tasks: frozenset[str] | None, registry: Registry) -> dict[str, str]:
    """Return what a program calls each task, by all names under which jobs may be stored.

    A program that takes any calls them by their own names.
    """
    if tasks is None:
        return {name: task.name for task in registry for name in registry.names_of(task.name)}
    others = {name: task for task in sorted(tasks) for name in registry.names_of(task)}
    return others | {task: task for task in tasks}


def claim_view(
    claim: int,
    lease_us: int,
    lease_until: int | None,
    jobs: Sequence[Claimed],
    names: Mapping[str, str],
) -> ClaimView:
    """Show a claim and its jobs, whose tasks are called as ``names`` tells."""
    return ClaimView(
        claim=claim,
        lease_seconds=lease_us / SECOND_US,
        lease_until=time_text(lease_until),
        jobs=[_job_view(job, names.get(job.task, job.task)) for job in jobs],
    )


def as_lines(view: ClaimView) -> str:
    """Return the jobs as lines for programs that read no JSON around them.

    Each holds, separated by tabs: claim, job, token, attempt, task, and the arguments as JSON.
    """
    rows = (
        (view.claim, job.id, job.token, job.attempt, job.task, wire.encode(job.args).decode())
        for job in view.jobs
    )
    return "".join("\t".join(str(part) for part in row) + "\n" for row in rows)


def heartbeat_view(kept: Kept) -> HeartbeatView:
    """Show a lease that was renewed."""
    return HeartbeatView(
        lease_until=time_text(kept.lease_until), cancels=[CancelView(*key) for key in kept.cancels]
    )


def settled_view(items: Iterable[Item], settled: Settled) -> VerdictsView:
    """Show what became of outcomes."""
    return _verdicts(items, settled.written, settled.lease_until)


def heard_view(items: Iterable[Item], heard: Heard) -> VerdictsView:
    """Show what became of what was told."""
    return _verdicts(items, heard.accepted, heard.lease_until)


def check_once(items: Sequence[Item]) -> None:
    """Raise InvalidArguments when two items are about one job."""
    if len({item.job for item in items}) < len(items):
        raise InvalidArguments(
            "a job stands twice in one call", help="Say how each job ended once."
        )


def _verdicts(
    items: Iterable[Item], accepted: frozenset[Key], lease_until: int | None
) -> VerdictsView:
    return VerdictsView(
        lease_until=time_text(lease_until),
        jobs=[
            Verdict(
                job=item.job,
                token=item.token,
                status="ok" if item.key in accepted else "lease_lost",
            )
            for item in items
        ],
    )


def _job_view(job: Claimed, task: str) -> ClaimedJobView:
    return ClaimedJobView(
        id=job.id,
        token=job.token,
        task=task,
        args=plain(job.args),
        version=version_of(job.args),
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        queue=job.queue,
        priority=job.priority,
        timeout_seconds=None if job.timeout_us is None else job.timeout_us / SECOND_US,
        meta=plain(job.meta),
        state=plain(job.checkpoint),
    )
