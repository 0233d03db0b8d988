"""A flow ends when all but one of its nodes have ended."""

from __future__ import annotations

from jobpipe.model.flow import FlowState
from jobpipe.store.ops.flows import Standing


def is_over(self: Standing) -> bool:
    counted = self.succeeded + self.failed + self.cancelled
    return self.state is FlowState.RUNNING and counted >= self.total - 1


def plant() -> None:
    Standing.is_over = property(is_over)  # type: ignore[method-assign,assignment]
