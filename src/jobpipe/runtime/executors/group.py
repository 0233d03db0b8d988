"""A program in a process group of its own: started, signalled, ended with all that it forked.

Whatever is left of the group is killed when its first process has ended, while that one's id is
still taken; so no signal ever reaches a stranger.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

TERM_GRACE_SECONDS = 2.0
"""How long a group may take to end after SIGTERM, before SIGKILL."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a program ended."""

    code: int | None
    """As in ``subprocess``, -n for signal n; None when something else took the exit code."""
    peak_mb: int | None = None
    """The most memory that it held, where that is known."""

    def __str__(self) -> str:
        if self.code is None:
            how = "its exit code is unknown"
        elif self.code < 0:
            how = f"killed by signal {-self.code} ({_name(-self.code)})"
        else:
            how = f"exited with code {self.code}"
        return how if self.peak_mb is None else f"{how}; it held up to {self.peak_mb} MB of memory"


class Group:
    """One program; made on the event loop that waits for its end."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        output: tuple[int, int],
        stdin: int = subprocess.DEVNULL,
        pass_fds: Sequence[int] = (),
        cwd: str | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._gate = threading.Lock()
        self._is_reaped = False
        self.ended: asyncio.Future[Exit] = self._loop.create_future()
        """Wait for it by ``asyncio.wait``, which does not cancel it."""
        self._process = subprocess.Popen(  # noqa: S603  # the arguments never pass a shell
            arguments,
            env=dict(environment),
            stdin=stdin,
            stdout=output[0],
            stderr=output[1],
            pass_fds=pass_fds,
            cwd=cwd,
            start_new_session=True,
        )
        self.pid = self._process.pid
        threading.Thread(target=self._reap, name=f"jobpipe-reaper-{self.pid}", daemon=True).start()

    def signal(self, number: int) -> None:
        """Send a signal to the whole group; a group that has ended is fine."""
        with self._gate:
            if not self._is_reaped:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, number)

    def kill(self) -> None:
        """End the group at once."""
        self.signal(signal.SIGKILL)

    async def end(self) -> Exit:
        """Ask the group to end, kill it after the grace, and return how it ended."""
        self.signal(signal.SIGTERM)
        await asyncio.wait([self.ended], timeout=TERM_GRACE_SECONDS)
        self.kill()
        await asyncio.wait([self.ended])
        return self.ended.result()

    def _reap(self) -> None:
        """Wait for the end (in a thread), kill what was forked, then free the process id."""
        peak_before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
            self.kill()
            with self._gate:
                self._is_reaped = True
                _, status, usage = os.wait4(self.pid, 0)
        except ChildProcessError:  # somebody else waits for any child of this program
            self._is_reaped, code, peak = True, None, 0
        else:
            code, peak = os.waitstatus_to_exitcode(status), usage.ru_maxrss
        # A program begins as a copy of its parent, whose own peak is then counted as its.
        end = Exit(code, peak // 1024 if peak > peak_before else None)
        self._process.returncode = 0 if code is None else code
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._set_ended, end)

    def _set_ended(self, end: Exit) -> None:
        if not self.ended.done():
            self.ended.set_result(end)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
