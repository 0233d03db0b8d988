"""Workers die at any moment of ``job.transaction()``: what a job wrote is there once, or not.

A job that has succeeded has one row, written by the attempt whose success is stored; one that was
given up after three losses has none.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter

import pytest

from tests.process.scene import Program, Scene
from tests.servers.postgres import PostgresServer

JOBS, FAULTS, RESTARTS = 300, 20, 6
"""Jobs, kills and restarts of a sample; every second worker also dies at a failpoint of its own."""

POINTS = ("transaction.before_commit", "transaction.after_commit")
WORKERS = 2


class Writing:
    """Workers that run jobs which write a row each, and are replaced when they die."""

    def __init__(self, scene: Scene) -> None:
        seed = random.SystemRandom().randrange(2**32)
        print(f"seed {seed}")
        self.scene, self.chance = scene, random.Random(seed)
        self.deaths = 0
        scene.database.do("CREATE TABLE effect (op text, token bigint)")
        self.workers = [self._worker() for _ in range(WORKERS)]

    def enqueue(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            task = "put" if number % 2 else "aput"
            seconds = self.chance.choice([0.0, 0.01, 0.05])
            assert self.scene.enqueue(task, f"w{number}", seconds=seconds)

    def mend(self) -> None:
        """Replace the dead, also those that could not begin while the server was away."""
        for index, worker in enumerate(self.workers):
            if worker.over:
                killed = worker.wait() == -signal.SIGKILL
                assert killed or not self.scene.event("WorkerStarted", worker), self.scene.logs()
                self.deaths += 1
                self.workers[index] = self._worker()

    def kill_one(self) -> None:
        self.scene.kill(self.chance.choice(self.workers))

    def settle(self) -> None:
        """Wait until every job has ended, replacing workers that die at failpoints meanwhile."""
        deadline = time.monotonic() + 90
        while self.scene.database.unfinished():
            assert time.monotonic() < deadline, self.scene.logs()
            self.mend()
            time.sleep(0.05)

    def met(self) -> int:
        """How many runs began that did not end."""
        entries = self.scene.entries()
        ended = {(e.op, e.token) for e in entries if e.what == "end"}
        return sum(e.what == "start" and (e.op, e.token) not in ended for e in entries)

    def check(self) -> None:
        """Compare each job with its rows."""
        rows = self.scene.database.ask("SELECT op, token FROM effect")
        written = Counter(row["op"] for row in rows)
        tokens = {row["op"]: row["token"] for row in rows}
        contents = self.scene.database.contents()
        for job in contents.jobs:
            if job.state == "succeeded":
                assert (written[job.op], tokens[job.op]) == (1, job.result_token), job
                assert job.token == job.result_token, job
            else:
                assert (job.state, job.reason) == ("failed", "lost"), job
                assert written[job.op] == 0, job
        lost = sum(job.state != "succeeded" for job in contents.jobs)
        again = sum(job.token > 1 for job in contents.jobs)
        print(
            f"{len(contents.jobs)} jobs, {self.deaths} workers killed, {self.met()} runs cut off,"
            f" {again} jobs run again, {lost} given up, {len(rows)} rows"
        )
        assert again > 0, "no fault met a running job"
        self.scene.assert_clean()

    def _worker(self) -> Program:
        points = None
        if self.chance.random() < 0.5:
            points = f"{self.chance.choice(POINTS)}=kill@{self.chance.randrange(2, 25)}"
        return self.scene.worker(ready=False, failpoints=points, concurrency=4)


@pytest.mark.timeout(0)
def test_workers_are_killed_at_random(scene: Scene, crash_seconds: float) -> None:
    """Takes more than 5 s: each of some twenty workers has to begin before it can die."""
    writing, jobs, faults = Writing(scene), 0, 0
    deadline = time.monotonic() + crash_seconds
    while faults < FAULTS or time.monotonic() < deadline:
        writing.enqueue(jobs, JOBS // FAULTS)
        jobs += JOBS // FAULTS
        began = len(writing.scene.entries())
        scene.until(lambda: len(scene.entries()) > began or _mended(writing), "runs")  # noqa: B023
        time.sleep(writing.chance.uniform(0, 0.2))
        writing.kill_one()
        faults += 1
        writing.mend()
    writing.settle()
    writing.check()


@pytest.mark.timeout(0)
def test_the_server_crashes_in_the_middle_of_transactions(
    postgres_server: PostgresServer, postgres_scene: Scene, crash_seconds: float
) -> None:
    """Takes more than 5 s: the server starts again each time."""
    writing, jobs, faults = Writing(postgres_scene), 0, 0
    deadline = time.monotonic() + crash_seconds
    while faults < RESTARTS or time.monotonic() < deadline:
        writing.enqueue(jobs, JOBS // FAULTS)
        jobs += JOBS // FAULTS
        began = len(postgres_scene.entries())
        postgres_scene.until(
            lambda: len(postgres_scene.entries()) > began or _mended(writing),  # noqa: B023
            "runs",
        )
        time.sleep(writing.chance.uniform(0, 0.2))
        postgres_scene.ledger.write("fault", how="immediate restart")
        postgres_server.stop("immediate")
        postgres_server.start()
        postgres_scene.ledger.write("over")
        faults += 1
    print(f"{faults} immediate restarts")
    writing.settle()
    writing.check()


def _mended(writing: Writing) -> bool:
    """Replace the dead; never enough to go on."""
    writing.mend()
    return False
