"""Runs attempts in child processes: a warm pool of them, as many as there are attempts at once.

A child is used again unless its attempt was interrupted, it died, or something was left behind
in it. A job under suspicion gets a fresh child, with the worker's whole environment, for itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from jobpipe.model.job import Claimed, Finish
from jobpipe.runtime.attempt import Attempt
from jobpipe.runtime.executors.child import Child
from jobpipe.runtime.executors.frames import Ended, Hello
from jobpipe.runtime.options import ChildOptions
from jobpipe.tasks.limits import Limits
from jobpipe.tasks.task import AsyncTask

IDLE_MAX = 2
"""How many idle children are kept for however long."""

IDLE_SECONDS = 60.0
"""How long the others are kept."""


class Processes:
    """The children of one worker."""

    def __init__(self, options: ChildOptions) -> None:
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._idle: list[Child] = []
        """The one used last stands last."""
        self._children: set[Child] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._closing = False
        self._retiring: asyncio.TimerHandle | None = None

    async def run(self, attempt: Attempt, begin: Callable[[Attempt], None]) -> Finish | None:
        """Return the outcome, None when the job is to be given back; raises ProcessDied.

        ``begin`` is called when the child is ready. Cancelled, it ends the attempt and returns
        or raises what came of that; once closed, it leaves at once.
        """
        is_suspect = attempt.claimed.suspect
        child = self._take(attempt.callee.task.spec.limits, is_suspect)
        await self._started(child, is_suspect)
        begin(attempt)
        running = asyncio.create_task(child.run(attempt, self._pulse(attempt)))
        is_reusable = False
        try:
            was_interrupted = await self._until_done(running, child, attempt)
            ended = running.result()
            is_reusable = not (was_interrupted or ended.worn or is_suspect)
            return _checked(ended, attempt.claimed)
        finally:
            self._release(child, is_reusable)

    def _pulse(self, attempt: Attempt) -> float | None:
        """A function may hold the interpreter as long as it likes, unless it is under suspicion."""
        is_watched = attempt.claimed.suspect or isinstance(attempt.callee.task, AsyncTask)
        return self._options.pulse_seconds if is_watched else None

    def close(self) -> None:
        """End all children: busy ones at once, idle ones after their tear-down."""
        self._closing = True
        if self._retiring is not None:
            self._retiring.cancel()
        for child in self._children.difference(self._idle):
            child.group.kill()
        while self._idle:
            self._end(self._idle.pop())

    async def closed(self) -> None:
        """Wait until no child is left."""
        starting = [child.starting for child in self._children]
        if starting:
            await asyncio.wait(starting)
        while self._ending:
            await asyncio.wait(self._ending)

    def _take(self, limits: Limits | None, is_suspect: bool) -> Child:
        """Return an idle child with these limits, or a new one."""
        fitting = () if is_suspect else reversed(self._idle)
        for child in fitting:
            if child.limits == limits and child.is_alive:
                self._idle.remove(child)
                return child
        if self._idle and len(self._children) >= self._options.most:
            self._end(self._idle.pop(0))
        child = Child(
            self._hello,
            limits,
            environment=self._options.environment(is_suspect),
            max_payload=self._options.max_payload,
        )
        self._children.add(child)
        return child

    @property
    def _hello(self) -> Hello:
        return self._options.hello()

    async def _started(self, child: Child, is_suspect: bool) -> None:
        """Wait until the child is ready; if nobody waits any more, it serves the next attempt."""
        starting = child.starting
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(
                lambda done: self._release(child, not is_suspect and _went_well(done))
            )
            raise
        except BaseException:
            self._release(child, False)
            raise

    async def _until_done(
        self, running: asyncio.Task[Ended], child: Child, attempt: Attempt
    ) -> bool:
        """Wait for the attempt's end; a cancel brings it about. Tell whether there was one."""
        interrupting: asyncio.Task[None] | None = None
        while not running.done():
            try:
                await asyncio.wait([running])
            except asyncio.CancelledError:
                if self._closing:
                    running.cancel()
                    raise
                if interrupting is None:
                    why = attempt.why_stopped or "stop"
                    interrupting = asyncio.create_task(child.interrupt(why))
        return interrupting is not None

    def _release(self, child: Child, is_reusable: bool) -> None:
        if is_reusable and child.is_alive and not self._closing:
            child.idle_since = time.monotonic()
            self._idle.append(child)
            if self._retiring is None and len(self._idle) > IDLE_MAX:
                self._retiring = self._loop.call_later(IDLE_SECONDS, self._retire)
        else:
            child.group.kill()
            self._end(child)

    def _retire(self) -> None:
        """End idle children that were not needed for long."""
        self._retiring = None
        spare = self._idle[: max(0, len(self._idle) - IDLE_MAX)]
        for child in spare:
            if time.monotonic() - child.idle_since >= IDLE_SECONDS:
                self._idle.remove(child)
                self._end(child)
        if len(self._idle) > IDLE_MAX:
            self._retiring = self._loop.call_later(IDLE_SECONDS / 4, self._retire)

    def _end(self, child: Child) -> None:
        self._children.discard(child)
        ending = asyncio.create_task(child.end())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)


def _went_well(done: asyncio.Task[None]) -> bool:
    return not done.cancelled() and done.exception() is None


def _checked(ended: Ended, claimed: Claimed) -> Finish | None:
    """Return the outcome as this attempt's, whatever the child has written into it.

    Also that it stands in the store already is for the store to say.
    """
    if ended.finish is None:
        return None
    now = time.monotonic_ns()
    return msgspec.structs.replace(
        ended.finish, id=claimed.id, token=claimed.token, ended_at_ns=now, stored=False
    )
