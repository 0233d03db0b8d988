"""Cuts the power everywhere in a recorded life, and counts the points and what was found.

``python -m tests.power.cut --seed N --points N`` prints the report as JSON, and ends with 1 when
anything was found.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from jobpipe.store.sqlite import checkpoint, connection
from tests.power.binding import recorded
from tests.power.images import Disk, Image
from tests.power.judge import Expected, Finding, Judge, Kind
from tests.power.recording import Event, Recording
from tests.power.workload import Life

STEPS = 60
SAMPLES = 6
"""Sampled images of the disk at each place of the recording."""
KEPT = 5
"""Findings that are told in words."""
MEMORY = Path("/dev/shm")
"""Files here cost no disk; that the system's own sync does nothing there does not matter."""


class Report(Struct):
    """What came of the lives of some seeds."""

    seeds: list[int] = []
    points: int = 0
    kinds: dict[str, int] = {}
    findings: list[Finding] = []

    def add(self, seed: int, points: int, findings: list[Finding]) -> None:
        """Count what came of one seed."""
        self.seeds.append(seed)
        self.points += points
        self.kinds = dict(Counter(self.kinds) + Counter(str(each.kind) for each in findings))
        self.findings += findings[:KEPT]


def record(
    seed: int, *, pragmas: Mapping[str, str] | None = None, steps: int = STEPS
) -> list[Event]:
    """Live once and return what happened to the disk."""
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        recording = Recording(Path(folder))
        with small_log(), recorded(recording, pragmas):
            Life(recording, seed).live(steps)
        return recording.events


def cut_everywhere(
    events: list[Event],
    chance: random.Random,
    *,
    obeys: bool = True,
    most: int = sys.maxsize,
    until: Kind | None = None,
) -> tuple[int, list[Finding]]:
    """Judge each image of the disk at each place once, or ``until`` one is found wrong so.

    Returns how many were judged, and what was found.
    """
    expected, disk = Expected(events), Disk(obeys=obeys)
    seen: set[Hashable] = set()
    findings: list[Finding] = []
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        judge = Judge(expected, Path(folder))
        for cut in range(len(events) + 1):
            if cut:
                disk.play(events[cut - 1])
            for image in disk.images(chance, SAMPLES):
                mark = fingerprint(image, expected.promises[cut])
                if mark not in seen and len(seen) < most:
                    seen.add(mark)
                    findings += judge.judge(cut, image)
            if until in {finding.kind for finding in findings}:
                break
    return len(seen), findings


def examine(seed: int, points: int) -> Report:
    """Cut lives everywhere, of this seed and the next ones, until there are so many points."""
    report = Report()
    while report.points < points:
        number, findings = cut_everywhere(
            record(seed), random.Random(seed), most=points - report.points
        )
        report.add(seed, number, findings)
        seed += 1
    return report


def fingerprint(image: Image, promises: int) -> Hashable:
    """Return what tells images apart; the same one with more promises is another case."""
    # A bytes object keeps its hash, and most files are the same object from image to image.
    return promises, *((name, len(data), hash(data)) for name, data in sorted(image.items()))


@contextmanager
def small_log() -> Iterator[None]:
    """Make checkpoints, and begin the log anew, after kilobytes instead of megabytes."""
    before = checkpoint.LOG_BYTES, checkpoint.EVERY_COMMITS, connection.LOG_BYTES_KEPT
    checkpoint.LOG_BYTES, checkpoint.EVERY_COMMITS = 96 * 1024, 2
    connection.LOG_BYTES_KEPT = 32 * 1024
    try:
        yield
    finally:
        checkpoint.LOG_BYTES, checkpoint.EVERY_COMMITS, connection.LOG_BYTES_KEPT = before


def _memory() -> str | None:
    return str(MEMORY) if MEMORY.is_dir() else None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--points", type=int, required=True)
    given = parser.parse_args()
    report = examine(given.seed, given.points)
    print(msgspec.json.encode(report).decode())
    return bool(report.findings)


if __name__ == "__main__":
    sys.exit(main())
