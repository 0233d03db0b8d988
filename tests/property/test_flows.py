"""Random lives of flows, on each store."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from jobpipe.store.ops import flows
from tests.conformance.clock import MovedClock
from tests.conformance.drivers import Place, open_stores
from tests.property.flows import FlowLives
from tests.property.machine import Ground

EXAMPLES, STEPS = {"sqlite": 200, "postgresql": 50}, 30
"""On PostgreSQL a step is ten times as slow, and the rounds are the same."""


def test_whatever_happens_each_callback_runs_once_and_nobody_is_lost(
    place: Place, clear: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Takes up to two minutes: hundreds of flows of thirty steps, each brought to its end.

    Rounds take slices of two, so that what a round leaves over is found by the next.
    """
    monkeypatch.setattr(flows, "SLICE", 2)
    clock = MovedClock()
    store, _ = open_stores(place, clock)
    store.migrate()
    FlowLives.ground = Ground(store.run, clock, clear)
    profile = settings(
        max_examples=EXAMPLES["sqlite" if place.is_file else "postgresql"],
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=False,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=True,
    )
    run_state_machine_as_test(FlowLives, settings=profile)
    store.close()
