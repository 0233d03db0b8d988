"""Load for random crash runs: workers and producers that are replaced when a fault took them.

A fault waits until runs have begun since the last one, so that it meets running jobs.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable

from tests.process.history import History
from tests.process.scene import Program, Scene

STARTS_BETWEEN_FAULTS = 15
PRODUCE = 150
"""Jobs of one producer process."""


class Load:
    """Keeps so many workers and producers at work until ``stop``."""

    def __init__(self, scene: Scene, seed: int, *, workers: int = 2, producers: int = 2) -> None:
        print(f"seed {seed}")
        self.scene, self.chance = scene, random.Random(seed)
        self._seed = seed
        self.workers = [scene.worker(ready=False) for _ in range(workers)]
        self.producers = [self._produce() for _ in range(producers)]
        self.faults = 0

    def run(
        self, fault: Callable[[], object], *, faults: int, seconds: float, ready: bool = False
    ) -> None:
        """Do harm so often, or for so long, each time when jobs run again.

        ``ready``: only when every worker has begun, since none begins while the store is away.
        """
        deadline = time.monotonic() + seconds
        while self.faults < faults or time.monotonic() < deadline:
            self.mend()
            if ready:
                self._wait_for_workers()
            self._meet_running_jobs()
            fault()
            self.faults += 1

    def kill_one(self) -> None:
        """Kill a worker, or now and then a producer."""
        victims = self.producers if self.chance.random() < 0.25 else self.workers
        self.scene.kill(self.chance.choice(victims))

    def mend(self) -> None:
        """Replace the processes that are gone; only a kill, or its work, may have ended one."""
        self._mend_workers()
        for index, producer in enumerate(self.producers):
            if producer.over:
                assert producer.wait() in (0, -signal.SIGKILL), self.scene.logs()
                self.producers[index] = self._produce()

    def stop(self) -> None:
        """Let the producers end and the workers finish everything, then stop them."""
        for producer in self.producers:
            assert producer.wait(60) in (0, -signal.SIGKILL), self.scene.logs()
        self._mend_workers()
        self._wait_for_workers()
        self.scene.settled_with_one_more(60)
        for worker in self.workers:
            worker.send(signal.SIGTERM)
            assert worker.wait() == 0, self.scene.logs()
        entries = self.scene.entries()
        told = Counter(e.how if e.what == "event" else e.what for e in entries)
        print(f"{self.faults} faults, {self.met()} runs cut off; lines: {dict(told)}")

    def met(self) -> int:
        """Count the runs that a fault cut off."""
        runs = History(self.scene.entries()).runs.values()
        return sum(run.end is None for of_job in runs for run in of_job)

    def _wait_for_workers(self) -> None:
        for worker in self.workers:
            self.scene.until(lambda: self.scene.event("WorkerStarted", worker), "a worker")  # noqa: B023

    def _mend_workers(self) -> None:
        for index, worker in enumerate(self.workers):
            if worker.over:
                assert worker.wait() == -signal.SIGKILL, self.scene.logs()
                self.workers[index] = self.scene.worker(ready=False)

    def _produce(self) -> Program:
        self._seed += 1
        return self.scene.producer("mix", seed=self._seed, count=PRODUCE, threads=2)

    def _meet_running_jobs(self) -> None:
        began = self._starts()
        self.scene.until(
            lambda: (
                self._starts() >= began + STARTS_BETWEEN_FAULTS
                or all(each.over for each in self.producers)
            ),
            "runs",
        )

    def _starts(self) -> int:
        return sum(entry.what == "start" for entry in self.scene.entries())
