"""Random lives of jobs, on each store, against the model."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conformance.clock import MovedClock
from tests.conformance.drivers import Place, open_stores
from tests.property.machine import Ground, Lives

EXAMPLES, STEPS = 400, 30


def test_every_life_is_as_the_model_says(place: Place, clear: Callable[[], None]) -> None:
    """Takes up to half a minute: hundreds of lives of thirty steps, each step looked at."""
    clock = MovedClock()
    store, _ = open_stores(place, clock)
    store.migrate()
    Lives.ground = Ground(store.run, clock, clear)
    profile = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=False,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=True,
    )
    run_state_machine_as_test(Lives, settings=profile)
    store.close()
