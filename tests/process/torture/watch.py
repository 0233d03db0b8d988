"""Follows the ledger of a round while it grows: who runs what now, and who has begun."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import BinaryIO

import msgspec

from tests.process.ledger import Entry


class Watch:
    """Reads each line once; dead processes' files are closed (``forget``)."""

    def __init__(self, folder: Path) -> None:
        self.running: defaultdict[int, set[tuple[int, int]]] = defaultdict(set)
        """For each process the (job, token) of its runs that have not ended."""
        self.begun: set[int] = set()
        """Workers that have said that they work."""
        self.leases_ended: defaultdict[int, int] = defaultdict(int)
        self.starts = 0
        self._folder = folder
        self._decode = msgspec.json.Decoder(Entry).decode
        self._files: dict[Path, BinaryIO] = {}
        self._rest: dict[Path, bytes] = {}
        self._done: set[Path] = set()

    def look(self) -> None:
        """Read what is new."""
        for path in self._folder.glob("*.jsonl"):
            if path not in self._files and path not in self._done:
                self._files[path] = path.open("rb")
        for path, file in self._files.items():
            text = self._rest.get(path, b"") + file.read()
            whole, _, self._rest[path] = text.rpartition(b"\n")
            for line in whole.splitlines():
                self._take(self._decode(line))

    def forget(self, pid: int) -> None:
        """The process is dead: it runs nothing, and will write nothing more."""
        self.look()
        self.running.pop(pid, None)
        path = self._folder / f"{pid}.jsonl"
        if path in self._files:
            self._files.pop(path).close()
            self._done.add(path)

    def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _take(self, entry: Entry) -> None:
        run = (entry.job or 0, entry.token or 0)
        if entry.what == "start":
            self.running[entry.pid].add(run)
            self.starts += 1
        elif entry.what == "end":
            self.running[entry.pid].discard(run)
        elif entry.how == "WorkerStarted":
            self.begun.add(entry.pid)
        elif entry.how == "LeaseEnded":
            self.leases_ended[entry.pid] += 1
