"""Random lives of flows, on each store."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis.stateful import run_state_machine_as_test

from jobpipe.store.ops import flows
from tests.conformance.clock import MovedClock
from tests.conformance.drivers import Place, open_stores
from tests.property.flows import FlowLives
from tests.property.machine import Ground
from tests.property.profile import lives


def test_whatever_happens_each_callback_runs_once_and_nobody_is_lost(
    place: Place, clear: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Takes up to half a minute: hundreds of flows of thirty steps, each brought to its end.

    Rounds take slices of two, so that what a round leaves over is found by the next.
    """
    monkeypatch.setattr(flows, "SLICE", 2)
    clock = MovedClock()
    store, _ = open_stores(place, clock)
    store.migrate()
    FlowLives.ground = Ground(store.run, clock, clear)
    run_state_machine_as_test(FlowLives, settings=lives())
    store.close()
