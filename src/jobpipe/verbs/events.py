"""What an application tells about changes as they happen, in this process and in others."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jobpipe.tasks.options import refusal
from jobpipe.verbs.store import OwnStore

if TYPE_CHECKING:
    from jobpipe.runtime.events import Subscription
    from jobpipe.runtime.watching import Watching, WatchingKit


class Events(OwnStore):
    """The verb behind ``/api/v1/events``."""

    _watching: Watching | None = None

    def events(
        self,
        last_event_id: str | None = None,
        *,
        topics: Iterable[str] | None = None,
        queue_name: str | None = None,
        job: int | None = None,
    ) -> Subscription:
        """Return what hears of changes from now on, or after an event that was heard before.

        It is read on the event loop that calls this: ``async with jp.events() as events: async
        for event in events``. ``topics`` are ``job``, ``counts`` and ``queue``, all of them unless
        said otherwise; the last two bound it to one queue and to one job. What may be missed, and
        how to go on then, is told in docs/events.md. Raises InvalidArguments for a topic that
        there is not; ConfigError.
        """
        from jobpipe.runtime.events import TOPICS, Wanted
        from jobpipe.runtime.watching import Watching

        wanted = frozenset(TOPICS if topics is None else topics)
        if not wanted or not wanted <= frozenset(TOPICS):
            raise refusal("topics", ",".join(sorted(wanted)), "some of " + ", ".join(TOPICS))
        if self._watching is None:
            self._watching = Watching(self._watching_kit)
        return self._watching.subscribe(last_event_id, Wanted(wanted, queue_name, job))

    async def _stop_watching(self) -> None:
        if self._watching is not None:
            await self._watching.close()

    def _stop_watching_now(self) -> None:
        if self._watching is not None:
            self._watching.close_now()

    def _watching_kit(self) -> WatchingKit:
        from jobpipe.runtime.watching import WatchingKit

        store = self._access.store("events()")
        backend = store.backend()
        return WatchingKit(
            name=f"{socket.gethostname()}-{os.getpid()}",
            hub=self.hub,
            run=store.arun,
            ears=backend.change_ears,
            is_shared=backend.store.capabilities.shared,
        )
