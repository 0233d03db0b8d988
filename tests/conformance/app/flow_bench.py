"""An application with a few tasks, for what flows do."""

from __future__ import annotations

from typing import Any

from jobpipe import Fail, Flow
from jobpipe.model.flow import FlowState, Role
from jobpipe.model.state import Reason
from tests.conformance.app.site import ENOUGH_SECONDS, Site


class Bench:
    """An application with a few tasks, and what they have done."""

    def __init__(self, site: Site, **settings: object) -> None:
        self.site = site
        self.jp = jp = site.jobpipe(max_attempts=1, **settings)
        self.done: list[str] = []
        self.broken: set[str] = set()

        @jp.task(name="add")
        def add(a: int, b: int = 1) -> int:
            return a + b

        @jp.task(name="total")
        def total(numbers: list[int | None], extra: dict[str, Any] | None = None) -> int:
            return sum(number or 0 for number in numbers) + len(extra or {})

        @jp.task(name="step")
        def step(name: str) -> str:
            if name in self.broken:
                raise Fail(f"{name} is broken")
            self.done.append(name)
            return name

        self.add, self.total, self.step = add, total, step

    def enqueue(self, flow: Flow, **options: Any) -> Flow:
        stored: Flow = self.site.do(flow, "enqueue", **options)
        return stored

    def drain(self, **settings: object) -> list[str]:
        """Run what may run, and return what was done meanwhile."""
        self.done.clear()
        self.site.drain(self.jp, **settings)
        return list(self.done)

    def result(self, flow: Flow) -> Any:
        return self.site.do(flow, "result", timeout=ENOUGH_SECONDS)

    def state(self, flow: Flow) -> FlowState:
        self.site.do(flow, "progress")
        return flow.state

    def members(self, flow: Flow) -> list[tuple[Role, str | None, Reason | None]]:
        found = self.site.do(self.jp, "flow_members", flow.id)
        return [(each.role, each.state, each.reason) for each in found]


def called(bench: Bench, make: Any, *args: Any, **options: Any) -> Flow:
    """Make a flow that calls at each of its ends."""
    flow: Flow = make(
        *args,
        on_success=bench.step.call("success"),
        on_failure=bench.step.call("failure"),
        on_done=bench.step.call("done"),
        **options,
    )
    return flow
