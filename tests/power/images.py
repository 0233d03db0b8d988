"""What a disk may hold after a power cut: all that was synced, and anything of the rest.

Of the changes since a file's last sync the disk may hold none, all, or some in any order; the
last write may be torn at a sector. The folder's entries are kept in order, as journalling file
systems do: of the creations and deletions since the folder's last sync, the first so many.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from tests.power.recording import Commit, Create, Delete, Event, Promise, Sync, Truncate, Write

SECTOR = 512

Image: TypeAlias = Mapping[str, bytes]
"""The contents of the files in the folder, by name."""


class Disk:
    """The disk behind a recording, as far as it has been played."""

    def __init__(self, *, obeys: bool = True) -> None:
        self._obeys = obeys
        self._durable: dict[int, bytes] = {}
        self._pending: dict[int, list[Write | Truncate]] = {}
        self._entries: dict[str, int] = {}
        self._new_entries: list[Create | Delete] = []

    def play(self, event: Event) -> None:
        """Take the next event; a disk that does not obey forgets to sync."""
        match event:
            case Create():
                self._durable[event.file], self._pending[event.file] = b"", []
                self._new_entries.append(event)
            case Delete():
                self._new_entries.append(event)
                if event.sync_folder and self._obeys:
                    self._sync_folder()
            case Write() | Truncate():
                self._pending[event.file].append(event)
            case Sync() if self._obeys:
                kept = self._pending[event.file]
                self._durable[event.file] = after(self._durable[event.file], kept)
                self._pending[event.file] = []
                if event.sync_folder:
                    self._sync_folder()
            case Sync() | Commit() | Promise():
                pass

    def images(self, chance: random.Random, number: int) -> Iterator[Image]:
        """Return what the disk may hold now: nothing of the rest, all of it, and samples."""
        unsynced = sum(map(len, self._pending.values())) + len(self._new_entries)
        yield self._image(0, {})
        if unsynced:
            yield self._image(len(self._new_entries), self._pending)
            for _ in range(number):
                yield self._sample(chance)

    def _sample(self, chance: random.Random) -> Image:
        kept: dict[int, Sequence[Write | Truncate]] = {}
        for file, changes in self._pending.items():
            match chance.randrange(4):
                case 0:
                    kept[file] = changes[: chance.randint(0, len(changes))]
                case 1:
                    left_out = chance.randrange(len(changes) + 1)
                    kept[file] = changes[:left_out] + changes[left_out + 1 :]
                case 2:
                    kept[file] = [change for change in changes if chance.random() < 0.5]
                case _:
                    kept[file] = changes
            if kept[file] and chance.random() < 0.5:
                kept[file] = [*kept[file][:-1], *torn(kept[file][-1], chance)]
        return self._image(chance.randint(0, len(self._new_entries)), kept)

    def _image(self, entries: int, kept: Mapping[int, Sequence[Write | Truncate]]) -> Image:
        names = dict(self._entries)
        _enter(names, self._new_entries[:entries])
        return {
            name: after(self._durable[file], kept.get(file, ())) for name, file in names.items()
        }

    def _sync_folder(self) -> None:
        _enter(self._entries, self._new_entries)
        self._new_entries = []


def after(content: bytes, changes: Sequence[Write | Truncate]) -> bytes:
    """Return the content of a file after the changes; what lies between is zeros."""
    if not changes:
        return content
    file = bytearray(content)
    for change in changes:
        if isinstance(change, Truncate):
            del file[change.size :]
            file.extend(bytes(change.size - len(file)))
        else:
            file.extend(bytes(max(0, change.offset - len(file))))
            file[change.offset : change.offset + len(change.data)] = change.data
    return bytes(file)


def torn(change: Write | Truncate, chance: random.Random) -> list[Write | Truncate]:
    """Return the parts of a write that reached the disk, cut at the disk's sectors."""
    if isinstance(change, Truncate):
        return []
    parts = []
    place, end = change.offset, change.offset + len(change.data)
    while place < end:
        next_sector = min(end, (place // SECTOR + 1) * SECTOR)
        data = change.data[place - change.offset : next_sector - change.offset]
        parts.append(Write(change.file, place, data))
        place = next_sector
    if chance.random() < 0.5:
        return list(parts[: chance.randint(0, len(parts) - 1)])
    return [part for part in parts if chance.random() < 0.5]


def _enter(names: dict[str, int], changes: Sequence[Create | Delete]) -> None:
    for change in changes:
        if isinstance(change, Create):
            names[change.name] = change.file
        else:
            names.pop(change.name, None)
