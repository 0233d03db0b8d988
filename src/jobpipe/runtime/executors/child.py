"""One child process as its worker sees it: started, given attempts, interrupted, ended.

It is a program of its own (``jobpipe.child``), never a fork: nothing of the worker is in it but
what is sent to it. All that is left of its process group dies with it.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import ExitStack, closing, suppress

import msgspec

from jobpipe.errors import ProcessDied
from jobpipe.model.state import Reason
from jobpipe.runtime.attempt import Attempt
from jobpipe.runtime.executors.frames import (
    READ_MAX,
    Decided,
    Ended,
    Frames,
    Hello,
    Owing,
    Ready,
    Run,
    Said,
    Stop,
    ToChild,
    Written,
    encode,
    longest,
    to_worker,
)
from jobpipe.runtime.executors.group import TERM_GRACE_SECONDS, Exit, Group
from jobpipe.runtime.executors.output import Output
from jobpipe.tasks.limits import Limits

DUMP_SECONDS = 0.2
"""How long a child without a pulse may take to write its stacks before it is killed."""

START_SECONDS = 60.0
"""How long a child may take to import the application and set up what its tasks share."""

FAULT = "Fatal Python error:"
"""How the interpreter's own report of a crash begins."""

READS_AT_END_MAX = 64
"""Most reads of what a dead child has left in its socket: whoever inherited it may go on."""

NOTE_MAX = 4_000
"""Most characters of what a dead process wrote last that are kept with the error."""


class Child:
    """A child process; made on the worker's loop."""

    def __init__(
        self,
        hello: Hello,
        limits: Limits | None,
        *,
        environment: Mapping[str, str],
        max_payload: int,
    ) -> None:
        self.limits = limits
        self.idle_since = 0.0
        self._hello = _limited(hello, limits)
        self._loop = asyncio.get_running_loop()
        self._frames = Frames(longest(max_payload))
        self._attempt: Attempt | None = None
        self._heard = 0.0
        self._silent: float | None = None
        self._telling: set[asyncio.Future[None]] = set()
        self._ready: asyncio.Future[Ready] = self._loop.create_future()
        self._ended: asyncio.Future[Ended] = self._loop.create_future()
        with ExitStack() as undo:  # starting may fail for want of processes or descriptors
            self._out = undo.enter_context(closing(Output()))
            self._err = undo.enter_context(closing(Output()))
            ours, theirs = socket.socketpair()
            self._socket = undo.enter_context(ours)
            with theirs:
                self.group = Group(
                    [sys.executable, "-m", "jobpipe.child", str(theirs.fileno())],
                    environment=environment,
                    output=(self._out.write, self._err.write),
                    pass_fds=[theirs.fileno()],
                )
            undo.pop_all()
        self._out.close_write()
        self._err.close_write()
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._readable)
        self.group.ended.add_done_callback(self._gone)
        self.starting = asyncio.create_task(self._start())

    @property
    def is_alive(self) -> bool:
        return not self.group.ended.done()

    async def _start(self) -> None:
        """Wait until it can run attempts; raises ProcessDied."""
        await self._send(self._hello)
        ends = (self._ready, self.group.ended)
        await asyncio.wait(ends, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if self._ready.done():
            error = self._ready.result().error
            if error is None:
                return
            self.group.kill()
            raise ProcessDied(f"a process of its own could not be prepared for this job: {error}")
        if self.is_alive:
            self.group.kill()
            raise ProcessDied(
                f"a process of its own for this job was not ready after {START_SECONDS:g} s"
            )
        raise self._death()

    async def run(self, attempt: Attempt, pulse_seconds: float | None) -> Ended:
        """Run one attempt to its end; raises ProcessDied.

        A child from which nothing is heard for ``pulse_seconds`` is killed.
        """
        self._attempt = attempt
        self._heard = time.monotonic()
        self._ended = self._loop.create_future()
        speech = attempt.job.speech
        self._out.begin(lambda line: speech.line(logging.INFO, "stdout", line))
        self._err.begin(lambda line: speech.line(logging.INFO, "stderr", line))
        try:
            await self._send(Run(attempt.claimed))
            await self._until_over(pulse_seconds)
        finally:
            self._out.end()
            self._err.end()
            self._attempt = None
        if not self._ended.done():
            raise self._death()
        ended = self._ended.result()
        if ended.finish is not None and ended.finish.reason is Reason.UNKNOWN_TASK:
            raise ProcessDied(
                f"importing {self._hello.tasks.get(attempt.claimed.task)} in a process of its own"
                f" declares no task {attempt.claimed.task}: declare it at the top of a module"
            )
        return ended

    async def _until_over(self, pulse_seconds: float | None) -> None:
        ends = (self._ended, self.group.ended)
        left = pulse_seconds
        while left is None or left > 0:
            done, _ = await asyncio.wait(ends, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if done or pulse_seconds is None:
                return
            left = self._heard + pulse_seconds - time.monotonic()
        self._silent = pulse_seconds
        self.group.signal(signal.SIGUSR1)
        await asyncio.wait([self.group.ended], timeout=DUMP_SECONDS)
        self.group.kill()
        await asyncio.wait([self.group.ended])

    async def interrupt(self, why: str) -> None:
        """Ask the running attempt to end, and end the process if it does not."""
        with suppress(OSError):
            await self._send(Stop(why))
        self.group.signal(signal.SIGTERM)
        ends = (self._ended, self.group.ended)
        grace = TERM_GRACE_SECONDS
        await asyncio.wait(ends, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        self.group.kill()

    async def end(self) -> None:
        """Let an idle child tear down what its tasks share, then see to it that it ends."""
        self.close()
        await asyncio.wait([self.group.ended], timeout=TERM_GRACE_SECONDS)
        self.group.kill()
        await asyncio.wait([self.group.ended])

    def close(self) -> None:
        """Cut the connection, which ends an idle child; twice is fine."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    async def _send(self, message: ToChild) -> None:
        with suppress(OSError):  # it has died: its end is seen elsewhere
            await self._loop.sock_sendall(self._socket, encode(message))

    def _readable(self) -> bool:
        """Take what has arrived; tell whether there may be more."""
        try:
            data = self._socket.recv(READ_MAX)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            # It may have closed the socket and live on, but nothing of that could be told.
            self.close()
            self.group.kill()
            return False
        try:
            for frame in self._frames.feed(data):
                self._take(frame)
        except ValueError:
            self.group.kill()  # a job's own code has written to the socket
        return True

    def _take(self, frame: bytes) -> None:
        self._heard = time.monotonic()
        match to_worker.decode(frame):
            case Ready() as ready if not self._ready.done():
                self._ready.set_result(ready)
            case Said() as said if self._attempt is not None:
                self._attempt.job.speech.relay(said.line, said.progress, said.checkpoint)
            case Owing() if self._attempt is not None:
                self._attempt.job.speech.written().add_done_callback(self._tell_written)
            case Decided() if self._attempt is not None:
                self._attempt.decided = True
            case Ended() as ended if self._attempt is not None and not self._ended.done():
                self._ended.set_result(ended)
            case _:
                pass  # said too late: that attempt is over

    def _tell_written(self, _done: Future[None]) -> None:
        """On the loop already, where the reporter writes."""
        telling = asyncio.ensure_future(self._send(Written()))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    def _gone(self, _end: asyncio.Future[Exit]) -> None:
        """What it has still sent counts; what left its group may hold the other end open."""
        for _ in range(READS_AT_END_MAX):
            if self._socket.fileno() < 0 or not self._readable():
                break
        self.close()
        self._out.close_when_read()
        self._err.close_when_read()

    def _death(self) -> ProcessDied:
        end = self.group.ended.result()
        how = str(end)
        if self._silent is not None:
            how = f"no pulse for {self._silent:g} s"
        elif end.code == 0:
            how += " before the job had ended"
        died = ProcessDied(f"the process of this job died: {how}")
        words = self._err.tail
        begin = words.rfind(FAULT)
        words = words[begin:][:NOTE_MAX] if begin >= 0 else words[-NOTE_MAX:]
        if words.strip():
            died.add_note(f"\nIt wrote last:\n{words}")
        return died


def _limited(hello: Hello, limits: Limits | None) -> Hello:
    if limits is None:
        return hello
    return msgspec.structs.replace(
        hello,
        memory_bytes=limits.memory_bytes,
        cpu_seconds=limits.cpu_seconds,
        open_files=limits.open_files,
    )
