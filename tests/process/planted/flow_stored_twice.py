"""An enqueue of a flow is repeated, though the first one was heard."""

from __future__ import annotations

from typing import Any

from jobpipe.model.flow import PlanStored
from jobpipe.tasks.flow import Flow
from jobpipe.verbs.flows import Flows


def plant() -> None:
    store_once = Flows.store_flow

    def store_twice(self: Any, flow: Flow, on: object | None) -> PlanStored:
        store_once(self, flow, on)
        return store_once(self, flow, on)

    Flows.store_flow = store_twice  # type: ignore[method-assign]
