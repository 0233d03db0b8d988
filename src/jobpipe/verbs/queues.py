"""What an application does about queues."""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, UnsetType

from jobpipe.app import queue_asks
from jobpipe.app.queue_asks import QueueChange
from jobpipe.store.ops.read import Counts, QueueRecord
from jobpipe.verbs.asking import Asking


class Queues(Asking):
    """The verbs about queues."""

    def queues(self) -> list[QueueRecord]:
        """List the queues."""
        return self._ask(queue_asks.queues())

    async def aqueues(self) -> list[QueueRecord]:
        """List the queues."""
        return await self._aask(queue_asks.queues())

    def queue_counts(self) -> Counts:
        """Count jobs by (queue, state)."""
        return self._ask(queue_asks.queue_counts())

    async def aqueue_counts(self) -> Counts:
        """Count jobs by (queue, state)."""
        return await self._aask(queue_asks.queue_counts())

    def pause_queue(
        self, name: str, reason: str | None = None, *, until: datetime | None = None
    ) -> None:
        """Stop workers from taking jobs of a queue; what runs goes on.

        With ``until``, a time with a zone, the pause ends by itself. Raises InvalidArguments.
        """
        self.change_queue(name, QueueChange(paused=True, reason=reason, until=until))

    async def apause_queue(
        self, name: str, reason: str | None = None, *, until: datetime | None = None
    ) -> None:
        """Pause a queue like ``pause_queue``."""
        await self.achange_queue(name, QueueChange(paused=True, reason=reason, until=until))

    def resume_queue(self, name: str) -> None:
        """Let workers take jobs of a queue again."""
        self.change_queue(name, QueueChange(paused=False))

    async def aresume_queue(self, name: str) -> None:
        """Resume a queue like ``resume_queue``."""
        await self.achange_queue(name, QueueChange(paused=False))

    def limit_queue(
        self,
        name: str,
        *,
        concurrency: int | UnsetType | None = UNSET,
        rate: str | UnsetType | None = UNSET,
        max_queued: int | UnsetType | None = UNSET,
        burst: int | None = None,
    ) -> None:
        """Set limits of a queue, which count everywhere within a second.

        ``concurrency``: how many of its jobs may be queued or running at a time, over all
        processes. ``rate``: how many may start in a span of time, such as ``100/1m`` or ``5/s``;
        ``burst``, given with it: how many of them at once, else what comes in a tenth of a second.
        ``max_queued`` bounds its waiting jobs: above it enqueue raises QueueFull; it counts in
        place of JOBPIPE_MAX_QUEUED. None takes a limit away; what is left out stays. Raises
        InvalidArguments.
        """
        limits = QueueChange(concurrency=concurrency, rate=rate, max_queued=max_queued, burst=burst)
        self.change_queue(name, limits)

    async def alimit_queue(
        self,
        name: str,
        *,
        concurrency: int | UnsetType | None = UNSET,
        rate: str | UnsetType | None = UNSET,
        max_queued: int | UnsetType | None = UNSET,
        burst: int | None = None,
    ) -> None:
        """Set limits of a queue like ``limit_queue``."""
        limits = QueueChange(concurrency=concurrency, rate=rate, max_queued=max_queued, burst=burst)
        await self.achange_queue(name, limits)

    def change_queue(self, name: str, change: QueueChange) -> None:
        """Pause or resume a queue and set its limits, all or nothing; raises InvalidArguments."""
        self._ask(queue_asks.change_queue(name, change))

    async def achange_queue(self, name: str, change: QueueChange) -> None:
        """Change a queue like ``change_queue``."""
        await self._aask(queue_asks.change_queue(name, change))
