"""One round: a store, a fleet and a nemesis for some minutes; then all is healed and judged."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from tests.process.contents import JobRow
from tests.process.ledger import Entry
from tests.process.producer import DOOMED, WRITERS
from tests.process.scene import Scene
from tests.process.torture import clocks
from tests.process.torture.fleet import LEASE_SECONDS, Fleet
from tests.process.torture.nemesis import Nemesis
from tests.process.torture.places import PostgresPlace, SqlitePlace
from tests.process.torture.pulse import Pulse
from tests.process.torture.record import Count
from tests.process.torture.watch import Watch

STEP_SECONDS = 0.05
BETWEEN_FAULTS = (0.2, 1.2)
RUNS_BETWEEN_FAULTS = 3
HEAL_SECONDS = 20.0
"""Kept at the end of a round for what is left to do."""
DRAIN_SECONDS = 90.0
DIED, FAILED, NOT_ONCE = "died", "failed", "not exactly once"
"""A process ended by itself; a job failed though its task does not; a job's row is missing or
there twice."""


class Verdict(Struct):
    """What came of a round."""

    seed: str
    jobs: int
    attempts: int
    faults: dict[str, Count]
    anomalies: dict[str, int]
    told: list[str]
    folder: str
    stalls: int = 0
    """How often the machine itself stood still for long."""


def play(
    place: SqlitePlace | PostgresPlace,
    number: int,
    seed: int,
    seconds: float,
    *,
    plant: str | None = None,
    drain: float = DRAIN_SECONDS,
    at_least: int = 0,
    only: str | None = None,
) -> Verdict:
    """Play round ``number`` of a seed; its folder stays when something was found.

    ``plant`` names a bug that all workers shall have; ``drain`` is how long they may take to
    finish all that is left. The harm goes on until ``at_least`` so many faults are done;
    ``only`` names the one method of the nemesis to use.
    """
    chance = random.Random(f"{seed}/{number}")
    folder = Path(tempfile.mkdtemp(prefix=f"jobpipe-torture-{seed}-{number}-"))
    machine = None
    if isinstance(place, SqlitePlace) and number % 2 == 0 and clocks.library():
        machine = clocks.MachineClock(folder)
    scene = Scene(folder, place.new(number))
    scene.database.do("CREATE TABLE effect (op text, token bigint)")
    watch = Watch(scene.lines)
    pulse = Pulse(scene.ledger, folder, LEASE_SECONDS / 4, place.server)
    pulse.start()
    try:
        fleet = Fleet(scene, watch, chance, machine, plant)
        nemesis = Nemesis(fleet, place, chance, machine, only)
        end = time.monotonic() + seconds - HEAL_SECONDS
        harm(fleet, nemesis, chance, end, at_least)
        heal(fleet, nemesis, drain)
        pulse.stop()
        verdict = judge(scene, fleet, nemesis, f"{seed}/{number}")
        verdict.stalls = pulse.stalls
    finally:
        pulse.stop()
        watch.close()
        scene.close()
    if verdict.told:
        keep(place, scene)
    else:
        shutil.rmtree(folder)
    return verdict


def harm(fleet: Fleet, nemesis: Nemesis, chance: random.Random, end: float, at_least: int) -> None:
    """Strike again and again, each time when jobs run again."""
    next_at, starts = 0.0, 0
    while time.monotonic() < end or nemesis.done < at_least:
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
            fleet.scene.settled_with_one_more(max(1.0, deadline - time.monotonic()))
            break
        time.sleep(4 * STEP_SECONDS)
    fleet.dismiss()


def judge(scene: Scene, fleet: Fleet, nemesis: Nemesis, seed: str) -> Verdict:
    """Let the checker speak, and add what it does not look at."""
    nemesis.note_dead()
    told = [(str(each.kind), each.what) for each in scene.anomalies(lease_seconds=LEASE_SECONDS)]
    told += [(DIED, how) for how in fleet.deaths_unexplained]
    jobs, entries = scene.database.contents().jobs, scene.entries()
    told += [(FAILED, str(job)) for job in failed_for_no_cause(jobs, entries)]
    told += [(NOT_ONCE, what) for what in not_once(scene, jobs)]
    return Verdict(
        seed=seed,
        jobs=len(jobs),
        attempts=sum(entry.what == "start" for entry in entries),
        faults=nemesis.counts,
        anomalies=dict(Counter(kind for kind, _ in told)),
        told=[f"{kind}: {what}" for kind, what in told],
        folder=str(scene.folder),
    )


def failed_for_no_cause(jobs: Sequence[JobRow], entries: Sequence[Entry]) -> list[JobRow]:
    """Return the jobs that failed though no run of them was cut off by a death."""
    ended = {(entry.job, entry.token) for entry in entries if entry.what == "end"}
    starts = [entry for entry in entries if entry.what == "start"]
    cut_off = {entry.job for entry in starts if (entry.job, entry.token) not in ended}
    ill = [job for job in jobs if job.state == "failed" and job.task != DOOMED]
    failed = [job for job in ill if job.reason != "lost"]
    return [job for job in failed if job.id not in cut_off]


def not_once(scene: Scene, jobs: Sequence[JobRow]) -> Iterator[str]:
    """Yield the jobs whose row, written in ``job.transaction()``, is not there exactly once."""
    written: defaultdict[str, list[int]] = defaultdict(list)
    for row in scene.database.ask("SELECT op, token FROM effect"):
        written[row["op"]].append(row["token"])
    for job in jobs:
        done = job.task in WRITERS and job.state == "succeeded"
        if written[job.op] != ([job.result_token] if done else []):
            yield f"{job} has rows of the tokens {written[job.op]}"


def keep(place: SqlitePlace | PostgresPlace, scene: Scene) -> None:
    """Keep the database file beside the ledger and the logs."""
    if isinstance(place, SqlitePlace):
        for file in place.disk.folder.glob("jobs-*"):
            if file.is_file():
                shutil.copy(file, scene.folder)
