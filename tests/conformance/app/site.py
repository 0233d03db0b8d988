"""Applications on one store, used through the blocking verbs or through their awaited twins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jobpipe import Job, Jobpipe
from jobpipe.model.job import AttemptRecord, JobRecord
from tests.conformance.app.served import Client, Server
from tests.conformance.clock import MovedClock
from tests.conformance.drivers import Place
from tests.conformance.loop import LoopThread

QUICK = {
    "poll_seconds": 0.2,
    "concurrency": 4,
    "shutdown_seconds": 5,
    "retry_delays": "0",
    "max_attempts": 3,
}
"""Settings under which a test need not wait."""

ENOUGH_SECONDS = 20.0
"""Longer than anything here should take."""


class Site:
    """One store, and the applications that a test makes on it."""

    def __init__(
        self,
        place: Place,
        clock: MovedClock,
        loop: LoopThread | None,
        server: Server | None = None,
    ) -> None:
        self.place = place
        self.clock = clock
        self._loop = loop
        self._server = server
        self._made: list[Jobpipe] = []

    def jobpipe(self, **settings: object) -> Jobpipe:
        """Make an application on this store."""
        made = Jobpipe(clock=self.clock, **{**QUICK, **self.place.settings, **settings})
        self._made.append(made)
        if self._server is not None:
            made = Client(self._server.add(made), made)
            self._made.append(made)
        return made

    def do(self, target: Any, verb: str, *args: Any, **kwargs: Any) -> Any:
        """Call a verb of a task, a job or an application, or its awaited twin."""
        if self._loop is None:
            return getattr(target, verb)(*args, **kwargs)
        return self._loop.run(getattr(target, "a" + verb)(*args, **kwargs))

    def enqueue(self, task: Any, *args: Any, **kwargs: Any) -> Job[Any]:
        job: Job[Any] = self.do(task, "enqueue", *args, **kwargs)
        return job

    def result(self, job: Job[Any], timeout: float = ENOUGH_SECONDS) -> Any:
        return self.do(job, "result", timeout=timeout)

    def seen(self, job: Job[Any]) -> JobRecord:
        """Read the job anew."""
        self.do(job, "refresh")
        assert job.record is not None
        return job.record

    def attempts(self, jp: Jobpipe, job: Job[Any]) -> list[AttemptRecord]:
        told: list[AttemptRecord] = self.do(jp, "attempts", job.id)
        return told

    def outcomes(self, jp: Jobpipe, job: Job[Any]) -> list[str]:
        """What the history says of each attempt."""
        return [each.outcome for each in self.attempts(jp, job)]

    def drain(self, jp: Jobpipe, **settings: object) -> None:
        """Run what may run now."""
        self.do(jp, "drain", **settings)

    @contextmanager
    def running(self, jp: Jobpipe, **settings: object) -> Iterator[None]:
        """Run a worker for as long as the block lasts."""
        if self._loop is None:
            with jp.running(**settings):
                yield
            return
        worker = jp.arunning(**settings)
        self._loop.run(worker.__aenter__())
        try:
            yield
        finally:
            self._loop.run(worker.__aexit__(None, None, None))

    def close(self) -> None:
        for made in reversed(self._made):
            if self._server is not None and not made.is_service:
                self._server.remove(made)
            if self._loop is None:
                made.close()
            else:
                self._loop.run(made.aclose())
