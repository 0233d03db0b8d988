"""The handle of an operation: what an order about many jobs returns, and ``jp.operation(id)``.

It remembers what it read last and asks the application for everything else.
"""

from __future__ import annotations

from typing import Protocol, Self

from jobpipe.errors import InvalidTransition
from jobpipe.model.operation import OperationRecord, OperationState


class OperationVerbs(Protocol):
    """What an application does for these handles, in pairs."""

    def operation_refresh(self, id: int) -> OperationRecord: ...
    async def operation_arefresh(self, id: int) -> OperationRecord: ...
    def operation_wait(self, id: int, timeout: float | None) -> OperationRecord: ...
    async def operation_await(self, id: int, timeout: float | None) -> OperationRecord: ...  # noqa: ASYNC109
    def operation_cancel(self, id: int) -> OperationRecord: ...
    async def operation_acancel(self, id: int) -> OperationRecord: ...


class Operation:
    """One order about all jobs that a filter means, or what it would do (a preview)."""

    __slots__ = ("_verbs", "record")

    def __init__(self, verbs: OperationVerbs, record: OperationRecord) -> None:
        self._verbs = verbs
        self.record = record
        """All that is known of it, as last read."""

    def __repr__(self) -> str:
        return f"<Operation {self.record.id} {self.record.action} {self.state}>"

    @property
    def id(self) -> int:
        """Its id; raises InvalidTransition for a preview, which is not stored."""
        if self.record.id is None:
            raise InvalidTransition("this is a preview: nothing is carried out")
        return self.record.id

    @property
    def state(self) -> OperationState:
        """``running``, ``done``, ``cancelled``, ``failed``, or ``preview``; as last read."""
        return self.record.state

    @property
    def who(self) -> str:
        """Who gave the order."""
        return self.record.who

    @property
    def matched(self) -> int:
        """How many jobs the filter means, as far as it has looked."""
        return self.record.matched

    @property
    def changed(self) -> int:
        """How many took the order (of a preview: would take it)."""
        return self.record.changed

    @property
    def refused(self) -> int:
        """How many did not, since their state, their key or their flow forbade it."""
        return self.record.refused

    @property
    def more(self) -> bool:
        """Of a preview: there are more than were counted."""
        return self.record.more

    @property
    def first_ids(self) -> list[int]:
        """Of a preview: the ids of the first jobs that are meant."""
        return list(self.record.first_ids)

    def refresh(self) -> Self:
        """Read it anew."""
        return self._seen(self._verbs.operation_refresh(self.id))

    async def arefresh(self) -> Self:
        """Read it anew, without blocking the event loop."""
        return self._seen(await self._verbs.operation_arefresh(self.id))

    def wait_end(self, timeout: float | None = None) -> Self:
        """Wait until it has ended; raises WaitTimeout after ``timeout`` seconds.

        A worker or a service carries it out: where none runs, it never ends.
        """
        return self._seen(self._verbs.operation_wait(self.id, timeout))

    async def await_end(self, timeout: float | None = None) -> Self:  # noqa: ASYNC109
        """Wait like ``wait_end``, without blocking the event loop."""
        return self._seen(await self._verbs.operation_await(self.id, timeout))

    def cancel(self) -> Self:
        """Stop it; what is done stays done. Raises InvalidTransition when it has ended."""
        return self._seen(self._verbs.operation_cancel(self.id))

    async def acancel(self) -> Self:
        """Stop it like ``cancel``, without blocking the event loop."""
        return self._seen(await self._verbs.operation_acancel(self.id))

    def _seen(self, record: OperationRecord) -> Self:
        self.record = record
        return self
