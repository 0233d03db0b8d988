"""Rounds of work: run what is due, see what it came to, move the clock to what is due next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jobpipe.app.requests import MAX_PAGE
from jobpipe.errors import JobpipeError
from jobpipe.model.state import State
from jobpipe.testing.clock import VirtualClock

if TYPE_CHECKING:
    from jobpipe.application import Jobpipe
    from jobpipe.tasks.job import Job

ROUNDS_MAX = 1_000


class Rounds:
    """Iterate over it and run what may run now in each round, blocking or awaited.

    ``goes_on`` tells after a round whether the clock is to move to what is due next;
    ``next_opening`` in how many microseconds a gate may open by itself.
    """

    def __init__(
        self,
        app: Jobpipe,
        clock: VirtualClock,
        goes_on: Callable[[], bool],
        next_opening: Callable[[], int | None],
    ) -> None:
        self.ran: dict[int, Job[Any]] = {}
        """The jobs that were run, as they stood after their last round."""
        self._app = app
        self._clock = clock
        self._goes_on = goes_on
        self._next_opening = next_opening

    def __iter__(self) -> Iterator[None]:
        """Begin a round; raises JobpipeError when there is no end to them."""
        tokens = {job.id: _token(job) for job in all_jobs(self._app)}
        for _ in range(ROUNDS_MAX):
            yield
            jobs = all_jobs(self._app)
            self.ran |= {job.id: job for job in jobs if _token(job) != tokens.get(job.id, 0)}
            due = self._next_due(jobs) if self._goes_on() else None
            if due is None:
                return
            self._clock.micros = max(self._clock.micros, due)
        raise JobpipeError(
            f"after {ROUNDS_MAX:,} rounds there are jobs that wait for their time",
            help="A task that puts off itself, or the next job, for ever has no end: move the"
            " clock by hand with clock.advance(), then drain().",
        )

    def _next_due(self, jobs: Sequence[Job[Any]]) -> int | None:
        dues = [job.record.due_at for job in jobs if job.record and job.record.due_at]
        if any(job.state is State.BLOCKED for job in jobs):
            opening = self._next_opening()
            dues += [] if opening is None else [self._clock.micros + opening]
        return min(dues, default=None)


def all_jobs(app: Jobpipe) -> list[Job[Any]]:
    """Return every job in the order in which they were stored."""
    return app.jobs(limit=MAX_PAGE)[::-1]


def _token(job: Job[Any]) -> int:
    """Return how often the job has been claimed."""
    return job.record.token if job.record else 0
