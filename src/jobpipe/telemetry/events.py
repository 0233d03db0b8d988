"""The catalogue of events: every one typed, with its level and its sentence."""

from __future__ import annotations

import logging
from typing import ClassVar

from msgspec import Struct, structs

logger = logging.getLogger("jobpipe")


class Event(Struct, frozen=True):
    """Something worth telling; ``sentence`` is filled with the event's own fields."""

    level: ClassVar[int] = logging.INFO
    sentence: ClassVar[str]


class WorkerStarted(Event, frozen=True):
    worker: str
    worker_id: int
    slots: int
    queues: str
    sentence = "worker {worker} started: {slots} slots for {queues}"


class WorkerStopping(Event, frozen=True):
    worker: str
    running: int
    grace_seconds: float
    sentence = "worker {worker} stops: {running} jobs may end within {grace_seconds:g} s"


class WorkerStopped(Event, frozen=True):
    worker: str
    given_back: int
    sentence = "worker {worker} stopped; {given_back} jobs given back"


class WorkerSwept(Event, frozen=True):
    worker: str
    queued: int
    blocked: int
    failed: int
    level = logging.WARNING
    sentence = (
        "{worker} is dead: {queued} of its jobs queued again, {blocked} at their gates,"
        " {failed} ended"
    )


class LeaseEnded(Event, frozen=True):
    worker: str
    why: str
    level = logging.ERROR
    sentence = "worker {worker} lost its lease ({why}): what it ran is cancelled and given back"


class WriteRefused(Event, frozen=True):
    job: int
    token: int
    outcome: str
    level = logging.WARNING
    sentence = "job {job}: outcome {outcome} of attempt token {token} refused, lease lost"


class StoreLost(Event, frozen=True):
    doing: str
    why: str
    level = logging.ERROR
    sentence = "store unavailable while {doing}: {why}"


class StoreBack(Event, frozen=True):
    doing: str
    sentence = "store available again: {doing}"


class ChildStarted(Event, frozen=True):
    worker: str
    pid: int
    level = logging.DEBUG
    sentence = "worker process {worker} (pid {pid}) started"


class ChildNotStarted(Event, frozen=True):
    worker: str
    why: str
    level = logging.ERROR
    sentence = "worker process {worker} cannot be started, it is tried again: {why}"


class ChildDied(Event, frozen=True):
    worker: str
    pid: int
    cause: str
    running: int
    level = logging.ERROR
    sentence = "worker process {worker} (pid {pid}) died while it ran {running} jobs: {cause}"


class ChildBuried(Event, frozen=True):
    worker: str
    charged: int
    suspects: int
    given_back: int
    level = logging.WARNING
    sentence = (
        "jobs of {worker}: {charged} charged, {suspects} to run again alone,"
        " {given_back} given back"
    )


class ChildReplaced(Event, frozen=True):
    worker: str
    pid: int
    why: str
    sentence = "worker process {worker} is replaced by pid {pid}: {why}"


class ChildStuck(Event, frozen=True):
    worker: str
    pid: int
    seconds: float
    level = logging.ERROR
    sentence = "worker process {worker} (pid {pid}): no pulse for {seconds:g} s; it is ended"


class ChildOutstayed(Event, frozen=True):
    worker: str
    pid: int
    level = logging.ERROR
    sentence = "worker process {worker} (pid {pid}) did not stop within the grace; it is ended"


class SupervisorQuiet(Event, frozen=True):
    sentence = "no more jobs are taken until SIGCONT"


class SupervisorResumed(Event, frozen=True):
    sentence = "jobs are taken again"


class JobFailedForGood(Event, frozen=True):
    job: int
    task: str
    reason: str
    error: str
    level = logging.ERROR
    sentence = "job {job} ({task}) failed: {reason}: {error}"


class JobParked(Event, frozen=True):
    job: int
    task: str
    reason: str
    level = logging.WARNING
    sentence = "job {job} ({task}) parked: {reason}; others like it are parked without a word"


class LinesDropped(Event, frozen=True):
    lines: int
    level = logging.WARNING
    sentence = "{lines} lines of jobs' logs dropped: too many waited to be written"


class SaidRefused(Event, frozen=True):
    job: int
    token: int
    what: str
    why: str
    level = logging.WARNING
    sentence = "job {job}: {what} of attempt token {token} could not be stored: {why}"


class RaisedAfterCommit(Event, frozen=True):
    job: int
    task: str
    error: str
    level = logging.WARNING
    sentence = "job {job} ({task}) raised after its transaction, and has succeeded: {error}"


class ResultDropped(Event, frozen=True):
    job: int
    task: str
    level = logging.WARNING
    sentence = (
        "job {job} ({task}): its return value came after the commit of its transaction and is not"
        " kept; job.set_result() inside the block keeps it"
    )


class SlotsStuck(Event, frozen=True):
    worker: str
    stuck: int
    slots: int
    level = logging.ERROR
    sentence = "worker {worker}: {stuck} of {slots} slots hold runs past their time-out; it drains"


class LoopBlocked(Event, frozen=True):
    worker: str
    seconds: float
    level = logging.ERROR
    sentence = "worker {worker}: event loop blocked for {seconds:.0f} s; its lease is left to end"


class HookFailed(Event, frozen=True):
    job: int
    hook: str
    error: str
    level = logging.ERROR
    sentence = "job {job}: hook {hook} failed, which changes nothing else: {error}"


class TearDownFailed(Event, frozen=True):
    lifespan: str
    error: str
    level = logging.ERROR
    sentence = "the tear-down of lifespan {lifespan} failed: {error}"


class DutyFailed(Event, frozen=True):
    duty: str
    why: str
    level = logging.ERROR
    sentence = "{duty} failed and will be tried again: {why}"


class RequestFailed(Event, frozen=True):
    request_id: str
    error: str
    level = logging.ERROR
    sentence = "request {request_id} failed unexpectedly: {error}"


class RequestServed(Event, frozen=True):
    request_id: str
    who: str
    """The name of the token, or ``anonymous``; empty when nobody was let in."""
    client: str
    method: str
    path: str
    status: int
    seconds: float
    sentence = "{client} {who} {method} {path} {status} in {seconds:.3f} s (request {request_id})"


class ServiceListens(Event, frozen=True):
    address: str
    sentence = "the service listens at {address}"


class ServiceStopping(Event, frozen=True):
    requests: int
    sentence = "the service stops: {requests} requests are answered first"


class ServiceStopped(Event, frozen=True):
    sentence = "the service stopped"


class TokensRead(Event, frozen=True):
    path: str
    tokens: int
    sentence = "{tokens} tokens read anew from {path}"


class TokensUnreadable(Event, frozen=True):
    path: str
    why: str
    level = logging.ERROR
    sentence = "the tokens of {path} are refused, all of them: {why}"


def emit(event: Event, error: BaseException | None = None) -> None:
    """Log the event; handlers find its fields in ``record.jobpipe``, and the error's traceback."""
    if logger.isEnabledFor(event.level):
        fields = structs.asdict(event)
        name = type(event).__name__
        logger.log(
            event.level,
            event.sentence.format(**fields),
            exc_info=error,
            extra={"jobpipe": {"event": name, **fields}},
        )
