"""Run the whole fault programme at length, and append what came of it to the reliability ledger.

``make torture MINUTES=60 [STORE=sqlite|postgresql|both] [SEED=n]``. Each store has its share of
the minutes, in rounds; after each, all is healed, drained and judged. Exits with 1 at an anomaly.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.power.cut import Report  # noqa: E402
from tests.process.torture import clocks, record  # noqa: E402
from tests.process.torture.places import PostgresPlace, SqlitePlace, small_disk  # noqa: E402
from tests.process.torture.round import Verdict, play  # noqa: E402
from tests.servers.postgres import PostgresServer  # noqa: E402

STORES = ("sqlite", "postgresql")
ROUND_MINUTES = 3.0
POWER_CUT_POINTS = 3_000
"""Points of one go on SQLite, beside the rest; the next begins with a round."""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--store", choices=[*STORES, "both"], default="both")
    parser.add_argument("--seed", type=int)
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all is stopped and removed
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    if clocks.library() is None:
        print("no wrong clocks: libfaketime is not installed (apt-get install libfaketime)")
    stores = STORES if given.store == "both" else (given.store,)
    passed = [torture(store, given.minutes / len(stores), seed) for store in stores]
    return 0 if all(passed) else 1


def torture(store: str, minutes: float, seed: int) -> bool:
    """Torture one store, and write its line; tell whether all was well."""
    line = record.Line(
        date=datetime.now(UTC).date().isoformat(),
        commit=commit(),
        store=store,
        minutes=minutes,
        seed=seed,
    )
    began = time.monotonic()
    end = began + minutes * 60
    number, cuts = 0, None
    try:
        with place_of(store) as place:
            if not place.disk.own:
                print("no full disks: only root can mount a small one")
            while number == 0 or time.monotonic() + 30 < end:
                seconds = min(ROUND_MINUTES * 60, end - time.monotonic())
                if cuts is not None and cuts.poll() is not None:
                    add_power_cuts(line, cuts)
                    cuts = None
                if cuts is None and store == "sqlite":
                    cuts = begin_power_cuts(seed + 1_000 * number)
                add(line, play(place, number, seed, seconds))
                number += 1
        if cuts is not None:
            add_power_cuts(line, cuts)
    finally:  # also what was cut short did happen
        line.minutes = round((time.monotonic() - began) / 60, 1)
        if number:
            write(line)
    return not any(line.anomalies.values())


def write(line: record.Line) -> None:
    """Append the line to the ledger, and show it."""
    record.append(line)
    print(msgspec.json.format(msgspec.json.encode(line)).decode())


def add(line: record.Line, verdict: Verdict) -> None:
    """Add a round to the line, and tell of it."""
    line.jobs += verdict.jobs
    line.attempts += verdict.attempts
    line.stalls += verdict.stalls
    record.add(line.faults, verdict.faults)
    for kind, number in verdict.anomalies.items():
        line.anomalies[kind] = line.anomalies.get(kind, 0) + number
    met = sum(count.met for count in verdict.faults.values())
    print(
        f"{line.store} {verdict.seed}: {verdict.jobs} jobs, {met} faults met a running job"
        f", {verdict.stalls} stalls"
    )
    if verdict.told:
        print(f"ANOMALIES of seed {verdict.seed}, kept in {verdict.folder}:")
        print("\n".join(verdict.told))
    sys.stdout.flush()


def begin_power_cuts(seed: int) -> subprocess.Popen[bytes]:
    """Cut the power of recorded lives beside the rounds."""
    flags = [f"--seed={seed}", f"--points={POWER_CUT_POINTS}"]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.power.cut", *flags],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )


def add_power_cuts(line: record.Line, cuts: subprocess.Popen[bytes]) -> None:
    """Wait for the end of the cuts, and add what was found."""
    report = msgspec.json.decode(cuts.communicate()[0], type=Report)
    line.power_cut_points += report.points
    for kind, number in report.kinds.items():
        name = f"power cut: {kind}"
        line.anomalies[name] = line.anomalies.get(name, 0) + number
    for finding in report.findings:
        print(f"POWER CUT of the seeds {report.seeds}: {finding.kind}: {finding.what}", flush=True)


@contextmanager
def place_of(store: str) -> Iterator[SqlitePlace | PostgresPlace]:
    """Offer the place of the store, with a server if it needs one."""
    with small_disk() as disk:
        if store == "sqlite":
            yield SqlitePlace(disk)
        else:
            with PostgresServer() as server:
                yield PostgresPlace(disk, server)


def commit() -> str:
    """Return the commit that is tortured (``+`` when files differ from it)."""
    told = ["git", "describe", "--always", "--dirty=+", "--abbrev=12"]
    return subprocess.run(told, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
