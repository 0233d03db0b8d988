"""Random lives of flows, on each store."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis.stateful import run_state_machine_as_test

from jobpipe.model.flow import Policy
from jobpipe.store.ops import flows
from tests.conformance.clock import MovedClock
from tests.conformance.drivers import Place, open_stores
from tests.property.flows import FlowLives
from tests.property.machine import Ground
from tests.property.profile import lives


@pytest.fixture(autouse=True)
def _ground(
    place: Place, clear: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A store whose rounds take slices of two: what one leaves over is found by the next."""
    monkeypatch.setattr(flows, "SLICE", 2)
    clock = MovedClock()
    store, _ = open_stores(place, clock)
    store.migrate()
    FlowLives.ground = Ground(store.run, clock, clear)
    yield
    store.close()


def test_whatever_happens_each_callback_runs_once_and_nobody_is_lost() -> None:
    """Takes up to half a minute: hundreds of flows of thirty steps, each brought to its end."""
    run_state_machine_as_test(FlowLives, settings=lives())


def test_a_flow_that_is_run_anew_and_then_stopped_calls_back_as_it_ends() -> None:
    life = FlowLives()
    inside = [([], False), ([], False)]
    life.begin(shape=[([], False)], inside=inside, policy=Policy.CANCEL)
    life.steer_flow(again=False, pick=1)
    life.round()
    life.steer_flow(again=True, pick=1)
    life.round()
    life.teardown()  # the flow around it stops it while only two of its nodes are back
