"""Records what SQLite does to the disk: each write, truncation, sync, creation and deletion.

The recording also holds marks: a commit with what the database then held, and what was promised to
whom. Their order is the order in which they happened, since one thread writes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

import apsw
from msgspec import Struct

NAMES_MADE_DURABLE = ("-wal", "-journal")
"""SQLite syncs the folder with the first sync of a new file of these."""


class Create(Struct, frozen=True):
    """A new file; ``file`` is a number of its own, ``name`` may be given again after a deletion."""

    file: int
    name: str


class Delete(Struct, frozen=True):
    name: str
    sync_folder: bool


class Write(Struct, frozen=True):
    file: int
    offset: int
    data: bytes


class Truncate(Struct, frozen=True):
    file: int
    size: int


class Sync(Struct, frozen=True):
    file: int
    sync_folder: bool


class Commit(Struct, frozen=True):
    """SQLite said that a transaction is committed."""

    content: bytes
    """A digest of all that the database holds from then on."""


class Fact(Struct, frozen=True):
    """How a job stands."""

    state: str
    token: int
    attempt: int
    losses: int
    outcomes: tuple[str, ...]
    """The recorded outcomes of its attempts, in the order of their tokens."""


class Promise(Struct, frozen=True):
    """Somebody has heard that a job stands so; None: that it is deleted; ``job`` 0: the schema."""

    job: int
    fact: Fact | None


Event: TypeAlias = Create | Delete | Write | Truncate | Sync | Commit | Promise


class Recording:
    """All that happened to the files of one folder, in order."""

    def __init__(self, folder: Path) -> None:
        self.events: list[Event] = []
        self.folder = folder
        self._files: dict[str, int] = {}
        self._without_entry: set[int] = set()
        self._made = 0

    def opened(self, name: str) -> int | None:
        """Note a file that is there now; return its number (None: it is of no account)."""
        if name.endswith("-shm"):
            return None
        if name not in self._files:
            self._made += 1
            self._files[name] = self._made
            self._without_entry.add(self._made)
            self.events.append(Create(self._made, name))
        return self._files[name]

    def deleted(self, name: str, *, sync_folder: bool) -> None:
        if self._files.pop(name, None) is not None:
            self.events.append(Delete(name, sync_folder))

    def synced(self, file: int, name: str) -> None:
        new = file in self._without_entry
        self._without_entry.discard(file)
        self.events.append(Sync(file, new and name.endswith(NAMES_MADE_DURABLE)))


class RecordingFile(apsw.VFSFile):
    """A file whose changes are written down before they are made."""

    def __init__(
        self, recording: Recording, path: str | apsw.URIFilename, flags: list[int]
    ) -> None:
        super().__init__("", path, flags)
        plain = path.filename() if isinstance(path, apsw.URIFilename) else path
        self._name = os.path.basename(plain)
        self._recording = recording
        self._file = recording.opened(self._name)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 (the name is SQLite's)
        if self._file is not None:
            self._recording.events.append(Write(self._file, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        if self._file is not None:
            self._recording.events.append(Truncate(self._file, size))
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        super().xSync(flags)
        if self._file is not None:
            self._recording.synced(self._file, self._name)


class RecordingVFS(apsw.VFS):
    """The system's files, recorded."""

    def __init__(self, name: str, recording: Recording) -> None:
        super().__init__(name, "")
        self._recording = recording

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        if name is None:  # a temporary file: lost at a power cut, and of no account
            return apsw.VFSFile("", name, flags)
        return RecordingFile(self._recording, name, flags)

    def xDelete(self, name: str, sync_folder: bool) -> None:  # noqa: N802
        super().xDelete(name, sync_folder)
        self._recording.deleted(os.path.basename(name), sync_folder=bool(sync_folder))
