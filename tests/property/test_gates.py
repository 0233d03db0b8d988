"""Random lives of jobs with gates, on each store."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis.stateful import run_state_machine_as_test

from tests.conformance.clock import MovedClock
from tests.conformance.drivers import Place, open_stores
from tests.property.gate_machine import GateGround, GateLives
from tests.property.profile import lives


def test_limits_and_orders_are_kept_and_nobody_is_forgotten(
    place: Place, clear: Callable[[], None]
) -> None:
    """Takes up to a minute: hundreds of lives of thirty steps, each run to its end."""
    clock = MovedClock()
    store, _ = open_stores(place, clock)
    store.migrate()
    GateLives.ground = GateGround(store.run, place, clock, clear)
    run_state_machine_as_test(GateLives, settings=lives())
    store.close()
