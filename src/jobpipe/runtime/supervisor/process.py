"""One worker process as its supervisor sees it: welcomed, watched, and reaped when it has died.

It stands in a process group of its own, so that Ctrl-C on a terminal reaches the supervisor alone;
what a violent death leaves of that group is killed with it.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from jobpipe.runtime.supervisor.burial import Remains
from jobpipe.runtime.supervisor.launch import Launched, kill_group
from jobpipe.runtime.supervisor.link import Link
from jobpipe.runtime.supervisor.messages import (
    Facts,
    FromChild,
    Hello,
    Quiet,
    Retire,
    Stop,
    Welcome,
)

COUNT_STEP_SECONDS = 1.0
"""Most seconds of silence that one look may count: time in which we did not look is no silence."""

DUMP_SECONDS = 10.0
"""A dump so shortly before a death tells of the death."""

TOLD_CODES = (2, 75)
"""What the command ends with after a line of its own: wrong use, and a store that is away."""


@dataclass(frozen=True, slots=True)
class Death:
    """How a process ended."""

    code: int
    """The exit code, or the negative number of the signal that killed it."""
    peak_bytes: int

    @property
    def exit_code(self) -> int:
        """Return the code as a shell shows it."""
        return self.code if self.code >= 0 else 128 - self.code

    @property
    def has_told(self) -> bool:
        """Whether one that had not begun has written why: a wrong setting, or no store."""
        return self.code in TOLD_CODES

    @property
    def cause(self) -> str:
        """Return what ended it, in words."""
        if self.code >= 0:
            return f"exited with code {self.code}"
        try:
            name = f" ({signal.Signals(-self.code).name})"
        except ValueError:
            name = ""
        return f"killed by signal {-self.code}{name}"


class ChildProcess:
    """A worker process; ``hear`` receives what it says, on the loop."""

    def __init__(
        self, launched: Launched, welcome: Welcome, hear: Callable[[ChildProcess, FromChild], None]
    ) -> None:
        """Welcome it."""
        self.name = welcome.name
        self.began = time.monotonic()
        self.ready_at: float | None = None
        self.hello: Hello | None = None
        self.incarnations: list[int] = []
        """Ids of the rows it has worked as and not ended in good order."""
        self.killed_for: str | None = None
        """Why the supervisor killed it."""
        self.blameless = False
        """It is killed for the supervisor's own reasons: what ran is not charged."""
        self._dump = ""
        self._dumped_at = 0.0
        self._silent = 0.0
        self._pulse = 0
        self._looked = self.began
        self.page, self._popen = launched.page, launched.popen
        self.pid = self._popen.pid
        decoder = msgspec.json.Decoder(FromChild)
        self._link = Link(launched.link, decoder, lambda message: hear(self, message), lambda: None)
        self._link.send(welcome)

    @property
    def is_ready(self) -> bool:
        return self.ready_at is not None and self._popen.returncode is None

    @property
    def is_working(self) -> bool:
        """It has a lease, or needs none; without one it waits for the store to come back."""
        needs_none = self.hello is not None and not self.hello.facts.is_shared
        return self.is_ready and (bool(self.incarnations) or needs_none)

    def send(self, message: msgspec.Struct) -> None:
        self._link.send(message)

    def stop(self) -> None:
        """Ask it to stop in good order; asked again, at once."""
        if self.hello is None:
            self.signal(signal.SIGTERM)
        else:
            self.send(Stop())

    def retire(self) -> None:
        self.send(Retire())

    def quiet(self, on: bool) -> None:
        self.send(Quiet(on))

    def signal(self, number: signal.Signals) -> None:
        if self._popen.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self, why: str | None, *, blameless: bool = False) -> None:
        """Kill it and its process group."""
        self.killed_for = self.killed_for or why
        self.blameless = self.blameless or blameless
        if self._popen.returncode is None:
            kill_group(self.pid)

    def reap(self) -> Death | None:
        """Return how it died; None when it lives (or was reaped before)."""
        if self._popen.returncode is not None:
            return None
        waitid = getattr(os, "waitid", None)
        if waitid is not None:  # while it is not reaped, its number belongs to no other group
            info = waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if info is None:
                return None
            if info.si_code != os.CLD_EXITED or info.si_status != 0:
                kill_group(self.pid)
        pid, status, usage = os.wait4(self.pid, os.WNOHANG)
        if pid == 0:
            return None
        self._popen.returncode = os.waitstatus_to_exitcode(status)
        self._link.read()
        self.look_at_dump()
        return Death(self._popen.returncode, _peak_bytes(usage))

    def remains(self, death: Death, facts: Facts) -> Remains:
        """Return what is known of it after its death; not after ``close``."""
        return Remains(
            workers=self.incarnations,
            started=self.page.running(),
            ended=self.page.ended(),
            died_ns=time.monotonic_ns(),
            cause=self.killed_for or death.cause,
            peak_bytes=death.peak_bytes,
            dump=self.last_dump(),
            blameless=self.blameless,
            facts=facts,
        )

    def close(self) -> None:
        """Free what belonged to a process that was reaped."""
        self._link.close()
        self.page.close()

    def silent_seconds(self) -> float:
        """Return how long we have watched its pulse stand still."""
        now, pulse = time.monotonic(), self.page.pulse
        if pulse != self._pulse:
            self._silent = 0.0
        else:
            self._silent += min(now - self._looked, COUNT_STEP_SECONDS)
        self._pulse, self._looked = pulse, now
        return self._silent

    def memory_bytes(self) -> int:
        """Return how much memory it holds now; 0 where that cannot be read."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * resource.getpagesize()

    def look_at_dump(self) -> str:
        """Return what it has dumped since the last look, and keep it."""
        fresh = self.page.new_dump()
        if fresh:
            self._dump, self._dumped_at = fresh, time.monotonic()
        return fresh

    def last_dump(self) -> str:
        """Return the stacks that it dumped shortly before now, if it did."""
        return self._dump if time.monotonic() - self._dumped_at < DUMP_SECONDS else ""

    async def dumped(self, seconds: float) -> str:
        """Ask for its stacks and wait for them."""
        self.signal(signal.SIGUSR1)
        deadline = time.monotonic() + seconds
        text = ""
        while time.monotonic() < deadline:
            await asyncio.sleep(0.05)
            if self._popen.returncode is not None:  # its page is closed
                break
            fresh = self.look_at_dump()
            if text and not fresh:
                break
            text += fresh
        self._dump = text or self._dump
        return text


def _peak_bytes(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def show_stacks(text: str) -> None:
    """Write dumped stacks, if there are any, where people look for trouble."""
    if text and sys.stderr is not None:
        with suppress(OSError):  # nobody reads it any more
            sys.stderr.write(text)
            sys.stderr.flush()
