"""What is done in the store for a worker process that has died.

Each job it held is given back uncharged if it was not running. The one that ran alone is charged,
with the cause; several that ran beside each other are suspects, who will run again alone, each in
a process of its own. So a suspect is not to blame while others ran in the worker itself; if only
suspects ran, one of them reached out of its process, and each counts a loss. If nothing ran, what
had just ended and is not written yet is suspect. The store is read anew at every try, so a burial
may be broken off and tried again at any point.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from jobpipe.delivery.hub import Hint, Hub
from jobpipe.failpoint import failpoint
from jobpipe.model.change import UNKNOWN, changes_of
from jobpipe.model.job import Finish
from jobpipe.model.state import State
from jobpipe.policy.death import of_death
from jobpipe.policy.outcome import Verdict
from jobpipe.policy.retry import RetryDelays, parse_delays
from jobpipe.runtime.failure import to_json
from jobpipe.runtime.supervisor.messages import Facts, LossRule
from jobpipe.runtime.supervisor.page import Key
from jobpipe.runtime.telling import hint_of
from jobpipe.store.ops import claim
from jobpipe.store.ops import worker as ops
from jobpipe.store.ops.finish import finish
from jobpipe.store.ops.worker import HeldJob
from jobpipe.store.port import Store
from jobpipe.telemetry.events import JobFailedForGood, emit

MEGABYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Remains:
    """What is known of a dead worker process."""

    workers: Sequence[int]
    started: Mapping[Key, int]
    """What it was running, and since when (monotonic, nanoseconds)."""
    ended: Set[Key]
    """What had just ended, whether its outcome was written or not."""
    died_ns: int
    cause: str
    peak_bytes: int
    dump: str
    blameless: bool
    """The supervisor ended it for its own reasons: everything is given back."""
    facts: Facts


@dataclass(frozen=True, slots=True)
class Buried:
    """What became of the jobs."""

    charged: int = 0
    suspects: int = 0
    given_back: int = 0


def bury(store: Store, hub: Hub, remains: Remains) -> Buried:
    """Settle every job of the dead worker; raises StoreUnavailable."""
    charged = suspects = given_back = 0
    for worker_id in remains.workers:
        held = store.run(ops.inventory(worker_id))
        failpoint("burial.before")
        running = [job for job in held if _was_running(job, remains)]
        within = len(remains.started) - sum(job.suspect for job in running)
        verdicts = [(job, _verdict(job, remains, within)) for job in running]
        ends = [_finish(job, verdict, remains) for job, verdict in verdicts if verdict is not None]
        again = [job for job, verdict in verdicts if verdict is None]
        late = [job for job in held if _had_ended(job, remains)]
        idle = [job for job in held if job not in running and job not in late]
        if ends:
            store.run(finish(ends, time.monotonic_ns()))
            _tell(hub, ends, {job.id: job for job in running})
        _give_back(store, hub, [job for job in idle if not _had_started(job, remains)])
        started = [job for job in idle if _had_started(job, remains)]
        _give_back(store, hub, started, started=True)
        _give_back(store, hub, late, suspect=True)
        if within:
            _give_back(store, hub, again, suspect=True)
        elif again:
            for swept in store.run(ops.sweep([worker_id], only_known=True)):
                hub.ring(hint_of(swept.queued, swept.ended))
                _to_gates(hub, swept.blocked)
        store.run(ops.end_worker(worker_id))
        hub.ring(Hint(changes=UNKNOWN))  # what it did last and had not told yet
        charged += len(ends)
        suspects += len(again) + len(late)
        given_back += len(idle)
    return Buried(charged, suspects, given_back)


def _give_back(
    store: Store,
    hub: Hub,
    jobs: Sequence[HeldJob],
    *,
    started: bool = False,
    suspect: bool = False,
) -> None:
    if jobs:
        back = store.run(claim.give_back(jobs, started=started, suspect=suspect))
        hub.ring(hint_of(back))
        _to_gates(hub, len(jobs) - len(back))


def _to_gates(hub: Hub, jobs: int) -> None:
    if jobs:
        hub.ring(Hint(gates=True))


def _was_running(job: HeldJob, remains: Remains) -> bool:
    return not remains.blameless and (job.id, job.token) in remains.started


def _had_started(job: HeldJob, remains: Remains) -> bool:
    key = job.id, job.token
    return key in remains.started or key in remains.ended


def _had_ended(job: HeldJob, remains: Remains) -> bool:
    """Nothing ran, so what had just ended may have left something behind that killed it."""
    alone = not remains.blameless and not remains.started
    return alone and (job.id, job.token) in remains.ended


def _verdict(job: HeldJob, remains: Remains, within: int) -> Verdict | None:
    """``within`` is how many jobs ran in the dead process itself."""
    rule = remains.facts.rules.get(job.task, LossRule())
    delays: RetryDelays = parse_delays(rule.delays or remains.facts.retry_delays)
    return of_death(
        alone=len(remains.started) == 1 or (within == 1 and not job.suspect),
        cancel_requested=job.cancel_requested,
        on_loss=rule.on_loss,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        delays=delays,
        uniform=lambda high: random.uniform(0, high),
    )


def _finish(job: HeldJob, verdict: Verdict, remains: Remains) -> Finish:
    others = len(remains.started) - 1
    beside = "alone" if others == 0 else f"beside {others} other{'s' if others > 1 else ''}"
    message = f"the worker process died while it ran this job {beside}: {remains.cause}"
    if remains.peak_bytes:
        message += f" (peak memory {remains.peak_bytes // MEGABYTE} MB)"
    return Finish(
        id=job.id,
        token=job.token,
        state=verdict.state,
        reason=verdict.reason,
        outcome=verdict.outcome,
        error=to_json("WorkerDied", message, remains.dump, remains.facts.max_payload),
        delay_us=verdict.delay_us,
        charged=verdict.charged,
        duration_us=(remains.died_ns - remains.started[job.id, job.token]) // 1000,
        ended_at_ns=remains.died_ns,
    )


def _tell(hub: Hub, ends: Sequence[Finish], jobs: Mapping[int, HeldJob]) -> None:
    """Others are to look when the retries fall due; people hear of what failed."""
    for end in ends:
        if end.state is State.FAILED:
            reason, task = str(end.reason), jobs[end.id].task
            emit(JobFailedForGood(job=end.id, task=task, reason=reason, error="WorkerDied"))
    delays = [end.delay_us for end in ends if end.delay_us is not None]
    places = [(jobs[end.id].queue, end.state) for end in ends]
    changes = changes_of([end.id for end in ends], places)
    hub.ring(Hint(due_in_us=min(delays, default=None), changes=changes))
