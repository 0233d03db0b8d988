"""Judges the work in a store: whether what waits will be run, and by whom. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from jobpipe.model.condition import Head, Parked
from jobpipe.model.state import Reason, State
from jobpipe.model.worker import WorkerRecord
from jobpipe.policy.duration import UNITS_US
from jobpipe.policy.finding import Finding, error, names, number, ok, span, warning

SWEEP_GRACE_US = 5_000_000
"""How long after the end of its lease a dead worker may stand there unswept."""

SILENT_SHARE = 0.75
"""The part of its lease after which a worker that has not renewed it is late."""

LATE_US = 5_000_000
"""How late a due job may be before somebody should have seen to it."""

PRUNE_GRACE_US = UNITS_US["d"]
"""How much longer than asked for an ended job may stay."""


class Work(Struct, frozen=True, kw_only=True):
    """What a store holds to do, and who is there to do it."""

    now: int
    workers: Sequence[WorkerRecord]
    paused: frozenset[str]
    heads: Sequence[Head]
    queued: Mapping[str, int]
    """Queued jobs by queue, counted up to the bound."""
    bound: int
    parked: Sequence[Parked]

    @property
    def alive(self) -> list[WorkerRecord]:
        """Those that may run jobs: a service that only keeps order has no slot."""
        return [worker for worker in self.workers if worker.slots and not worker.expired]


def judge_workers(work: Work, busy: Mapping[int, int]) -> Iterator[Finding]:
    """Judge the workers, and whether there are any."""
    alive = work.alive
    if alive:
        slots = sum(worker.slots for worker in alive)
        running = sum(busy.get(worker.id, 0) for worker in alive)
        yield ok(
            "workers",
            f"{number(len(alive), 'worker')}, {number(slots, 'slot')}, {running} in use.",
        )
    for worker in work.workers:
        label = f"{worker.name} (process {worker.pid})"
        silent_us = work.now - worker.seen_at
        if worker.expired and work.now - worker.lease_until > SWEEP_GRACE_US:
            yield warning(
                "worker_lost",
                f"The worker {label} was last seen {span(silent_us)} ago, its lease has ended, and"
                f" {number(busy.get(worker.id, 0), 'job')} that it held were not taken back.",
                "Start a worker: any one takes back what dead ones held.",
            )
        elif not worker.expired and silent_us > SILENT_SHARE * (
            worker.lease_until - worker.seen_at
        ):
            yield warning(
                "worker_silent",
                f"The worker {label} has not renewed its lease for {span(silent_us)}.",
                f"Look at process {worker.pid}: it is stopped, stuck, or cut off from the store.",
            )
    if not alive and (waiting := sum(work.queued.values())):
        longest = max((head.waited_us or 0 for head in work.heads), default=0)
        yield error(
            "no_workers",
            f"{number(waiting, 'job', work.bound)} may run now, the first waits for"
            f" {span(longest)}, and no worker is alive.",
            "Start one: jobpipe worker APP",
        )


def judge_queues(work: Work) -> Iterator[Finding]:
    """Judge the queues in which jobs wait."""
    waited = {head.queue: head.waited_us or 0 for head in work.heads}
    for queue, jobs in sorted(work.queued.items()):
        since = f"{number(jobs, 'job', work.bound)}, the first for {span(waited.get(queue, 0))}"
        if queue in work.paused:
            yield warning(
                "queue_paused",
                f"The queue {queue} is paused, and in it wait {since}.",
                f"jobpipe queue resume {queue}",
            )
        elif work.alive and not any(takes(worker, queue) for worker in work.alive):
            yield error(
                "queue_untaken",
                f"No living worker takes the queue {queue}, in which wait {since}.",
                f"Start a worker for it: jobpipe worker APP -q {queue}",
            )
    late = [(head.late_us, head.queue) for head in work.heads if (head.late_us or 0) > LATE_US]
    if late and work.alive:
        longest = max(late_us for late_us, _ in late if late_us is not None)
        yield error(
            "overdue",
            f"Jobs of {names([queue for _, queue in late])} are overdue by {span(longest)}: nobody"
            " queues what has fallen due.",
            "Look at the logs of the workers for errors of the promoter, and restart them.",
        )


def judge_parked(parked: Sequence[Parked], bound: int) -> Iterator[Finding]:
    """Judge jobs that were set aside since no worker's code can run them."""
    for reason, what, cure in (
        (
            Reason.UNKNOWN_TASK,
            "no worker that met them knows their tasks",
            "Deploy workers whose application declares these tasks; they take the jobs up again.",
        ),
        (
            Reason.INCOMPATIBLE,
            "no worker that met them takes the version of their arguments",
            "Deploy workers whose code takes it (an upgrade, or newer code); they take the jobs up"
            " again.",
        ),
        (
            Reason.UNDECODABLE,
            "their arguments do not fit the tasks as they are now",
            "Deploy code that takes these arguments, or cancel the jobs: jobpipe job cancel ID",
        ),
    ):
        found = [each for each in parked if each.reason is reason]
        if found:
            jobs = sum(each.jobs for each in found)
            yield warning(
                str(reason),
                f"{number(jobs, 'job', bound)} of {names([each.task for each in found])} parked:"
                f" {what}.",
                cure,
            )


def judge_tasks(
    declared: Sequence[str], without_timeout: Sequence[str], waiting: Mapping[str, int]
) -> Iterator[Finding]:
    """Judge an application's tasks against the jobs that wait."""
    missing = sorted(set(waiting) - set(declared))
    if missing:
        jobs = sum(waiting[task] for task in missing)
        yield warning(
            "task_missing",
            f"{number(jobs, 'job')} of {names(missing)} wait, and this application does not declare"
            " these tasks.",
            "Check that another application's workers run them, or that the names are right.",
        )
    if without_timeout:
        yield warning(
            "no_timeout",
            f"{number(len(without_timeout), 'task')} without a time-out"
            f" ({names(without_timeout)}): an attempt that hangs keeps its slot for ever.",
            "@task(timeout=...), or JOBPIPE_TIMEOUT for all.",
        )


def judge_pruning(
    ended: Mapping[State, int], keep_us: Mapping[State, int | None]
) -> Iterator[Finding]:
    """Judge by the oldest ended jobs whether the old are pruned."""
    for state, age_us in sorted(ended.items()):
        keep = keep_us.get(state)
        if keep is not None and age_us > keep + PRUNE_GRACE_US:
            yield warning(
                "prune_behind",
                f"Jobs that {_ended(state)} {span(age_us)} ago are still there, though the"
                f" retention is {span(keep)}.",
                "Keep a worker running: it prunes once a minute (JOBPIPE_RETENTION).",
            )


def _ended(state: State) -> str:
    return "were cancelled" if state is State.CANCELLED else state.value


def takes(worker: WorkerRecord, queue: str) -> bool:
    """Tell whether a worker takes jobs of a queue."""
    try:
        words = msgspec.json.decode(worker.queues, type=list[str])
    except msgspec.DecodeError:
        return True
    taken = {word.rpartition(":")[0] if ":" in word else word for word in words}
    return bool(taken & {"*", queue})
