"""Why a blocked job is not let in: its gate, its tenant's turn, the jobs that it comes after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobpipe.app.gate_terms import OF_QUEUE
from jobpipe.app.reason import OtherView, ReasonView
from jobpipe.app.views import time_text
from jobpipe.model.gate import ConcurrencyTerms, GateName, GroupTerms, RateTerms
from jobpipe.model.job import JobRecord
from jobpipe.model.marks import DEPENDENT
from jobpipe.policy.duration import format_span
from jobpipe.policy.finding import number
from jobpipe.store.ops import blocked
from jobpipe.store.ops.aside import TaskPause
from jobpipe.store.ops.blocked import BEFORE_MAX, NAMED_MAX, AtGate, Other, Turn
from jobpipe.store.port import Op

NEXT = ReasonView(
    code="blocked", message="It waits for the next round in which gates are looked at."
)


def blocked_reasons(job: JobRecord) -> Op[tuple[list[ReasonView], int | None]]:
    """Tell what a blocked job waits for, the first thing first, and when it may start.

    That is known of who waits at a rate, or for the end of a pause, and for nothing else, if
    nobody comes before him who is not there yet.
    """
    reasons: list[ReasonView] = []
    if (job.marks or 0) & DEPENDENT:
        parents = yield from blocked.parents(job.id)
        reasons += [_after(parents)] if parents else []
    if job.tenant is not None:
        turn = yield from blocked.turn(job.id)
        reasons += [_in_turn(turn)] if turn is not None else []
    at = yield from blocked.at_gate(job.id)
    if at is None:
        return reasons, None
    starts_at = None if reasons else _may_start_at(at)
    return [*reasons, _at(at)], starts_at


def paused_task(pause: TaskPause) -> Iterator[ReasonView]:
    """Tell of the pause of a job's task, if there is one."""
    if pause.paused_at is None:
        return
    yield ReasonView(
        code="task_paused",
        message=f"The task {pause.task} is paused{_why(pause.paused_by, pause.paused_reason)}.",
        since=time_text(pause.paused_at),
        until=time_text(pause.paused_until),
        help=f"jobpipe task resume {pause.task}",
    )


def _may_start_at(at: AtGate) -> int | None:
    terms, opens = at.facts.terms, at.room.opens_at
    if opens is None or at.before >= BEFORE_MAX:
        return None
    if isinstance(terms, RateTerms):
        return opens + at.before * terms.per_us // terms.n
    return None if at.before or at.holders else opens


def _after(parents: Sequence[Other]) -> ReasonView:
    named = ", ".join(
        f"flow {parent.id}" if parent.state is None else str(parent.id) for parent in parents
    )
    more = " and others" if len(parents) == NAMED_MAX else ""
    return ReasonView(
        code="waits_for",
        message=f"It comes after {named}{more}, which have not ended.",
        others=_views(parents),
    )


def _in_turn(turn: Turn) -> ReasonView:
    message = (
        f"It waits for a turn of the tenant {turn.tenant} in the queue {turn.queue};"
        f" before it: {number(turn.before, 'job', BEFORE_MAX)}."
    )
    if not turn.at_gates:
        return ReasonView(code="tenant_turn", message=message, before=turn.before)
    named = ", ".join(str(other.id) for other in turn.at_gates)
    more = " and others" if len(turn.at_gates) == NAMED_MAX else ""
    at = f" at {', '.join(turn.gates)}" if turn.gates else " at their gates"
    return ReasonView(
        code="tenant_turn",
        message=f"{message} In front of it wait {named}{more}{at}.",
        help=f"jobpipe job explain {turn.at_gates[0].id}",
        gate=next(iter(turn.gates), None),
        before=turn.before,
        others=_views(turn.at_gates),
    )


def _at(at: AtGate) -> ReasonView:
    code, message, help_ = _shut(at)
    line = f" Before it in line: {number(at.before, 'job', BEFORE_MAX)}." if at.before else ""
    return ReasonView(
        code=code,
        message=message + line,
        since=time_text(at.pause.at) if at.pause is not None else None,
        until=time_text(at.room.opens_at),
        help=help_,
        gate=str(at.name),
        before=at.before,
        others=_views(at.holders),
    )


def _shut(at: AtGate) -> tuple[str, str, str]:
    """Return why a gate is shut: a code, what it says, and what to do about it."""
    key, kind = at.name.key, at.name.kind
    if at.pause is not None:
        message = f"The key {key} ({kind}) is paused{_why(at.pause.by, at.pause.reason)}."
        return "gate_paused", message, f"jobpipe gate resume {kind} {key}"
    if at.facts.shut_until is not None and at.room.opens_at == at.facts.shut_until:
        return "slowed", f"A job asked for a rest of the key {key}.", ""
    match at.facts.terms:
        case ConcurrencyTerms(n):
            held = at.facts.hold.queued + at.facts.hold.running
            message = f"{held} of {n} at a time of the key {key} are taken."
            return "concurrency", message, _limiting(at.name, "N")
        case RateTerms(n=n, per_us=per_us):
            message = f"No more than {n} of the key {key} may start in {format_span(per_us)}."
            return "rate", message, _limiting(at.name, "N/SPAN")
        case GroupTerms(on_failure):
            return _in_group(at, on_failure)
        case None:
            return "blocked", NEXT.message, ""


def _in_group(at: AtGate, on_failure: str) -> tuple[str, str, str]:
    failed = [other.id for other in at.holders if other.state == "failed"]
    if failed and on_failure == "block":
        message = f"Job {failed[0]} of its group {at.name.key} has failed, and the group stands."
        return "group_blocked", message, f"jobpipe job rerun {failed[0]}"
    return "group", f"It is not its turn in the group {at.name.key}.", ""


def _why(by: str | None, reason: str | None) -> str:
    return ("" if by is None else f" by {by}") + ("" if reason is None else f": {reason}")


def _views(others: Sequence[Other]) -> list[OtherView]:
    return [
        OtherView(
            id=other.id,
            state="flow" if other.state is None else other.state.value,
            since=time_text(other.since),
        )
        for other in others
    ]


def _limiting(name: GateName, value: str) -> str:
    """Return the command that sets the limit of a gate."""
    if name.key.startswith(OF_QUEUE):
        return f"jobpipe queue limit {name.key.removeprefix(OF_QUEUE)} --{name.kind} {value}"
    return f"jobpipe gate limit {name.kind} {name.key} {value}"
