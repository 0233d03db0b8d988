"""What operators set of gates: terms in place of the jobs' own, and pauses."""

from __future__ import annotations

from jobpipe.model import marks
from jobpipe.model.change import Change
from jobpipe.model.gate import GateKind, GateName
from jobpipe.model.state import State
from jobpipe.store.ops import gate_settings as ops
from jobpipe.store.ops.gate_settings import GateRecord
from tests.conformance.clock import MINUTE
from tests.conformance.lab import Lab, new_job

MAIL = GateName(GateKind.CONCURRENCY, "mail")


def listed(lab: Lab) -> list[GateRecord]:
    return lab.run(ops.list_gates(("", ""), 100))


def let_through(lab: Lab, id: int) -> None:
    """Note that the gate has let a job through that waits for a worker."""
    lab.place.sql(
        "INSERT INTO {p}gate_job (job_id, kind, key, place, token)"
        f" VALUES ({id}, 'concurrency', 'mail', {id}, 0)"
    )


def test_terms_are_set_and_taken_away(lab: Lab) -> None:
    lab.run(ops.limit_gate(MAIL, '{"n":3}'))
    (gate,) = listed(lab)
    assert (gate.kind, gate.key, gate.override, gate.next_at) == (
        "concurrency",
        "mail",
        '{"n":3}',
        0,
    )
    lab.run(ops.limit_gate(MAIL, None))
    assert listed(lab)[0].override is None


def test_gates_stand_by_kind_and_key(lab: Lab) -> None:
    for kind, key in (("rate", "a"), ("concurrency", "b"), ("concurrency", "a")):
        lab.run(ops.limit_gate(GateName(GateKind(kind), key), None))
    names = [(gate.kind, gate.key) for gate in listed(lab)]
    assert names == [("concurrency", "a"), ("concurrency", "b"), ("rate", "a")]
    later = lab.run(ops.list_gates(("concurrency", "b"), 1))
    assert [(gate.kind, gate.key) for gate in later] == [("concurrency", "b")]


def test_a_paused_key_takes_back_what_nobody_has_started(lab: Lab) -> None:
    queued = lab.enqueue([new_job()])[0].id
    running = lab.claimed().id
    for id in (queued, running):
        let_through(lab, id)
    assert listed(lab) == []
    assert lab.run(ops.pause_gate(MAIL, "flood", "ada", None)) == [
        Change(queued, State.BLOCKED, "default")
    ]
    assert (lab.job(queued).state, lab.job(running).state) == (State.BLOCKED, State.RUNNING)
    (gate,) = listed(lab)
    assert (gate.paused_reason, gate.paused_by, gate.held) == ("flood", "ada", 1)
    lab.run(ops.resume_gate(MAIL))
    assert listed(lab)[0].paused_at is None


def test_a_pause_of_a_key_ends_by_itself(lab: Lab) -> None:
    until = lab.now() + MINUTE
    lab.run(ops.pause_gate(MAIL, None, None, until))
    assert listed(lab)[0].paused_until == until
    lab.clock.advance(MINUTE)
    assert (listed(lab)[0].paused_at, listed(lab)[0].paused_until) == (None, None)


def test_waiting_jobs_are_counted(lab: Lab) -> None:
    lab.run(ops.limit_gate(MAIL, '{"n":1}'))
    for id in lab.enqueue([new_job(marks=marks.GATED)] * 3):
        lab.place.sql(
            "INSERT INTO {p}gate_job (job_id, kind, key, place, line)"
            f" VALUES ({id.id}, 'concurrency', 'mail', {id.id}, 0)"
        )
    assert (listed(lab)[0].waiting, listed(lab)[0].held) == (3, 0)
