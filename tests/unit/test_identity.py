"""Whether another process on this host is dead."""

from __future__ import annotations

import os
import subprocess

from jobpipe.runtime import identity


def test_who_has_ended_is_dead_though_nobody_has_asked_how() -> None:
    process = subprocess.Popen(["sleep", "60"])
    started = identity.pid_started(process.pid)
    assert started
    assert not identity.is_dead(process.pid, started)
    assert identity.is_dead(process.pid, "1")  # another one had that pid before
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and still has its pid
    assert identity.pid_started(process.pid) == started
    assert identity.is_dead(process.pid, started)
    process.wait()
    assert identity.is_dead(process.pid, started)


def test_we_are_alive() -> None:
    assert not identity.is_dead(os.getpid(), identity.pid_started(os.getpid()))
