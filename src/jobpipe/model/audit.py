"""Who changed what: the rows of the audit, which people read.

Facts are brief: where a job or a queue stood. Arguments, results and secrets never enter.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Action(StrEnum):
    """What was done."""

    ENQUEUE = "enqueue"
    CANCEL = "cancel"
    RERUN = "rerun"
    PATCH = "patch"
    DELETE = "delete"
    CANCEL_JOBS = "cancel_jobs"
    RERUN_JOBS = "rerun_jobs"
    DELETE_JOBS = "delete_jobs"
    MOVE_JOBS = "move_jobs"
    PAUSE_QUEUE = "pause_queue"
    RESUME_QUEUE = "resume_queue"
    LIMIT_QUEUE = "limit_queue"
    PAUSE_TASK = "pause_task"
    RESUME_TASK = "resume_task"
    LIMIT_GATE = "limit_gate"
    PAUSE_GATE = "pause_gate"
    RESUME_GATE = "resume_gate"
    SET_WEIGHT = "set_weight"
    CANCEL_FLOW = "cancel_flow"
    RERUN_FLOW = "rerun_flow"


class Actor(Struct, frozen=True, gc=False):
    """Who acts."""

    name: str
    """The name of a token, ``cli:`` and a login, or ``python``."""
    via: str
    """``http``, ``cli`` or ``python``."""
    request_id: str | None = None


class AuditNote(Struct, frozen=True, kw_only=True, gc=False):
    """What is to be noted."""

    by: Actor
    action: Action
    job_id: int | None = None
    queue: str | None = None
    before: str | None = None
    """Facts as a JSON object."""
    after: str | None = None


class AuditRecord(Struct, frozen=True, kw_only=True):
    """A row of the audit."""

    id: int
    at: int
    who: str
    via: str
    action: str
    job_id: int | None
    queue: str | None
    before: str | None
    after: str | None
    request_id: str | None
