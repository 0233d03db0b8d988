"""Death in the middle of a flow: others go on with it, and call once who is to be called."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from jobpipe.model.flow import FlowState
from jobpipe.tasks import task as tasks
from tests.process.scene import Scene

POINTS = [
    "admit.before_commit=kill@1",
    "admit.after_commit=kill@1",
    "claim.after_commit=kill@1",
    "turn_over.before_commit=kill@1",
    "turn_over.after_commit=kill@1",
]
"""Where each of the workers dies, one after the other, again and again."""

WORKERS = 10
DONE = ("succeeded", "failed")


def test_a_flow_comes_to_its_end_over_dead_workers(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Takes some seconds: one process after the other begins, and dies at a point."""
    monkeypatch.setattr(tasks, "LOSSES_ALLOWED", WORKERS)  # one job may be met by several deaths
    jp = scene.jp
    quick = jp.task_named("quick")
    flow = jp.flow(
        on_success=quick.call("success"),
        on_failure=quick.call("failure"),
        on_done=quick.call("done"),
    )
    begin = flow.add(quick.call("begin"))
    middle = flow.add(
        jp.batch([quick.call(f"part {n}") for n in range(5)], on_done=quick.call("inner")),
        after=[begin],
    )
    last = flow.add(quick.call("last"), after=[middle])
    flow.add(quick.call("very last"), after=[last])
    flow.enqueue()
    deaths = 0
    for number in range(WORKERS):
        point = POINTS[number % len(POINTS)]
        victim = scene.worker(failpoints=point, ready=False)
        scene.until(lambda: victim.over or not scene.database.unfinished(), "a death")  # noqa: B023
        deaths += victim.over and victim.wait() == -signal.SIGKILL
    assert deaths >= len(POINTS), scene.logs()
    scene.worker()
    scene.settled()
    states = scene.states()
    assert states.pop("failure") == "cancelled"
    assert set(states.values()) == {"succeeded"}
    assert jp.flow_view(flow.id).state is FlowState.SUCCEEDED
    assert jp.flow_view(middle.id).state is FlowState.SUCCEEDED
    begun = Counter(entry.op for entry in scene.entries() if entry.what == "start")
    assert begun.keys() == states.keys()
    # Whatever was let go twice would have run in two jobs: a lost attempt is run again in its own.
    assert len(scene.database.contents().jobs) == len(states) + 1


@pytest.mark.parametrize(
    "point",
    [
        "turn_over.before_commit=kill@1",
        "turn_over.after_commit=kill@1",
        "turn_over.before_commit=kill@2",
        "turn_over.after_commit=kill@2",
    ],
)
def test_a_worker_dies_as_it_hands_a_flow_on(scene: Scene, point: str) -> None:
    """One that ends well, and one that does not; takes some seconds, until the lease has ended.

    The first outcomes are written alone. Those after them, and those of the callbacks, are two
    batches at least.
    """
    scene.compose("good")
    scene.compose("bad", "doomed")
    victim = scene.worker(failpoints=point, ready=False)
    assert victim.wait() == -signal.SIGKILL, scene.logs()
    scene.worker()
    scene.settled()
    scene.assert_clean()
    left_out = {op for op, state in scene.states().items() if state == "cancelled"}
    assert left_out == {"good/on_failure", "bad/on_success"}


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_killed_round_calls_each_once(scene: Scene, moment: str) -> None:
    """Takes some seconds: as each worker before it dies with its first outcome, all are called in
    a round that writes none."""
    for name, task in (("good", "quick"), ("bad", "doomed")):
        roles = ("on_success", "on_failure", "on_done")
        calls = {role: scene.jp.task_named("quick").call(f"{name}/{role}") for role in roles}
        flow = scene.jp.flow(**calls)
        flow.add(scene.jp.task_named(task).call(f"{name}/node"))
        flow.enqueue()
    while {"good/node", "bad/node"} - {op for op, state in scene.states().items() if state in DONE}:
        helper = scene.worker(failpoints="finish.after_commit=kill@1", ready=False)
        assert helper.wait() == -signal.SIGKILL, scene.logs()
    assert not scene.started("good/on_done")
    victim = scene.worker(failpoints=f"admit.{moment}_commit=kill@1", ready=False)
    assert victim.wait() == -signal.SIGKILL, scene.logs()
    scene.worker()
    scene.settled()
    left_out = {op for op, state in scene.states().items() if state == "cancelled"}
    assert left_out == {"good/on_failure", "bad/on_success"}
    begun = Counter(entry.op for entry in scene.entries() if entry.what == "start")
    assert [begun[f"{name}/on_done"] for name in ("good", "bad")] == [1, 1]
    assert (begun["good/on_success"], begun["bad/on_failure"]) == (1, 1)
    assert len(scene.states()) == len(scene.database.contents().jobs) == 8
