"""What a worker and its child process say to each other: JSON in frames on a private socket.

A frame is four bytes of length and a message. Neither side trusts the other with more than its
messages: no code, and no name to import, travels with a job.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from jobpipe.model.job import Claimed, Finish
from jobpipe.model.report import Checkpoint, LogLine, Progress

HEAD = struct.Struct(">I")
READ_MAX = 256 * 1024
SPARE_BYTES = 1024 * 1024
"""What a frame may need beside the payloads in it."""


class Hello(Struct, frozen=True, tag="hello", kw_only=True):
    """What a new child becomes: sent once, before anything else."""

    parent: int
    sys_path: list[str]
    main_path: str | None = None
    """The program's main file or module, when tasks or the application are declared there."""
    main_module: str | None = None
    application: str | None = None
    """Where the application is found, as ``module:attribute``."""
    tasks: dict[str, str] = {}
    """The worker's tasks by name, each with the module that declares it."""
    settings: dict[str, str] = {}
    """The worker's settings by field name, secrets among them."""
    memory_bytes: int | None = None
    cpu_seconds: float | None = None
    open_files: int | None = None


class Run(Struct, frozen=True, tag="run"):
    """An attempt to run."""

    claimed: Claimed


class Stop(Struct, frozen=True, tag="stop"):
    """The running attempt is to end; why: ``cancel``, ``timeout``, ``stop`` or ``lease``."""

    why: str


class Ready(Struct, frozen=True, tag="ready"):
    """The child can run attempts, unless there is an error."""

    error: str | None = None


class Said(Struct, frozen=True, tag="said"):
    """What the running job said: one of these."""

    line: LogLine | None = None
    progress: Progress | None = None
    checkpoint: Checkpoint | None = None


class Decided(Struct, frozen=True, tag="decided"):
    """The outcome is certain and hooks hear of it: no cancel or time-out shall end that."""


class Ended(Struct, frozen=True, tag="ended"):
    """The attempt has ended; without an outcome its job is to be given back."""

    finish: Finish | None = None
    worn: bool = False
    """The job left something behind (a process, a lack of memory): run no other in this child."""


class Beat(Struct, frozen=True, tag="beat"):
    """The child's event loop is alive."""


class Owing(Struct, frozen=True, tag="owing"):
    """Tell me when all that the running job has said is written."""


class Written(Struct, frozen=True, tag="written"):
    """All that the running job has said is written."""


ToChild = Hello | Run | Stop | Written
ToWorker = Ready | Said | Beat | Owing | Decided | Ended

to_child: msgspec.json.Decoder[ToChild] = msgspec.json.Decoder(ToChild)
to_worker: msgspec.json.Decoder[ToWorker] = msgspec.json.Decoder(ToWorker)


def encode(message: ToChild | ToWorker) -> bytes:
    """Return the frame of a message."""
    data = msgspec.json.encode(message)
    return HEAD.pack(len(data)) + data


def longest(max_payload: int) -> int:
    """Return the most bytes of a frame: two payloads, JSON in JSON, at worst all escapes."""
    return 4 * max_payload + SPARE_BYTES


class Frames:
    """Takes bytes as they arrive and gives whole messages."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the messages that are complete now; raises ValueError for one too long."""
        self._data += data
        start = 0
        try:
            while len(self._data) - start >= HEAD.size:
                (length,) = HEAD.unpack_from(self._data, start)
                if length > self._longest:
                    raise ValueError(f"a frame of {length} bytes is longer than {self._longest}")
                begin = start + HEAD.size
                if len(self._data) < begin + length:
                    break
                start = begin + length
                yield bytes(self._data[begin:start])
        finally:
            del self._data[:start]
