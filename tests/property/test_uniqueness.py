"""Random lives of jobs that want keys, on each store, against the rules of their scopes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.conformance.clock import MovedClock
from tests.conformance.drivers import Place, open_stores
from tests.property.machine import Ground
from tests.property.profile import lives
from tests.property.uniqueness import Keys

TABLES = ("job", "attempt", "claim", "cancel_request", "held_key", "idempotency", "tally", "worker")


@pytest.mark.timeout(300)
def test_every_key_is_held_as_its_scope_says(place: Place, clear: Callable[[], None]) -> None:
    """Takes up to half a minute: hundreds of lives of thirty steps."""
    clock = MovedClock()
    store, _ = open_stores(place, clock)
    store.migrate()
    Keys.ground = Ground(store.run, clock, clear)
    run_state_machine_as_test(Keys, settings=lives())
    store.close()
