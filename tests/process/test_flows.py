"""Death in the middle of a flow: others go on with it, and call once who is to be called."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from jobpipe.model.flow import FlowState
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


def test_a_flow_comes_to_its_end_over_dead_workers(scene: Scene) -> None:
    """Takes some seconds: one process after the other begins, and dies at a point."""
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
        "admit.before_commit=kill@1",
        "admit.after_commit=kill@1",
        "turn_over.before_commit=kill@3",
        "turn_over.after_commit=kill@3",
    ],
)
def test_a_killed_round_calls_each_once(scene: Scene, point: str) -> None:
    """Of a flow that ends well, and of one that does not."""
    scene.compose("good")
    scene.compose("bad", "doomed")
    victim = scene.worker(failpoints=point, ready=False)
    scene.until(lambda: victim.over or scene.started("bad/on_done"), "the death or the end")
    scene.worker()
    scene.settled()
    scene.assert_clean()
    left_out = {op for op, state in scene.states().items() if state == "cancelled"}
    assert left_out == {"good/on_failure", "bad/on_success"}
