"""A child process at work: one attempt after the other, each from its claim to its outcome.

Functions run on the main thread, coroutines on an event loop beside it; all else is done as in
the worker itself. What goes wrong with the socket ends the process: its worker sees that.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from typing import Protocol

from jobpipe.model.job import Finish
from jobpipe.model.report import Checkpoint, LogLine, Progress
from jobpipe.policy.retry import RetryDelays
from jobpipe.runtime.attempt import Attempt, Judge
from jobpipe.runtime.calling import Caller
from jobpipe.runtime.context import RunningJob, set_only_job
from jobpipe.runtime.executors import confine
from jobpipe.runtime.executors.frames import (
    READ_MAX,
    Beat,
    Decided,
    Ended,
    Frames,
    Hello,
    Owing,
    Ready,
    Run,
    Said,
    Stop,
    ToWorker,
    Written,
    encode,
    to_child,
)
from jobpipe.runtime.executors.main_thread import MainThread
from jobpipe.runtime.executors.wear import Wear
from jobpipe.runtime.lifespan import Lifespans
from jobpipe.runtime.listening import listening
from jobpipe.runtime.runner import Runner
from jobpipe.runtime.speech import SpeechOptions
from jobpipe.runtime.transaction import Transactions
from jobpipe.tasks.registry import Registry

BEAT_SECONDS = 0.2
"""How often a child tells during an attempt that its event loop is alive."""

CUT_OFF = 70
"""Exit code of a child that cannot talk to its worker any more."""


class Program(Protocol):
    """The application that a child has become."""

    registry: Registry
    retry_delays: RetryDelays
    max_payload: int
    speech: SpeechOptions
    transactions: Transactions

    def bring(self, task: str) -> None:
        """Import the module that declares the task, if it has not been yet."""


class Serving:
    """Serves one worker over a socket; it is also the voice of the jobs that run here."""

    def __init__(self, channel: socket.socket, load: Callable[[Hello], Program]) -> None:
        self._channel = channel
        self._load = load
        self._send_lock = threading.Lock()
        self._main = MainThread(self._hear_term)
        self._frames = Frames(2**32)
        self._program: Program
        self._hello: Hello
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event
        self._judge: Judge
        self._runner: Runner
        self._wear: Wear
        self._attempt: Attempt | None = None
        self._task: asyncio.Task[None] | None = None
        self._owed: Future[None] = Future()

    def run(self) -> None:
        """Work (on the main thread) until the worker ends it."""
        self._hello = hello = self._read_hello()
        confine.die_with(hello.parent)
        confine.adopt_orphans()
        confine.dump_no_core()
        confine.limit(hello.memory_bytes, hello.open_files)
        # A copy, so that a job which closes or replaces stderr is found out nevertheless.
        stacks = os.dup(2)
        faulthandler.enable(stacks)
        faulthandler.register(signal.SIGUSR1, stacks)
        self._main.listen()
        try:
            self._program = self._load(hello)
            self._streams = sys.stdout, sys.stderr
        except (Exception, SystemExit) as error:
            self._send(Ready(f"{type(error).__name__}: {error}"))
            return
        threading.Thread(target=self._loop_thread, name="jobpipe-loop", daemon=True).start()
        self._main.serve()

    # What running jobs say

    def line(self, line: LogLine) -> None:
        """Pass on a line of the job's log."""
        self._send(Said(line=line))

    def progress(self, progress: Progress) -> None:
        """Pass on how far the job is."""
        self._send(Said(progress=progress))

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Pass on where the next attempt can go on."""
        self._send(Said(checkpoint=checkpoint))

    def written(self, job_id: int, token: int) -> Future[None]:
        """Ask the worker to tell when all that was said is written."""
        del job_id, token  # it is the one that runs here
        self._owed = Future()
        self._send(Owing())
        return self._owed

    # The loop's thread

    def _loop_thread(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException:  # without its loop this process is of no use
            os._exit(CUT_OFF)
        self._main.close()

    async def _live(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        program = self._program
        rules = (program.registry, program.retry_delays, program.max_payload)
        self._judge = Judge(*rules, is_apart=True)
        lifespans = Lifespans(program.registry.hooks.lifespans)
        try:
            await lifespans.__aenter__()
        except Exception as error:
            self._send(Ready(str(error)))
            return
        hooks = program.registry.hooks
        caller = Caller(hooks, lifespans.values, threads=self._main)
        self._runner = Runner(self._judge, caller, lambda: self._send(Decided()))
        self._wear = Wear()
        listening.begin(prints=False)  # what is printed is read by the worker
        self._loop.add_reader(self._channel, self._readable)
        self._send(Ready())
        beating = asyncio.create_task(self._beat())
        await self._over.wait()
        beating.cancel()
        await lifespans.__aexit__(None, None, None)

    async def _beat(self) -> None:
        while True:
            if self._attempt is not None:
                self._send(Beat())
            await asyncio.sleep(BEAT_SECONDS)

    def _readable(self) -> None:
        try:
            data = self._channel.recv(READ_MAX, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if data:
            for frame in self._frames.feed(data):
                self._take(frame)
        elif self._attempt is not None:
            # The worker is gone: so is the attempt, and what it has forked.
            os.killpg(0, signal.SIGKILL)
        else:
            self._loop.remove_reader(self._channel)
            self._over.set()

    def _take(self, frame: bytes) -> None:
        match to_child.decode(frame):
            case Run(claimed):
                program = self._program
                job = RunningJob(claimed, self, program.speech, program.transactions)
                self._attempt = Attempt(claimed, job)
                self._task = asyncio.create_task(self._serve(self._attempt))
            case Stop(why) if self._attempt is not None:
                self._attempt.job.request_cancel()
                if not self._attempt.decided or why in ("stop", "lease"):
                    self._attempt.why_stopped = why
            case Written() if not self._owed.done():
                self._owed.set_result(None)
            case _:
                pass  # an attempt that has just ended is stopped no more

    async def _serve(self, attempt: Attempt) -> None:
        attempt.job.started_ns = time.monotonic_ns()
        set_only_job(attempt.job)
        sys.stdout, sys.stderr = self._streams
        confine.limit_cpu(self._hello.cpu_seconds)
        try:
            finish = await self._outcome(attempt)
        except BaseException:  # the machinery itself failed: the worker judges a death
            traceback.print_exc()
            os._exit(CUT_OFF)
        attempt.job.fall_silent()
        _flush()
        self._attempt = self._task = None
        self._send(Ended(finish, worn=self._is_worn(finish)))

    async def _outcome(self, attempt: Attempt) -> Finish | None:
        bring = self._program.bring
        await self._main.run(copy_context(), bring, (attempt.claimed.task,), {})
        unstarted = self._judge.prepare(attempt)
        if unstarted is not None:
            return unstarted
        return await self._runner.run(attempt, _begun)

    def _is_worn(self, finish: Finish | None) -> bool:
        short_of_memory = self._hello.memory_bytes is not None and bool(finish and finish.error)
        return short_of_memory or self._wear.is_worn()

    def _hear_term(self, is_interrupting: bool) -> None:
        """SIGTERM came; what the main thread does not run is a coroutine, or nothing."""
        attempt = self._attempt
        if attempt is None:
            return
        attempt.job.request_cancel()
        is_decided = attempt.decided and not attempt.is_stopping
        if not is_interrupting and not is_decided:
            self._loop.call_soon_threadsafe(self._interrupt)

    def _interrupt(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _read_hello(self) -> Hello:
        while data := self._channel.recv(READ_MAX):
            for frame in self._frames.feed(data):
                hello = to_child.decode(frame)
                assert isinstance(hello, Hello)
                return hello
        sys.exit(0)

    def _send(self, message: ToWorker) -> None:
        data = encode(message)
        try:
            with self._main.undisturbed(), self._send_lock:
                self._channel.sendall(data)
        except OSError:
            os._exit(CUT_OFF)


def _begun(_attempt: Attempt) -> None:
    """It began with its process, and the worker keeps its time-out."""


def _flush() -> None:
    """Let everything that was printed, also by C code, be written before the job's end is told."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # a job may have replaced them by anything
            stream.flush()
    with suppress(Exception):
        ctypes.CDLL(None).fflush(None)
