"""Random lives of jobs, on each store, against the model."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis.stateful import run_state_machine_as_test

from tests.conformance.clock import MovedClock
from tests.conformance.drivers import Place, open_stores
from tests.property.machine import Ground, Lives
from tests.property.profile import lives


def test_every_life_is_as_the_model_says(place: Place, clear: Callable[[], None]) -> None:
    """Takes up to half a minute: hundreds of lives of thirty steps, each step looked at."""
    clock = MovedClock()
    store, _ = open_stores(place, clock)
    store.migrate()
    Lives.ground = Ground(store.run, clock, clear)
    run_state_machine_as_test(Lives, settings=lives(400))
    store.close()
