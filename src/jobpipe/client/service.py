"""A service as what answers the verbs of an application: the twin of a store of its own."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from jobpipe.app import records
from jobpipe.app.ask import Asked, Exchange, Request
from jobpipe.app.asks import API
from jobpipe.app.views import JobView
from jobpipe.client.compose import composed
from jobpipe.client.enqueue import enqueued
from jobpipe.client.talk import talk
from jobpipe.config.settings import Settings
from jobpipe.config.urls import host_of, is_plain
from jobpipe.config.web import is_loopback
from jobpipe.errors import ConfigError, WaitTimeout
from jobpipe.model.flow import PlanStored
from jobpipe.model.job import Enqueued, JobRecord
from jobpipe.model.state import FINAL
from jobpipe.tasks.flow import Flow
from jobpipe.tasks.task import Call

if TYPE_CHECKING:
    from jobpipe.client.lines import Lines

T = TypeVar("T")

LONGEST_WAIT = 30.0
"""Seconds that one request waits for the end of a job."""

EARLY_SECONDS = 0.2
"""Rest before a service is asked again that let us wait less than it was asked to."""


class Service:
    """Answers over HTTP; safe to use from many threads, on many loops and after a fork."""

    is_service = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._place = settings.url

    @cached_property
    def _lines(self) -> Lines:
        """The connections; raises ConfigError when the HTTP library is missing."""
        settings = self._settings
        is_near = is_loopback(host_of(settings.url))
        if settings.token and is_plain(settings.url) and not (is_near or settings.plain_http):
            raise ConfigError(
                f"the token would go to another machine in plain text ({self._place})",
                help="Use https://, or JOBPIPE_PLAIN_HTTP=on where the way there is trusted.",
            )
        try:
            from jobpipe.client.lines import Lines
        except ImportError as error:
            raise ConfigError(
                f"a service ({self._place}) is spoken to by httpx2: {error}",
                help='Install it: pip install "jobpipe[client]"',
            ) from error
        return Lines(settings.url, settings.token, is_near=is_near)

    def ask(self, ask: Asked[T]) -> T:
        """Send the requests of what is asked."""
        return self._lines.follow(talk(ask.exchange(), self._place))

    async def aask(self, ask: Asked[T]) -> T:
        """Send the requests of what is asked like ``ask``."""
        return await self._lines.afollow(talk(ask.exchange(), self._place))

    def enqueue(self, calls: Sequence[Call[Any]], on: object | None) -> list[Enqueued]:
        """Have the service store the calls, all or none."""
        self._refuse_connection(on)
        return self._lines.follow(talk(enqueued(calls), self._place))

    async def aenqueue(self, calls: Sequence[Call[Any]], on: object | None) -> list[Enqueued]:
        """Have the service store the calls like ``enqueue``."""
        self._refuse_connection(on)
        return await self._lines.afollow(talk(enqueued(calls), self._place))

    def compose(self, flow: Flow, on: object | None) -> PlanStored:
        """Have the service store a flow, or nothing of it."""
        self._refuse_connection(on)
        return self._lines.follow(talk(composed(flow), self._place))

    async def acompose(self, flow: Flow, on: object | None) -> PlanStored:
        """Have the service store a flow like ``compose``."""
        self._refuse_connection(on)
        return await self._lines.afollow(talk(composed(flow), self._place))

    def final(self, id: int, timeout: float | None) -> JobRecord:
        """Wait for the end of a job."""
        return self._lines.follow(talk(_final(id, timeout), self._place))

    async def afinal(self, id: int, limit: float | None) -> JobRecord:
        """Wait for the end of a job, without blocking the loop."""
        return await self._lines.afollow(talk(_final(id, limit), self._place))

    def store(self, wish: str) -> NoReturn:
        """There is no store here: raises ConfigError."""
        raise ConfigError(
            f"{wish} needs a store, and {self._place} is a service",
            help="Set JOBPIPE_URL to the store's own URL (sqlite: or postgresql:), or do it where"
            " the service runs.",
        )

    def close(self) -> None:
        """Close what threads use; the next use opens it again."""
        if "_lines" in vars(self):
            self._lines.close()

    async def aclose(self) -> None:
        """Close what threads and this loop use."""
        if "_lines" in vars(self):
            await self._lines.aclose()

    def _refuse_connection(self, on: object | None) -> None:
        if on is not None:
            self.store("on= a connection")


def _final(id: int, timeout: float | None) -> Exchange[JobRecord]:
    """Wait for a job's end in slices, so that no request stays open for long."""
    ends = math.inf if timeout is None else time.monotonic() + timeout
    delay = 0.0
    while True:
        asked = time.monotonic()
        wait = min(LONGEST_WAIT, max(0.0, ends - asked))
        view: JobView = yield Request(
            path=f"{API}/jobs/{id}",
            query={"wait_seconds": f"{wait:.3f}"},
            answer=JobView,
            delay_seconds=delay,
            patience_seconds=wait,
        )
        now = time.monotonic()
        if view.state in FINAL:
            return records.job(view)
        if now >= ends:
            raise WaitTimeout(f"job {id} has not ended within {timeout:g} s")
        # A service that stops lets nobody wait.
        delay = 0.0 if now - asked >= wait else min(EARLY_SECONDS, ends - now)
