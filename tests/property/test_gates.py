"""Random lives of jobs with gates, on each store."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conformance.clock import MovedClock
from tests.conformance.drivers import Place, open_stores
from tests.property.gate_machine import GateGround, GateLives

EXAMPLES, STEPS = {"sqlite": 200, "postgresql": 50}, 30
"""On PostgreSQL a step is ten times as slow, and the rounds are the same."""


def test_limits_and_orders_are_kept_and_nobody_is_forgotten(
    place: Place, clear: Callable[[], None]
) -> None:
    """Takes a minute or two: hundreds of lives of thirty steps, each run to its end."""
    clock = MovedClock()
    store, _ = open_stores(place, clock)
    store.migrate()
    GateLives.ground = GateGround(store.run, place, clock, clear)
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
    run_state_machine_as_test(GateLives, settings=profile)
    store.close()
