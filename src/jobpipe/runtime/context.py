"""The job that the running code works for: ``current_job()``."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from contextvars import ContextVar
from functools import cached_property
from typing import Any, TypeVar, overload

from jobpipe.errors import ConfigError, InvalidTransition
from jobpipe.model.job import Claimed, Finish
from jobpipe.runtime.job_log import JobLog
from jobpipe.runtime.speech import DEFAULTS, Speech, SpeechOptions, Voice
from jobpipe.runtime.transaction import Commitment, Transaction, Transactions
from jobpipe.tasks import wire
from jobpipe.tasks.depends import CurrentJob

T = TypeVar("T")
C = TypeVar("C")

_making_speech = threading.RLock()  # a finalizer may log while it is held


class RunningJob(CurrentJob):
    """A task's view of its own job; the same object in every thread and task below it.

    Most jobs ask it nothing, so that making one is cheap: the rest waits until it is asked for.
    """

    started_ns = 0
    """Monotonic clock at the start of the attempt (for the worker)."""
    _speech: Speech | None = None
    _is_silent = False
    _cancel_requested = False
    _commitment: Commitment | None = None
    _saved: str | None = None
    """The state that this attempt has assigned."""

    def __init__(
        self,
        claimed: Claimed,
        voice: Voice | None = None,
        options: SpeechOptions = DEFAULTS,
        transactions: Transactions | None = None,
    ) -> None:
        self._claimed = claimed
        self._voice = voice
        self._speech_options = options
        self._transactions = transactions

    def __repr__(self) -> str:
        return f"<RunningJob {self.id} {self.task} attempt {self.attempt}>"

    @property
    def id(self) -> int:
        return self._claimed.id

    @property
    def task(self) -> str:
        """The name of the task."""
        return self._claimed.task

    @property
    def queue_name(self) -> str:
        return self._claimed.queue

    @property
    def priority(self) -> int:
        return self._claimed.priority

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1."""
        return self._claimed.attempt

    @property
    def max_attempts(self) -> int:
        return self._claimed.max_attempts

    @property
    def token(self) -> int:
        """The fencing number of this attempt: later attempts have higher ones."""
        return self._claimed.token

    @property
    def meta(self) -> dict[str, Any]:
        """What was stored with the job by ``using(meta=...)``."""
        return wire.read(self._claimed.meta) if self._claimed.meta else {}

    @property
    def speech(self) -> Speech:
        """What the attempt says (for the worker); made when asked for, since most say nothing."""
        if self._speech is None:
            with _making_speech:
                if self._speech is None:
                    speech = Speech(self._claimed, self._voice, self._speech_options)
                    self._speech = speech
                    if self._is_silent:  # looked at last: it may become so in between
                        speech.end()
        return self._speech

    def fall_silent(self) -> None:
        """Take no more of what the attempt says: it is over (for the worker). Twice is fine."""
        self._is_silent = True
        if self._speech is not None:
            self._speech.close()

    @cached_property
    def log(self) -> JobLog:
        """A logger whose lines are kept with the job, whatever the configuration of logging."""
        return JobLog(self.task, self.speech)

    @property
    def state(self) -> Any:
        """What this or an earlier attempt assigned last, None at first: where to go on.

        Assigning any JSON value saves it, soon and at the latest before the attempt's outcome.
        Each reading returns a copy: to change a part, assign the whole. Assigning raises
        InvalidArguments or PayloadTooLarge when the value cannot be kept, LeaseLost when the
        attempt is over.
        """
        text = self._saved or self._claimed.checkpoint
        return None if text is None else wire.read(text)

    @state.setter
    def state(self, value: Any) -> None:
        self._saved = self.speech.save(value)

    def progress(self, done: float, total: float | None = None, note: str | None = None) -> None:
        """Say how far the job is; may be called as often as one likes, from any thread.

        Raises LeaseLost when the attempt is over.
        """
        self.speech.progress(done, total, note)

    @overload
    def track(
        self, iterable: Iterable[T], total: float | None = None, note: str | None = None
    ) -> Iterator[T]: ...

    @overload
    def track(
        self, iterable: AsyncIterable[T], total: float | None = None, note: str | None = None
    ) -> AsyncIterator[T]: ...

    def track(
        self,
        iterable: Iterable[T] | AsyncIterable[T],
        total: float | None = None,
        note: str | None = None,
    ) -> Iterator[T] | AsyncIterator[T]:
        """Return the items and say after each how far the job is; ``total`` is the length."""
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        if isinstance(iterable, AsyncIterable):
            return self._track_async(iterable, total, note)
        return self._track(iterable, total, note)

    @overload
    def transaction(self) -> Transaction[Any]: ...

    @overload
    def transaction(self, *, on: C) -> Transaction[C]: ...

    def transaction(self, *, on: Any = None) -> Transaction[Any]:
        """Return a block whose commit is the success of this job: all of it or nothing.

        ``with`` in a def task, ``async with`` in an async one; it gives the connection to write
        with. ``on`` is a connection of your own to the same database. What is raised in the block
        undoes it and goes on; LeaseLost when the attempt is no longer current.
        """
        if self._transactions is None:
            raise ConfigError("job.transaction() needs a worker that runs the job")
        if self._commitment is None:
            self._commitment = Commitment(self.id, self.token, self.started_ns, self.speech)
        return Transaction(self._commitment, self._transactions, on)

    def set_result(self, value: Any) -> None:
        """Set the job's result inside a transaction's block: its commit comes before the return.

        Raises InvalidTransition elsewhere, ValueError when the value cannot be stored.
        """
        if self._commitment is None or self._transactions is None or not self._commitment.is_open:
            raise InvalidTransition(
                "set_result() was called outside of job.transaction()",
                help="Elsewhere return the result.",
            )
        self._commitment.result = self._transactions.encode(value)

    @property
    def committed(self) -> Finish | None:
        """The success that a transaction of this job has committed (for the worker)."""
        return None if self._commitment is None else self._commitment.stored

    def cancel_requested(self) -> bool:
        """Tell whether somebody asked to cancel the job, or its attempt may not go on.

        A thread is never stopped from outside: a long one asks here and raises ``Cancel``.
        """
        return self._cancel_requested

    def request_cancel(self) -> None:
        """Note the request (for the worker)."""
        self._cancel_requested = True

    def lose(self) -> None:
        """Note that the attempt is no longer the current one (for the worker)."""
        self._cancel_requested = True
        self.speech.end()

    def _track(self, items: Iterable[T], total: float | None, note: str | None) -> Iterator[T]:
        self.progress(0, total, note)
        for done, item in enumerate(items, 1):
            yield item
            self.progress(done, total, note)

    async def _track_async(
        self, items: AsyncIterable[T], total: float | None, note: str | None
    ) -> AsyncIterator[T]:
        done = 0
        self.progress(done, total, note)
        async for item in items:
            yield item
            done += 1
            self.progress(done, total, note)


running_job: ContextVar[RunningJob] = ContextVar("jobpipe_running_job")


_only_job: RunningJob | None = None


def set_only_job(job: RunningJob) -> None:
    """Let every thread here belong to this job: the process runs no other beside it."""
    global _only_job
    _only_job = job


def job_here() -> RunningJob | None:
    """Return the job that this code runs for, if there is one."""
    return running_job.get(_only_job)


def current_job() -> RunningJob:
    """Return the job that this code runs for; raises LookupError outside of a task."""
    job = job_here()
    if job is None:
        raise LookupError("current_job() was called outside of a running task")
    return job


def belonging() -> dict[str, Any] | None:
    """Return what a line on standard error tells of the job that wrote it."""
    job = job_here()
    return None if job is None else {"job": job.id, "attempt": job.attempt}
