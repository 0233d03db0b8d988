"""Results handed on in the store: so much in one round, and no more than arguments may have."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from jobpipe.model.flow import FlowState, NewPlace, PlanStored, Role
from jobpipe.model.state import Reason, State
from jobpipe.store.ops import compose, handing, steer
from jobpipe.store.ops.admit import Admitted, admit
from tests.conformance.lab import Lab
from tests.conformance.store.test_flows import flow_state, plan, rounds, run_all, stored

ARGS = '{"a":null}'


def handing_on(
    lab: Lab, children: int, result: str, callbacks: tuple[Role, ...] = ()
) -> PlanStored:
    """A flow of one job that has ended with this result, which each of its children is handed."""
    wanted = plan([[], *([0] for _ in range(children))], callbacks)
    wanted.nodes[:] = [replace(node, job=replace(node.job, args=ARGS)) for node in wanted.nodes]
    wanted.places.extend(NewPlace(child, "/a", 0) for child in range(1, len(wanted.nodes)))
    kept = stored(lab, wanted)
    rounds(lab)
    (first,) = lab.claim(lab.worker(), 10)
    lab.finish(first, result=result)
    return kept


def admitted(lab: Lab, max_payload: int = handing.MAX_PAYLOAD) -> Admitted:
    done = lab.run(admit(max_payload=max_payload))
    assert done is not None
    return done


def test_a_round_hands_on_so_many_bytes(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handing, "ROUND_BYTES", 1_000)
    kept = handing_on(lab, 6, json.dumps("é" * 200, ensure_ascii=False))  # 408 bytes of arguments
    ids = [job.id for job in kept.jobs[1:]]
    told = [admitted(lab)]
    left = lab.run(compose.flow_members(kept.flows[0], 10, after=ids[1]))
    assert [(each.state, each.waits) for each in left] == [(State.BLOCKED, 0)] * 4
    lab.run(steer.cancel(ids.pop(), Reason.BY_USER))
    told += [admitted(lab) for _ in range(3)]
    assert [[job.id for job in each.queued] for each in told] == [ids[:2], ids[2:4], ids[4:], []]
    assert [each.more for each in told] == [True, True, False, False]
    assert [json.loads(lab.job(id).args) for id in ids] == [{"a": "é" * 200}] * 5


def test_arguments_that_would_be_too_large_fail_the_job(lab: Lab) -> None:
    kept = handing_on(lab, 1, '"xxxx"')  # {"a":"xxxx"} has 12 bytes
    done = admitted(lab, max_payload=11)
    assert (done.queued, done.more) == ((), True)
    id = kept.jobs[1].id
    assert [(each.id, each.state) for each in done.ended] == [(id, State.FAILED)]
    job = lab.job(id)
    assert (job.state, job.reason, job.attempt) == (State.FAILED, Reason.UNSTORABLE, 0)
    error = json.loads(job.error or "")
    assert (error["type"], error["message"]) == (
        "PayloadTooLarge",
        "with the results that it is handed the arguments need 12 bytes; at most 11 are allowed",
    )
    rounds(lab)
    assert flow_state(lab, kept.flows[0]) is FlowState.FAILED
    assert lab.counts() == lab.recount()
    for order, max_payload in (
        (steer.rerun(id), 11),  # it still has to get what it is handed
        (compose.rerun_flow(kept.flows[0]), 11),
        (steer.rerun(id), 12),
    ):
        lab.run(order)
        while admitted(lab, max_payload).more:
            pass
    job = lab.job(id)
    assert (job.state, job.args, job.reruns) == (State.QUEUED, '{"a":"xxxx"}', 3)


def test_a_cancel_leaves_to_a_round_what_is_handed_on(lab: Lab) -> None:
    kept = handing_on(lab, 1, '"xxxx"', (Role.ON_DONE,))
    rounds(lab)
    lab.run(compose.cancel_flow(kept.flows[0]))
    rounds(lab)
    (callback,) = run_all(lab)
    assert callback.id == kept.jobs[2].id
    assert lab.job(callback.id).args == '{"a":"xxxx"}'


def test_a_job_that_runs_anew_is_handed_the_same_once(lab: Lab) -> None:
    kept = handing_on(lab, 1, '"xxxx"')
    admitted(lab, max_payload=12)
    (child,) = lab.claim(lab.worker(), 10)
    lab.finish(child, State.FAILED)
    rounds(lab)
    lab.run(compose.rerun_flow(kept.flows[0]))
    while admitted(lab, max_payload=12).more:
        pass
    job = lab.job(child.id)
    assert (job.state, job.args, job.reruns) == (State.QUEUED, '{"a":"xxxx"}', 1)
