"""What a service does for programs elsewhere that run jobs: it hands them out, and hears of them.

All of it is awaited, and jobs are handed out only within ``tending()``.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from jobpipe.app import claims
from jobpipe.errors import ConfigError, LeaseLost, StoreUnavailable
from jobpipe.model.signals import Cancel, Fail, Retry, Snooze
from jobpipe.model.worker import NewWorker
from jobpipe.runtime.options import WorkerOptions
from jobpipe.store.ops import hand_out as ops
from jobpipe.store.ops import read
from jobpipe.store.ops.hand_out import LogBounds
from jobpipe.store.port import Operation
from jobpipe.tasks.options import micros
from jobpipe.tasks.registry import Registry
from jobpipe.verbs.store import OwnStore

if TYPE_CHECKING:
    from jobpipe.runtime.caretaker import Caretaker
    from jobpipe.runtime.handout import Handout
    from jobpipe.runtime.referee import Referee, Report

I = TypeVar("I", bound=claims.Item)  # noqa: E741
T = TypeVar("T")

WISH = "claims by programs elsewhere"


class Claims(OwnStore):
    """The verbs behind ``/api/v1/claims``."""

    _handout: Handout | None = None
    _caretaker: Caretaker | None = None

    @asynccontextmanager
    async def tending(self) -> AsyncIterator[None]:
        """Keep the store in order and hand out jobs, on this loop, for as long as the block lasts.

        Whoever serves without a worker needs it: else no job is promoted, and nothing that a dead
        worker held is taken back.
        """
        from jobpipe.policy.ageing import Ageing
        from jobpipe.runtime.caretaker import Caretaker
        from jobpipe.runtime.handout import Handout
        from jobpipe.runtime.telling import Telling
        from jobpipe.runtime.unparker import Unparkers

        backend = await self._access.store(WISH).aopened()
        kit = backend.worker_kit(Registry(), self.hub)
        options = self._caretaker_options()
        unparkers = Unparkers(kit.store, self.hub.ring)
        telling, poll_seconds = Telling(self.hub), options.poll_seconds
        ageing = Ageing(options.ageing_seconds)
        handout = Handout(kit.store, self._referee(), unparkers, telling, poll_seconds, ageing)
        caretaker = Caretaker(kit, options, handout)
        running = asyncio.create_task(caretaker.run())
        ready = asyncio.create_task(caretaker.ready.wait())
        try:
            await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            self._handout, self._caretaker = handout, caretaker
            yield
        finally:
            self._handout = self._caretaker = None
            ready.cancel()
            caretaker.stop()
            await running

    @property
    def is_neglected(self) -> bool:
        """Tell whether ``tending()`` does not do its work now, and tries to begin anew."""
        return self._caretaker is not None and not self._caretaker.is_at_work

    async def aclaim(self, wanted: claims.NewClaim, caller: str = "") -> claims.ClaimView:
        """Hand out jobs, waiting for the first one as long as it says.

        The claim belongs to the caller: under another name the verbs below raise LeaseLost.
        Raises InvalidArguments; ConfigError outside of ``tending()``.
        """
        from jobpipe.runtime.handout import Wish
        from jobpipe.runtime.lanes import LaneChoice

        if self._handout is None:
            raise ConfigError(
                "jobs are handed out by a service", help="Use `async with jp.tending()`."
            )
        queues = claims.queues_of(wanted)
        worker = NewWorker(
            name=claims.worker_of(wanted),
            host=caller,
            pid=0,
            pid_started="",
            slots=0,
            queues=claims.queue_names(queues),
        )
        lease_us = round((wanted.lease_seconds or self.settings.lease_seconds) * 1e6)
        tasks = claims.tasks_of(wanted)
        names = claims.names_known(tasks, self.registry)
        known = None if tasks is None else frozenset(names)
        wish = Wish(worker, lease_us, LaneChoice(queues), wanted.slots, known)
        if not await self._handout.grant(wish, wanted.wait_seconds) or wish.claim is None:
            return claims.NOTHING
        return claims.claim_view(wish.claim, lease_us, wish.lease_until, wish.jobs, names)

    async def aclaim_give_back(self, given: claims.ClaimView, caller: str = "") -> None:
        """Queue the jobs of a claim again, of which nobody heard; what has ended stays so."""
        if self._handout is not None and given.claim is not None:
            with suppress(StoreUnavailable, LeaseLost):  # then the lease ends by itself
                await self._handout.give_back(given.claim, caller, len(given.jobs))

    async def aclaim_heartbeat(self, claim: int, caller: str = "") -> claims.HeartbeatView:
        """Renew the lease of a claim; raises LeaseLost when it has ended."""
        return claims.heartbeat_view(await self._arun(ops.keep_claim(claim, caller)))

    async def aclaim_finish(
        self, claim: int, said: claims.FinishedJobs, caller: str = ""
    ) -> claims.VerdictsView:
        """Record that jobs went well; raises LeaseLost when the claim has ended."""
        return await self._settle(claim, caller, said.jobs, _finished)

    async def aclaim_fail(
        self, claim: int, said: claims.FailedJobs, caller: str = ""
    ) -> claims.VerdictsView:
        """Record that jobs went wrong; raises LeaseLost when the claim has ended."""
        return await self._settle(claim, caller, said.jobs, _failed)

    async def aclaim_snooze(
        self, claim: int, said: claims.SnoozedJobs, caller: str = ""
    ) -> claims.VerdictsView:
        """Put jobs off, uncharged; raises LeaseLost when the claim has ended."""
        return await self._settle(claim, caller, said.jobs, _snoozed)

    async def aclaim_log(
        self, claim: int, said: claims.Lines, caller: str = ""
    ) -> claims.VerdictsView:
        """Add lines to the logs of running jobs; raises LeaseLost when the claim has ended."""
        from jobpipe.runtime import hearsay

        is_dated = any(item.at is not None for item in said.lines)
        now_us = await self._arun(read.ping()) if is_dated else 0
        lines = [
            hearsay.line(
                item.key,
                item.level,
                item.logger,
                item.message,
                item.fields,
                0 if item.at is None else now_us - micros(item.at),
            )
            for item in said.lines
        ]
        settings = self.settings
        level = hearsay.level_number(settings.job_log_level)
        bounds = LogBounds(level, settings.job_log_lines, settings.job_log_bytes)
        writing = ops.hear_lines(claim, caller, lines, bounds, time.monotonic_ns())
        return claims.heard_view(said.lines, await self._arun(writing))

    async def aclaim_progress(
        self, claim: int, said: claims.Progresses, caller: str = ""
    ) -> claims.VerdictsView:
        """Note how far running jobs are; raises LeaseLost when the claim has ended."""
        from jobpipe.runtime import hearsay

        words = [hearsay.progress(item.key, item.done, item.total, item.note) for item in said.jobs]
        return claims.heard_view(
            said.jobs, await self._arun(ops.hear_progress(claim, caller, words))
        )

    async def _settle(
        self, claim: int, caller: str, items: Sequence[I], report: Callable[[I], Report]
    ) -> claims.VerdictsView:
        from jobpipe.runtime.settler import Settler

        claims.check_once(items)
        settler = Settler(self._arun, self._referee(), self.hub, claim, caller)
        settled = await settler.settle([report(item) for item in items])
        return claims.settled_view(items, settled)

    async def _arun(self, operation: Operation[T]) -> T:
        return await self._access.store(WISH).arun(operation)

    def _referee(self) -> Referee:
        from jobpipe.runtime.referee import Referee

        return Referee(self.registry, self.settings.retry_delays, self.settings.max_payload)

    def _caretaker_options(self) -> WorkerOptions:
        settings = self.settings
        return WorkerOptions(
            name=f"service-{socket.gethostname()}-{os.getpid()}",
            queues=(),
            concurrency=0,
            poll_seconds=settings.poll_seconds,
            ageing_seconds=settings.ageing_seconds,
            lease_seconds=settings.lease_seconds,
            pulse_seconds=settings.pulse_seconds,
            shutdown_seconds=settings.shutdown_seconds,
            retention=settings.retention,
            retry_delays=settings.retry_delays,
            max_payload=settings.max_payload,
        )


STOPPED = "stopped after a cancel request"


def _finished(item: claims.FinishedItem) -> Report:
    from jobpipe.runtime.referee import Report

    signal = Cancel(STOPPED) if item.cancelled else None
    return Report(id=item.job, token=item.token, result=item.result, signal=signal)


def _failed(item: claims.FailedItem) -> Report:
    from jobpipe.runtime.referee import Failure, Report

    signal: Cancel | Fail | Retry
    if item.cancelled:
        signal = Cancel(STOPPED)
    elif not item.retry:
        signal = Fail()
    else:
        signal = Retry(after=item.retry_after_seconds, slow_key=item.slow_key)
    failure = Failure(item.error.type, item.error.message, item.error.traceback)
    return Report(id=item.job, token=item.token, signal=signal, failure=failure)


def _snoozed(item: claims.SnoozedItem) -> Report:
    from jobpipe.runtime.referee import Report

    return Report(id=item.job, token=item.token, signal=Snooze(item.seconds))
