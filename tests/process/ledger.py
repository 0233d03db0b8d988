"""A ledger outside the store: what producers, runs and faults did, whatever the store says.

One file a process, opened to append, one ``write`` a line: a process that is killed loses no line
that it wrote, and never leaves half of one. Times are the machine's monotonic clock, so lines of
different processes of one machine can be compared.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

What = Literal[
    "invoke",  # a producer begins an enqueue
    "ok",  # it was acknowledged
    "fail",  # it was refused, or its transaction was rolled back: it must not exist
    "unknown",  # no answer: it may exist or not
    "start",  # a run begins
    "end",  # a run returned, raised or was interrupted
    "fault",  # somebody is about to do harm to a process or to the store
    "over",  # the harm is over: the process is gone, or goes on
    "event",  # a worker logged an event
]


class Gate(Struct, frozen=True, omit_defaults=True):
    """What a job has to pass: ``n`` at a time, its turn in a group, or ``n`` starts in a span."""

    kind: Literal["concurrency", "group", "rate"]
    key: str
    n: int = 1
    per: float = 1.0
    """Seconds of the span of a rate."""
    burst: int = 1


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. ``op`` names one wish of a producer; its job carries it as an argument."""

    what: What
    at: int
    """Nanoseconds of the monotonic clock."""
    pid: int
    op: str | None = None
    job: int | None = None
    token: int | None = None
    attempt: int | None = None
    key: str | None = None
    delay: float = 0.0
    """Seconds that the job must wait before it may start."""
    gates: tuple[Gate, ...] = ()
    after: tuple[str, ...] = ()
    """Wishes of whose jobs each must be final before this one starts."""
    flow: str | None = None
    """The flow that the job is stored with; its members have the same one."""
    role: str | None = None
    """What it is to the flow: node, on_success, on_failure, on_done."""
    how: str | None = None
    """``end``: returned, raised, interrupted; ``fault``: its name; ``event``: its name."""
    whom: int | None = None
    """The process that a fault meets; none: the store, and so everybody."""
    detail: str | None = None


class Ledger:
    """The file of one process in the folder of a run; safe to use from many threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._encode = msgspec.json.Encoder().encode
        self._pid = os.getpid()
        path = folder / f"{self._pid}.jsonl"
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, what: What, *, at: int | None = None, **fields: object) -> None:
        """Append a line; it survives whatever happens to this process next.

        ``at`` is given for what was noticed later only.
        """
        moment = time.monotonic_ns() if at is None else at
        entry = Entry(what=what, at=moment, pid=self._pid, **fields)  # type: ignore[arg-type]
        line = self._encode(entry) + b"\n"
        if os.write(self._file, line) != len(line):
            raise OSError("the ledger's disk is full")

    def close(self) -> None:
        os.close(self._file)


class Reader:
    """Reads a folder again and again, each line once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._decode = msgspec.json.Decoder(Entry).decode
        self._offsets: dict[Path, int] = {}
        self._entries: list[Entry] = []

    def read(self) -> list[Entry]:
        """Return what every process has written so far, in the order of time."""
        for path in self._folder.glob("*.jsonl"):
            with path.open("rb") as file:
                file.seek(self._offsets.get(path, 0))
                whole = file.read().rpartition(b"\n")[0]
            self._offsets[path] = self._offsets.get(path, 0) + len(whole) + bool(whole)
            self._entries += map(self._decode, whole.splitlines())
        self._entries.sort(key=lambda entry: entry.at)
        return self._entries
