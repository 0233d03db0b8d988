"""Why a blocked job is not let in: each kind of gate, pauses, turns, and what it comes after."""

from __future__ import annotations

from typing import Any

from jobpipe.app.explain import ExplainView
from jobpipe.app.views import time_text
from jobpipe.model import marks
from jobpipe.model.gate import GateKind, GateName, Wish
from jobpipe.model.job import Lane
from jobpipe.model.state import State
from jobpipe.store.ops import admit, aside, gate_settings, queue
from jobpipe.store.ops.aside import Known
from tests.conformance.clock import SECOND
from tests.conformance.lab import Lab, new_job
from tests.conformance.store.gates import rounds
from tests.conformance.store.test_explain import codes, start_worker, told

MAIL = GateName(GateKind.CONCURRENCY, "mail")
ONE = '{"n":1}'
FIVE_A_SECOND = '{"n":5,"per_us":1000000,"burst":1}'


def gated(lab: Lab, kind: str, terms: str | None, n: int = 1, **fields: Any) -> list[int]:
    """Store jobs that wish for a gate with the key ``mail``, and let in who may come."""
    wish = Wish(GateKind(kind), "mail", terms)
    starts = marks.STARTS if kind == "rate" else 0
    job = new_job(marks=marks.GATED | starts, wishes=(wish,), **fields)
    ids = [answer.id for answer in lab.enqueue([job] * n)]
    lab.run(admit.admit())
    return ids


def why(lab: Lab, id: int) -> ExplainView:
    start_worker(lab, ["*"])
    return told(lab, id)


def test_slots_that_are_taken_name_who_holds_them(lab: Lab) -> None:
    first, second, third = gated(lab, "concurrency", ONE, 3)
    view = why(lab, third)
    assert codes(view) == ["concurrency"]
    (reason,) = view.reasons
    assert reason.message == "1 of 1 at a time of the key mail are taken. Before it in line: 1 job."
    assert (reason.gate, reason.before) == ("concurrency:mail", 1)
    assert [(other.id, other.state) for other in reason.others] == [(first, "queued")]
    assert reason.help == "jobpipe gate limit concurrency mail N"
    assert why(lab, second).reasons[0].before == 0
    (running,) = lab.claim(lab.worker(), 1, [Lane("default", 0)])
    assert running.id == first
    (other,) = why(lab, second).reasons[0].others
    assert (other.state, other.since) == ("running", time_text(lab.job(first).started_at))


def test_the_window_of_a_rate_says_when_it_opens(lab: Lab) -> None:
    ids = gated(lab, "rate", FIVE_A_SECOND, 3)
    lab.claim(lab.worker(), 1, [Lane("default", 0)])
    lab.run(admit.admit())
    view = why(lab, ids[2])
    (reason,) = view.reasons
    assert (reason.code, reason.before) == ("rate", 1)
    assert reason.message.startswith("No more than 5 of the key mail may start in 1s.")
    assert reason.until is not None
    assert view.may_start_at is not None
    assert view.may_start_at > reason.until


def test_a_group_names_the_job_whose_turn_it_is(lab: Lab) -> None:
    first, second = gated(lab, "group", '{"on_failure":"block"}', 2)
    (reason,) = why(lab, second).reasons
    assert (reason.code, reason.others[0].id) == ("group", first)
    (job,) = lab.claim(lab.worker(), 1, [Lane("default", 0)])
    lab.finish(job, State.FAILED)
    lab.run(admit.admit())
    (reason,) = why(lab, second).reasons
    assert (reason.code, reason.help) == ("group_blocked", f"jobpipe job rerun {first}")


def test_a_paused_key_tells_by_whom_and_until_when(lab: Lab) -> None:
    until = lab.now() + 60 * SECOND
    lab.run(gate_settings.pause_gate(MAIL, "flood", "ada", until))
    id, behind = gated(lab, "concurrency", ONE, 2)
    view = why(lab, id)
    (reason,) = view.reasons
    assert reason.code == "gate_paused"
    assert view.may_start_at == time_text(until)
    assert why(lab, behind).may_start_at is None
    assert reason.message == "The key mail (concurrency) is paused by ada: flood."
    assert reason.until == time_text(until)
    assert reason.help == "jobpipe gate resume concurrency mail"


def test_a_paused_task_is_told_of_jobs_in_the_queue_and_aside(lab: Lab) -> None:
    lab.run(aside.pause_task("t", "flood", "ada", None))
    id = lab.new()
    assert codes(why(lab, id)) == ["task_paused"]
    jobs = lab.claim(lab.worker(), 1, [Lane("default", 0)])
    lab.run(aside.set_aside(jobs, Known(frozenset({"t"}))))
    view = why(lab, id)
    assert (view.state, codes(view)) == (State.BLOCKED, ["task_paused"])
    assert view.summary == "The task t is paused by ada: flood."
    assert view.reasons[0].help == "jobpipe task resume t"
    lab.run(aside.resume_task("t"))
    assert codes(why(lab, id)) == ["blocked"]
    lab.run(admit.admit())
    assert codes(why(lab, id)) == ["next"]


def test_a_limited_queue_says_where_its_limit_is_set(lab: Lab) -> None:
    ids = [answer.id for answer in lab.enqueue([new_job(queue="mail")] * 2)]
    lab.run(queue.limit_queue("mail", {"concurrency": 1}, {GateKind.CONCURRENCY: ONE}))
    jobs = lab.claim(lab.worker(), 2, [Lane("mail", 0)])
    lab.run(aside.set_aside(jobs, Known(limited=frozenset({"mail"}))))
    lab.run(admit.admit())
    (reason,) = why(lab, ids[1]).reasons
    assert (reason.gate, reason.help) == (
        "concurrency:queue:mail",
        "jobpipe queue limit mail --concurrency N",
    )


def test_a_job_that_comes_after_others_names_them(lab: Lab) -> None:
    parent = lab.new()
    (child,) = lab.enqueue([new_job(marks=marks.DEPENDENT)])
    lab.place.sql(
        "INSERT INTO {p}edge (child_id, parent_id, need)"
        f" VALUES ({child.id}, {parent}, 'success')"
    )
    view = why(lab, child.id)
    assert codes(view) == ["waits_for"]
    assert view.summary == f"It comes after {parent}, which have not ended."
    assert [(other.id, other.state) for other in view.reasons[0].others] == [(parent, "queued")]


def test_a_job_whose_tenant_waits_at_a_gate_names_who_is_in_front(lab: Lab) -> None:
    wish = Wish(GateKind.CONCURRENCY, "mail", ONE)
    job = new_job(tenant="acme", marks=marks.GATED | marks.STARTS, wishes=(wish,))
    ids = [answer.id for answer in lab.enqueue([job] * 30)]
    rounds(lab)
    assert [lab.job(id).state for id in ids[:2]] == [State.QUEUED, State.BLOCKED]
    (reason,) = why(lab, ids[-1]).reasons
    assert (reason.code, reason.gate) == ("tenant_turn", "concurrency:mail")
    ahead = [other.id for other in reason.others]
    assert ahead == ids[1:11]
    assert reason.message.endswith(
        f" In front of it wait {', '.join(map(str, ahead))} and others at concurrency:mail."
    )
    assert reason.help == f"jobpipe job explain {ids[1]}"
    assert codes(why(lab, ids[1])) == ["concurrency"]


def test_a_key_that_a_job_slowed_tells_until_when(lab: Lab) -> None:
    (id, *_rest) = gated(lab, "rate", FIVE_A_SECOND, 2)
    assert lab.job(id).state is State.QUEUED
    until = lab.now() + 60 * SECOND
    lab.place.sql(f"UPDATE {{p}}gate SET shut_until = {until}, next_at = 0")
    (reason,) = why(lab, _rest[0]).reasons
    assert (reason.code, reason.until) == ("slowed", time_text(until))
    assert why(lab, _rest[0]).may_start_at == time_text(until)
