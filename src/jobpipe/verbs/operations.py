"""What an application orders about many jobs at once: each verb asks one thing, in a pair."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

from jobpipe.app import operation_asks as asks
from jobpipe.app.operation import Operation
from jobpipe.app.operation_asks import PAGE_OPERATIONS
from jobpipe.errors import WaitTimeout
from jobpipe.model.operation import OperationRecord, OperationState
from jobpipe.model.state import Reason
from jobpipe.verbs.asking import Asking

LOOK_SECONDS = 0.1
"""Time between two looks at an operation that is waited for."""


class Operations(Asking):
    """The verbs about all jobs that a filter means, and those that handles of operations call.

    ``q`` is a filter in words, as in ``jp.jobs(q=...)``. A worker or a service carries an order
    out; a ``preview`` only tells at once what it would do.
    """

    def cancel_jobs(
        self, q: str, *, reason: str = Reason.BY_USER, preview: bool = False
    ) -> Operation:
        """Cancel jobs that wait and ask running ones to stop; ``reason`` as in ``cancel``."""
        return Operation(self, self._ask(asks.cancel(q, reason, preview)))

    async def acancel_jobs(
        self, q: str, *, reason: str = Reason.BY_USER, preview: bool = False
    ) -> Operation:
        """Cancel jobs like ``cancel_jobs``."""
        return Operation(self, await self._aask(asks.cancel(q, reason, preview)))

    def rerun_jobs(self, q: str, *, preview: bool = False) -> Operation:
        """Run ended and parked jobs once more."""
        return Operation(self, self._ask(asks.rerun(q, preview)))

    async def arerun_jobs(self, q: str, *, preview: bool = False) -> Operation:
        """Re-run jobs like ``rerun_jobs``."""
        return Operation(self, await self._aask(asks.rerun(q, preview)))

    def delete_jobs(self, q: str, *, preview: bool = False) -> Operation:
        """Delete ended jobs with their history and their logs."""
        return Operation(self, self._ask(asks.delete(q, preview)))

    async def adelete_jobs(self, q: str, *, preview: bool = False) -> Operation:
        """Delete jobs like ``delete_jobs``."""
        return Operation(self, await self._aask(asks.delete(q, preview)))

    def move_jobs(
        self,
        q: str,
        *,
        queue_name: str | None = None,
        priority: int | None = None,
        run_at: datetime | None = None,
        preview: bool = False,
    ) -> Operation:
        """Move waiting jobs to another queue, priority or time; what is None stays."""
        return Operation(self, self._ask(asks.move(q, queue_name, priority, run_at, preview)))

    async def amove_jobs(
        self,
        q: str,
        *,
        queue_name: str | None = None,
        priority: int | None = None,
        run_at: datetime | None = None,
        preview: bool = False,
    ) -> Operation:
        """Move jobs like ``move_jobs``."""
        ask = asks.move(q, queue_name, priority, run_at, preview)
        return Operation(self, await self._aask(ask))

    def operation(self, id: int) -> Operation:
        """Return an operation; raises OperationNotFound."""
        return Operation(self, self._ask(asks.find(id)))

    async def aoperation(self, id: int) -> Operation:
        """Return an operation like ``operation``."""
        return Operation(self, await self._aask(asks.find(id)))

    def operations(
        self, *, state: str | None = None, before: int | None = None, limit: int = PAGE_OPERATIONS
    ) -> list[Operation]:
        """Return operations, newest first; ``before`` is the last id of the page before."""
        return [Operation(self, each) for each in self._ask(asks.newest(before, limit, state))]

    async def aoperations(
        self, *, state: str | None = None, before: int | None = None, limit: int = PAGE_OPERATIONS
    ) -> list[Operation]:
        """Return operations like ``operations``."""
        found = await self._aask(asks.newest(before, limit, state))
        return [Operation(self, each) for each in found]

    # What handles call

    def operation_refresh(self, id: int) -> OperationRecord:
        """Read a handle's operation."""
        return self._ask(asks.find(id))

    async def operation_arefresh(self, id: int) -> OperationRecord:
        """Read a handle's operation."""
        return await self._aask(asks.find(id))

    def operation_wait(self, id: int, timeout: float | None) -> OperationRecord:
        """Wait for the end of a handle's operation."""
        began = time.monotonic()
        while (record := self._ask(asks.find(id))).state is OperationState.RUNNING:
            time.sleep(_pause(id, began, timeout))
        return record

    async def operation_await(self, id: int, timeout: float | None) -> OperationRecord:  # noqa: ASYNC109
        """Wait for the end of a handle's operation."""
        began = time.monotonic()
        while True:
            record = await self._aask(asks.find(id))
            if record.state is not OperationState.RUNNING:
                return record
            await asyncio.sleep(_pause(id, began, timeout))

    def operation_cancel(self, id: int) -> OperationRecord:
        """Stop a handle's operation."""
        return self._ask(asks.stop(id))

    async def operation_acancel(self, id: int) -> OperationRecord:
        """Stop a handle's operation."""
        return await self._aask(asks.stop(id))


def _pause(id: int, began: float, timeout: float | None) -> float:
    """Return the seconds until the next look; raises WaitTimeout when none is left."""
    if timeout is None:
        return LOOK_SECONDS
    left = began + timeout - time.monotonic()
    if left <= 0:
        raise WaitTimeout(
            f"operation {id} has not ended within {timeout:g} s",
            help="It goes on; without a worker or a service nobody carries it out.",
        )
    return min(LOOK_SECONDS, left)
