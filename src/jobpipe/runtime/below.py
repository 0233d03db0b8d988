"""Lets threads that a task starts find its job, for as long as a worker works in this process.

Python hands no context to a new thread, nor to what a pool of threads is given; so while there
is a worker, ``Thread.start`` and ``ThreadPoolExecutor.submit`` pass the job on, and nothing but
the job. Outside of a job both cost one look at a context variable more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from functools import partial
from typing import Any

from jobpipe.runtime.context import RunningJob, running_job

OWN = "jobpipe-"
"""How the names of our own threads begin: they serve all jobs and belong to none."""

Start = Callable[[threading.Thread], None]
Submit = Callable[..., Future[Any]]


class Below:
    """What is replaced in this process; begun by the first worker, ended by the last."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._workers = 0
        self._replaced: list[tuple[type, str, Any, Any]] = []

    def begin(self) -> Callable[[], None]:
        """Pass jobs on; returns how to end that, where twice is fine."""
        with self._gate:
            self._workers += 1
            if not self._replaced:
                self._replace(threading.Thread, "start", _starting)
                self._replace(ThreadPoolExecutor, "submit", _submitting)
        return _once(self._end)

    def _end(self) -> None:
        with self._gate:
            self._workers -= 1
            # Where somebody else stands before us we stay: without jobs we do nothing.
            is_last = self._workers == 0
            if is_last and all(
                getattr(kind, name) is ours for kind, name, _, ours in self._replaced
            ):
                for kind, name, theirs, _ in self._replaced:
                    setattr(kind, name, theirs)
                self._replaced.clear()

    def _replace(self, kind: type, name: str, making: Callable[[Any], Any]) -> None:
        theirs = getattr(kind, name)
        ours = making(theirs)
        setattr(kind, name, ours)
        self._replaced.append((kind, name, theirs, ours))


below = Below()


def _once(function: Callable[[], None]) -> Callable[[], None]:
    todo = [function]

    def call() -> None:
        if todo:
            todo.pop()()

    return call


def _starting(start: Start) -> Start:
    def started(thread: threading.Thread) -> None:
        job = running_job.get(None)
        if job is None or thread.name.startswith(OWN):
            start(thread)
            return
        run = thread.run

        def run_for_job() -> None:
            thread.__dict__.pop("run", None)
            running_job.set(job)
            run()

        thread.__dict__["run"] = run_for_job
        start(thread)

    return started


def _submitting(submit: Submit) -> Submit:
    def submitted(
        pool: ThreadPoolExecutor, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        job = running_job.get(None)
        if job is None:
            return submit(pool, function, *args, **kwargs)
        # In an empty context: a thread that the pool starts now will serve other jobs too.
        return Context().run(submit, pool, partial(_for_job, job, function), *args, **kwargs)

    return submitted


def _for_job(job: RunningJob, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    before = running_job.set(job)
    try:
        return function(*args, **kwargs)
    finally:
        running_job.reset(before)
