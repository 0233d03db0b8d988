"""One round: a store, a fleet and a nemesis for some minutes; then all is healed and judged."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from msgspec import Struct

from tests.process.scene import Scene
from tests.process.torture import clocks
from tests.process.torture.fleet import Fleet
from tests.process.torture.nemesis import Nemesis
from tests.process.torture.places import PostgresPlace, SqlitePlace
from tests.process.torture.record import Count
from tests.process.torture.watch import Watch

STEP_SECONDS = 0.05
BETWEEN_FAULTS = (0.2, 1.2)
RUNS_BETWEEN_FAULTS = 3
HEAL_SECONDS = 20.0
"""Kept at the end of a round for what is left to do."""
DRAIN_SECONDS = 90.0
DIED, FAILED = "died", "failed"
"""A process ended by itself; a job failed though its task does not."""


class Verdict(Struct):
    """What came of a round."""

    seed: str
    jobs: int
    attempts: int
    faults: dict[str, Count]
    anomalies: dict[str, int]
    told: list[str]
    folder: str


def play(
    place: SqlitePlace | PostgresPlace,
    number: int,
    seed: int,
    seconds: float,
    *,
    plant: str | None = None,
    drain: float = DRAIN_SECONDS,
) -> Verdict:
    """Play round ``number`` of a seed; its folder stays when something was found.

    ``plant`` names a bug that all workers shall have; ``drain`` is how long they may take to
    finish all that is left.
    """
    chance = random.Random(f"{seed}/{number}")
    folder = Path(tempfile.mkdtemp(prefix=f"jobpipe-torture-{seed}-{number}-"))
    machine = None
    if isinstance(place, SqlitePlace) and number % 2 == 0 and clocks.library():
        machine = clocks.MachineClock(folder)
    scene = Scene(folder, place.new(number))
    watch = Watch(scene.lines)
    try:
        fleet = Fleet(scene, watch, chance, machine, plant)
        nemesis = Nemesis(fleet, place, chance, machine)
        harm(fleet, nemesis, chance, time.monotonic() + max(5.0, seconds - HEAL_SECONDS))
        heal(fleet, nemesis, drain)
        verdict = judge(scene, fleet, nemesis, f"{seed}/{number}")
    finally:
        watch.close()
        scene.close()
    if verdict.told:
        keep(place, scene)
    else:
        shutil.rmtree(folder)
    return verdict


def harm(fleet: Fleet, nemesis: Nemesis, chance: random.Random, end: float) -> None:
    """Strike again and again, each time when jobs run again."""
    next_at, starts = 0.0, 0
    while time.monotonic() < end:
        fleet.watch.look()
        fleet.mend()
        nemesis.tend()
        ready = fleet.watch.starts >= starts + RUNS_BETWEEN_FAULTS and fleet.fit()
        if ready and time.monotonic() > next_at:
            nemesis.strike()
            starts = fleet.watch.starts
            next_at = time.monotonic() + chance.uniform(*BETWEEN_FAULTS)
        time.sleep(STEP_SECONDS)


def heal(fleet: Fleet, nemesis: Nemesis, drain: float) -> None:
    """End all harm, and let the workers finish what is there."""
    nemesis.heal()
    fleet.heal()
    deadline = time.monotonic() + drain
    while time.monotonic() < deadline:
        fleet.watch.look()
        fleet.mend()
        nemesis.tend()
        quiet = all(producer.over for producer in fleet.producers) and nemesis.at_rest
        if quiet and fleet.all_begun() and not fleet.scene.database.unfinished():
            break
        time.sleep(4 * STEP_SECONDS)
    fleet.dismiss()


def judge(scene: Scene, fleet: Fleet, nemesis: Nemesis, seed: str) -> Verdict:
    """Let the checker speak, and add the processes that ended by themselves."""
    nemesis.note_dead()
    found = scene.anomalies()
    kinds = Counter(str(anomaly.kind) for anomaly in found)
    if fleet.deaths_unexplained:
        kinds[DIED] = len(fleet.deaths_unexplained)
    jobs, entries = scene.database.contents().jobs, scene.entries()
    wrong = [job for job in jobs if job.state == "failed" and job.reason != "lost"]
    if wrong:
        kinds[FAILED] = len(wrong)
    told = [f"{each.kind}: {each.what}" for each in found] + fleet.deaths_unexplained
    return Verdict(
        seed=seed,
        jobs=len(jobs),
        attempts=sum(entry.what == "start" for entry in entries),
        faults=nemesis.counts,
        anomalies=dict(kinds),
        told=told + [f"{FAILED}: {job}" for job in wrong],
        folder=str(scene.folder),
    )


def keep(place: SqlitePlace | PostgresPlace, scene: Scene) -> None:
    """Keep the database file beside the ledger and the logs."""
    if isinstance(place, SqlitePlace):
        for file in place.disk.folder.glob("jobs-*"):
            if file.is_file():
                shutil.copy(file, scene.folder)
