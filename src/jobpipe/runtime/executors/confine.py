"""Confines this process before it runs code of others: its parent's death, limits, no core dump.

Run as a program it confines itself and becomes the program named by its arguments; it needs
nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import sys

_SET_PDEATHSIG, _SET_CHILD_SUBREAPER = 1, 36

CANNOT_RUN = 126
"""Exit code when the program could not be started."""


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies (on Linux); at once if it has."""
    _prctl(_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of what is left behind by processes below this one (on Linux)."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def dump_no_core() -> None:
    """A crash leaves no image of the memory, which may hold secrets, on the disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit(memory_bytes: int | None, open_files: int | None) -> None:
    """Bound the address space and the descriptors of this process for good."""
    if memory_bytes is not None:
        _lower(resource.RLIMIT_AS, memory_bytes)
    if open_files is not None:
        _lower(resource.RLIMIT_NOFILE, open_files)


def limit_cpu(seconds: float | None) -> None:
    """Allow so much processor time from now on; beyond it comes SIGXCPU, which kills."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if seconds is None:
        soft = hard
    else:
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = math.ceil(used.ru_utime + used.ru_stime + seconds)
        soft = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (bound, bound))


def _prctl(option: int, argument: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, ctypes.c_ulong(argument), 0, 0, 0)


def become(arguments: list[str]) -> None:
    """Confine this process and replace it: parent, three limits (0: none), program, arguments."""
    parent, memory, cpu, files = arguments[:4]
    die_with(int(parent))
    dump_no_core()
    limit(int(memory) or None, int(files) or None)
    limit_cpu(float(cpu) or None)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores, and others expect
        signal.signal(number, signal.SIG_DFL)
    program = arguments[4:]
    try:
        os.execvp(program[0], program)  # noqa: S606  # to start programs is its purpose
    except OSError as error:
        sys.stderr.write(f"cannot run {program[0]}: {error.strerror}\n")
        sys.exit(CANNOT_RUN)


if __name__ == "__main__":
    become(sys.argv[1:])
