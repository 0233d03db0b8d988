"""The test kit: what an application enqueues is kept in memory and runs when the test says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack

from jobpipe import failpoint
from jobpipe.application import Jobpipe
from jobpipe.config.settings import Settings
from jobpipe.delivery.hub import Hub
from jobpipe.errors import ConfigError, JobFailed, WaitTimeout
from jobpipe.model.state import FINAL, State
from jobpipe.tasks.options import refusal
from jobpipe.tasks.spec import is_whole
from jobpipe.testing.access import KitAccess
from jobpipe.testing.clock import VirtualClock
from jobpipe.testing.matching import Wanted, Wishes, listed
from jobpipe.testing.rounds import Rounds, all_jobs

if TYPE_CHECKING:
    from jobpipe.tasks.job import Job
    from jobpipe.tasks.registry import DeclaredTask

R = TypeVar("R")

Mode = Literal["manual", "inline"]
Failures = Literal["raise", "keep"]
MODES, FAILURES = ("manual", "inline"), ("raise", "keep")

PLACES = ("enqueue.before", "enqueue.after", "claim.taken", "finish.before")
"""Where a test may let something fail; a store in memory would not outlive a failure within it."""

ONCE = ("claim.taken",)
"""Those of them where a worker that fails every time never runs a job."""

PASSAGES_MAX = 1_000_000

MEMORY_URL = "sqlite:///:memory:"


class Kit:
    """The jobs of one application for as long as a ``with`` block, or a test, lasts.

    ``mode``: with ``manual`` jobs wait for ``drain()``, with ``inline`` enqueue runs them before
    it returns. ``failures``: whether a job that ends failed raises JobFailed there, or is kept to
    be looked at. ``concurrency``: how many jobs run at once; one after the other unless said
    otherwise, so that a test comes out the same every time.
    """

    def __init__(
        self,
        app: Jobpipe | None = None,
        *,
        mode: Mode = "manual",
        failures: Failures = "raise",
        concurrency: int = 1,
    ) -> None:
        self.clock = VirtualClock()
        self._app: Jobpipe | None = None
        self._given = app
        self._concurrency = concurrency
        self._open = ExitStack()
        self._is_running = False
        self._failpoints: list[str] = []
        self.mode = mode
        self.failures = failures

    def __enter__(self) -> Self:
        """Take over the application, if one was given."""
        return self if self._given is None else self.use(self._given)

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def mode(self) -> Mode:
        """When jobs run; may be changed at any time."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode: Mode = _one_of("mode", mode, MODES)

    @property
    def failures(self) -> Failures:
        """What becomes of failures; may be changed at any time."""
        return self._failures

    @failures.setter
    def failures(self, failures: Failures) -> None:
        self._failures: Failures = _one_of("failures", failures, FAILURES)

    @property
    def app(self) -> Jobpipe:
        """The application under test; raises ConfigError when there is none."""
        if self._app is None:
            raise ConfigError(
                "the test kit has no application",
                help="Name it: Kit(jp), kit.use(jp), the fixture jobpipe_app, or the ini option"
                " jobpipe_app = module:attribute.",
            )
        return self._app

    def use(self, app: Jobpipe) -> Self:
        """Take over an application: until ``close()`` its jobs are this kit's, in memory.

        Raises InvalidArguments for what is none.
        """
        if not isinstance(app, Jobpipe):
            raise refusal("app", app, "an application, made by Jobpipe(...)")
        self.close()

        def reach(settings: Settings, hub: Hub) -> KitAccess:
            self._access = KitAccess(settings, hub, self.clock, self._stored, self._astored)
            return self._access

        settings = {"url": MEMORY_URL, "queues": "*", "concurrency": self._concurrency}
        self._open.enter_context(app.reaching(reach, **settings))
        self._open.callback(failpoint.arm, app.settings.failpoints)
        self._app = app
        return self

    def close(self) -> None:
        """Give the application back its own store, and forget all jobs."""
        self._app = None
        self._failpoints.clear()
        self._open.close()

    # What was enqueued

    def enqueued(
        self, task: DeclaredTask | str | None = None, **wishes: Unpack[Wishes]
    ) -> list[Job[Any]]:
        """Return what was enqueued in this test, whatever became of it, in order."""
        wanted = self._wanted(task, wishes)
        now = self.clock.micros
        jobs = all_jobs(self.app)
        return [job for job in jobs if job.record is not None and wanted.fits(job.record, now)]

    def assert_enqueued(
        self,
        task: DeclaredTask | str | None = None,
        *,
        count: int | None = None,
        **wishes: Unpack[Wishes],
    ) -> list[Job[Any]]:
        """Return like ``enqueued``; raises AssertionError when there is none, or not ``count``."""
        jobs = self.enqueued(task, **wishes)
        if len(jobs) == count or (jobs and count is None):
            return jobs
        expected = "at least one job" if count is None else f"{count} jobs"
        raise AssertionError(
            f"expected {expected} {self._wanted(task, wishes)}, found {len(jobs)};"
            f" the jobs there are:\n{listed(all_jobs(self.app))}"
        )

    def _wanted(self, task: DeclaredTask | str | None, wishes: Wishes) -> Wanted:
        if task is None and wishes.get("args") is not None:
            raise refusal("args", wishes["args"], "arguments of one task, which has to be named")
        declared = self.app.task_named(task) if isinstance(task, str) else task
        return Wanted(task=declared, **wishes)

    # Running it

    def drain(self, with_scheduled: bool = False) -> list[Job[Any]]:
        """Run what may run now, and what that enqueues; returns the jobs that ran.

        ``with_scheduled`` also runs what waits for its time, retries too: the clock moves on to
        each. Raises JobFailed for a job that ends failed, unless failures are kept.
        """
        rounds = self._rounds(lambda: with_scheduled)
        for _ in rounds:
            with self._running():
                self.app.drain()
        return self._judged(rounds)

    async def adrain(self, with_scheduled: bool = False) -> list[Job[Any]]:
        """Run like ``drain``, on this event loop."""
        rounds = self._rounds(lambda: with_scheduled)
        for _ in rounds:
            with self._running():
                await self.app.adrain()
        return self._judged(rounds)

    def run(self, job: Job[R]) -> R:
        """Run until this job has ended, and return its result; what is due before runs too.

        The clock moves on as far as that takes. Raises JobFailed, JobCancelled, or WaitTimeout
        for a job that nothing will ever run.
        """
        for _ in self._rounds(lambda: job.refresh().state not in FINAL):
            with self._running():
                self.app.drain()
        return self._result_of(job)

    async def arun(self, job: Job[R]) -> R:
        """Run like ``run``, on this event loop."""
        for _ in self._rounds(lambda: job.refresh().state not in FINAL):
            with self._running():
                await self.app.adrain()
        return self._result_of(job)

    def _result_of(self, job: Job[R]) -> R:
        if job.refresh().state not in FINAL:
            why = self.app.explain(job.id).summary
            raise WaitTimeout(f"job {job.id} is {job.state}, and nothing will run it: {why}")
        return job.result(timeout=0)

    def _rounds(self, goes_on: Callable[[], bool]) -> Rounds:
        app = self.app
        return Rounds(app, self.clock, goes_on, self._access.next_opening)

    def _stored(self) -> bool:
        """Run what was enqueued, if that is to be at once; tell whether it was."""
        if is_due := self.mode == "inline" and not self._is_running:
            self.drain()
        return is_due

    async def _astored(self) -> bool:
        if is_due := self.mode == "inline" and not self._is_running:
            await self.adrain()
        return is_due

    @contextmanager
    def _running(self) -> Iterator[None]:
        """What is enqueued meanwhile runs with the rest."""
        self._is_running, before = True, self._is_running
        try:
            yield
        finally:
            self._is_running = before

    def _judged(self, rounds: Rounds) -> list[Job[Any]]:
        jobs = [rounds.ran[id] for id in sorted(rounds.ran)]
        failed = [job for job in jobs if job.state is State.FAILED]
        if failed and self.failures == "raise":
            _raise(failed)
        return jobs

    # Making things fail

    def fail_at(self, place: str, passage: int = 1) -> None:
        """Raise an error at one of ``PLACES``, which docs/testing.md explains.

        ``passage`` says the how manieth time that the code comes by, 0 every time; at the places in
        ``ONCE`` that would have no end. Raises InvalidArguments.
        """
        place = _one_of("place", place, PLACES)
        least = 1 if place in ONCE else 0
        if not is_whole(passage, least, PASSAGES_MAX):
            raise refusal("passage", passage, f"at {place} {least} to {PASSAGES_MAX}")
        self._failpoints.append(f"{place}=raise" + (f"@{passage}" if passage else ""))
        failpoint.arm(",".join(self._failpoints))


def _raise(failed: Sequence[Job[Any]]) -> None:
    """Raise the first failure with what its job's error tells; the others are noted."""
    first, *others = failed
    try:
        first.result(timeout=0)
    except JobFailed as error:
        error.add_note((first.error or {}).get("traceback", ""))
        for job in others:
            told = job.error or {}
            error.add_note(f"job {job.id} failed too: {told.get('type')}: {told.get('message')}")
        raise


def _one_of(option: str, value: Any, allowed: Sequence[str]) -> Any:
    if value not in allowed:
        raise refusal(option, value, " or ".join(allowed))
    return value
