"""Runs a worker inside somebody else's program: in a thread, on their loop, or as the program.

Only as the program of ``jobpipe worker`` it has a supervisor: when another program dies, its lease
alone tells the others.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from types import FrameType
from typing import Protocol

from jobpipe.runtime.steady_loop import SteadyLoop
from jobpipe.runtime.supervisor.messages import EXHAUSTED
from jobpipe.runtime.worker import Worker

FAILED = 1
"""Exit code of a worker whose loop was stopped by a task."""

MakeWorker = Callable[[], Worker]
"""Makes the worker on the loop that it will run on."""


class InThread:
    """A worker on a thread and a loop of its own, for as long as the ``with`` block lasts."""

    def __init__(self, make: MakeWorker) -> None:
        self._make = make
        self._begun = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Worker | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="jobpipe-worker", daemon=True)

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop_soon()
        self.join()

    def start(self) -> None:
        """Return when the worker works; raises what kept it from it."""
        self._thread.start()
        self._begun.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error

    def stop_soon(self) -> None:
        """Tell it to stop in good order; told again, it stops at once."""
        if self._loop is not None and self._worker is not None and self._thread.is_alive():
            with suppress(RuntimeError):  # it has just ended by itself and closed its loop
                self._loop.call_soon_threadsafe(self._worker.stop)

    def join(self) -> None:
        """Wait for the worker's end; raises what ended it, if it was an error."""
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # handed to whoever waits
            self._error = error
        finally:
            self._begun.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._worker = self._make()
        running = asyncio.ensure_future(self._worker.run())
        await _begun(self._worker, running)
        if not running.done():
            self._begun.set()
        await running


async def _begun(worker: Worker, running: asyncio.Task[None]) -> None:
    """Wait until the worker works, or has ended."""
    ready = asyncio.ensure_future(worker.ready.wait())
    try:
        await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
    finally:
        ready.cancel()


def in_thread(make: MakeWorker) -> InThread:
    """Return a worker that runs in a thread for as long as its ``with`` block lasts."""
    return InThread(make)


@asynccontextmanager
async def on_loop(
    make: MakeWorker, prepare: Callable[[], Awaitable[object]]
) -> AsyncIterator[None]:
    """Run a worker on the running loop for as long as the block lasts."""
    await prepare()
    worker = make()
    running = asyncio.ensure_future(worker.run())
    try:
        await _begun(worker, running)
        if running.done():
            running.result()
        yield
    finally:
        worker.stop()
        await running


def to_the_end(make: MakeWorker) -> None:
    """Run a worker (a burst) in a thread and wait for its end."""
    thread = InThread(make)
    thread.start()
    thread.join()


class Listener(Protocol):
    """Tells the worker of this program what its supervisor says."""

    def attach(self, worker: Worker) -> None: ...

    def detach(self) -> None: ...


def as_program(make: MakeWorker, listener: Listener | None = None) -> int:
    """Run a worker as the whole program until a signal stops it; returns the exit code.

    SIGTERM or SIGINT stops in good order (0), a second one at once (128 + its number).
    """
    gc.freeze()  # what is loaded by now stays: the collector need not look at it again and again
    with asyncio.Runner(loop_factory=SteadyLoop) as runner:
        main = runner.get_loop().create_task(_program(make, listener))
        try:
            return runner.get_loop().run_until_complete(main)
        finally:
            if not main.done():
                # A task stopped the loop. Whatever would be tidied up now hides which one it was.
                traceback.print_exc()
                os._exit(FAILED)


async def _program(make: MakeWorker, listener: Listener | None) -> int:
    worker = make()
    received: list[int] = []
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        received.append(number)
        worker.stop()
        if len(received) == 2:
            # Whatever a thread still does, the program ends; what it held is given back first.
            signal.signal(signal.SIGALRM, _leave_with(number))
            signal.setitimer(signal.ITIMER_REAL, 2.0)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    if listener is not None:
        listener.attach(worker)
    await worker.run()
    if listener is not None:
        listener.detach()
    if len(received) > 1:
        os._exit(128 + received[1])
    return EXHAUSTED if worker.exhausted else 0


def _leave_with(number: int) -> Callable[[int, FrameType | None], None]:
    def leave(_number: int, _frame: FrameType | None) -> None:
        os._exit(128 + number)

    return leave
