"""What people and programs are shown of gates, and of tasks that are paused."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from jobpipe.app.views import SECOND_US, plain, time_text
from jobpipe.model.gate import GateKind
from jobpipe.store.ops.aside import TaskPause
from jobpipe.store.ops.gate_settings import GateRecord

TASK = "task"
"""The kind under which a paused task stands among the gates: its key is the task's name."""


class GateView(Struct, frozen=True, kw_only=True):
    """A gate: what must open before jobs that name it may be queued."""

    kind: str
    """``group``, ``concurrency`` or ``rate``; ``task``: the key is a task that is paused."""
    key: str
    terms: Any
    """What the newest job says of it, an object of ``n`` (of a rate ``per_seconds`` and ``burst``
    too) or ``on_failure``."""
    override: Any
    """What was set in place of that, or null."""
    held: int
    """Jobs that it has let through and that still count, up to 10,000."""
    waiting: int
    """Jobs that wait at it, up to 10,000."""
    paused: bool
    reason: str | None
    paused_at: str | None
    paused_by: str | None
    paused_until: str | None
    shut_until: str | None
    """A job asked for this rest of its key."""
    next_at: str | None
    """When it may open by time alone."""


def gate_view(record: GateRecord) -> GateView:
    """Show a gate."""
    return GateView(
        kind=record.kind,
        key=record.key,
        terms=_shown(record.terms),
        override=_shown(record.override),
        held=record.held,
        waiting=record.waiting,
        paused=record.paused_at is not None,
        reason=record.paused_reason,
        paused_at=time_text(record.paused_at),
        paused_by=record.paused_by,
        paused_until=time_text(record.paused_until),
        shut_until=time_text(record.shut_until),
        next_at=time_text(record.next_at or None),
    )


def _shown(terms: str | None) -> Any:
    shown = plain(terms)
    if isinstance(shown, dict) and "per_us" in shown:
        per_seconds = shown["per_us"] / SECOND_US
        return {"n": shown["n"], "per_seconds": per_seconds, "burst": shown["burst"]}
    return shown


def task_gate(pause: TaskPause) -> GateRecord:
    """Return a task that is paused as it stands among the gates."""
    return GateRecord(
        kind=TASK,
        key=pause.task,
        waiting=pause.waiting,
        paused_at=pause.paused_at,
        paused_reason=pause.paused_reason,
        paused_by=pause.paused_by,
        paused_until=pause.paused_until,
    )


KINDS = (*(kind.value for kind in GateKind), TASK)
