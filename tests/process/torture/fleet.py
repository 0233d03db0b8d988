"""The workers and producers of a round: what died is replaced, and none may die by itself."""

from __future__ import annotations

import random
import signal
from collections.abc import Mapping

from tests.process.scene import Program, Scene
from tests.process.torture import clocks
from tests.process.torture.house import APP, LEDGER, House
from tests.process.torture.watch import Watch

WORKERS, HOUSES, PRODUCERS = 4, 1, 2
LEASE_SECONDS = 4.0
"""Long enough for a machine on which many programs share few processors."""
SETTINGS = {"lease_seconds": LEASE_SECONDS, "concurrency": 4, "retry_delays": "0.05,0.5,2"}
"""A task that needs the store is tried for longer than the store is away."""
BACKLOG = 60
LONGEST_RUN = 0.8
"""Seconds of the longest naps: most workers have a running job at any moment."""

FAILPOINTS = (
    "claim.taken",
    "finish.before",
    "promote.before",
    "heartbeat.renew",
    "sweep.before",
    *(
        f"{operation}.{when}_commit"
        for operation in ("claim", "finish", "turn_over", "admit", "promote", "renew", "sweep")
        for when in ("before", "after")
    ),
)
LATEST_PASSAGE = 25
STORE_AWAY = 75
"""What a program ends with when its store is away at the start."""
ARMED, WRONG_CLOCK = 0.3, 0.15
"""Shares of the new workers that will die at a failpoint, or have a wrong clock."""


class Worker:
    """A worker of the fleet, and what is to happen to it."""

    def __init__(self, program: Program, *, armed: bool, clock: str | None, born: int) -> None:
        self.program, self.armed, self.clock, self.born = program, armed, clock, born
        self.doomed = False
        """We killed it, or asked it to end."""
        self.paused = False

    @property
    def pid(self) -> int:
        return self.program.pid


class Fleet:
    """Keeps so many workers and producers at work until ``dismiss``."""

    def __init__(
        self,
        scene: Scene,
        watch: Watch,
        chance: random.Random,
        machine: clocks.MachineClock | None,
        plant: str | None = None,
    ) -> None:
        self._plant = plant
        self.scene, self.watch, self._chance = scene, watch, chance
        self._env: Mapping[str, str] = machine.env if machine else {}
        self._own_clocks = not scene.database.is_sqlite and clocks.library() is not None
        self._enough = scene.folder / "enough"
        self.healing = False
        self.store_faults = 0
        self.buried: list[Worker] = []
        self.deaths_unexplained: list[str] = []
        self.workers = [self._worker() for _ in range(WORKERS)]
        self.houses = [self._house() for _ in range(HOUSES)]
        self.producers = [self._producer() for _ in range(PRODUCERS)]

    def fit(self) -> list[Worker]:
        """Return the workers that have a running job and stand under no other fault."""
        return [
            worker
            for worker in self.workers
            if self.watch.running[worker.pid]
            and not (worker.paused or worker.doomed or worker.program.over)
        ]

    def fit_houses(self) -> list[House]:
        """Return the supervisors below which a job runs."""
        return [
            house
            for house in self.houses
            if not (house.doomed or house.program.over) and house.runs_jobs(self.watch)
        ]

    def mend(self) -> None:
        """Replace what is gone."""
        for index, worker in enumerate(self.workers):
            if worker.program.over:
                self._bury(worker)
                self.workers[index] = self._worker()
        for index, house in enumerate(self.houses):
            if house.program.over:
                self._leave(house)
                self.houses[index] = self._house()
        for index, producer in enumerate(self.producers):
            if producer.over and not self.healing:
                self._ended(producer, "a producer", {-signal.SIGKILL})
                self.producers[index] = self._producer()

    def all_begun(self) -> bool:
        return all(worker.pid in self.watch.begun for worker in self.workers)

    def heal(self) -> None:
        """Replace what is gone by sound workers, and let the producers end."""
        self.healing = True
        self._enough.touch()
        self.mend()

    def dismiss(self) -> None:
        """Stop everybody in good order."""
        for producer in self.producers:
            producer.wait(60)
            self._ended(producer, "a producer", {0, -signal.SIGKILL})
        members = [*self.workers, *self.houses]
        for member in members:
            if not member.doomed:
                member.doomed = True
                member.program.send(signal.SIGTERM)
        for member in members:
            member.program.wait(60)
        for worker in self.workers:
            self._bury(worker)
        for house in self.houses:
            self._leave(house)

    def _leave(self, house: House) -> None:
        """Note the end of a supervisor; like a worker it ends by a fault or when asked to."""
        code = house.program.wait()
        self.watch.forget(house.program.pid)
        store_was_away = code == STORE_AWAY and self.store_faults > house.born
        begun = house.program.log.stat().st_size > 0  # before that a signal just ends it
        ends = (0, -signal.SIGKILL, 0 if begun else -signal.SIGTERM)
        if not (store_was_away or (house.doomed and code in ends)):
            self._blame(house.program, f"a supervisor ended by itself with code {code}")

    def _bury(self, worker: Worker) -> None:
        """Note the end of a worker; it may end only by a fault, or because it was asked to."""
        code = worker.program.wait()
        self.watch.forget(worker.pid)
        self.buried.append(worker)
        killed = code == -signal.SIGKILL and (worker.doomed or worker.armed)
        store_was_away = worker.pid not in self.watch.begun and self.store_faults > worker.born
        begun = worker.pid in self.watch.begun
        stopped = worker.doomed and code in (0, 0 if begun else -signal.SIGTERM)
        if not (killed or stopped or store_was_away):
            self._blame(worker.program, f"a worker ended by itself with code {code}")

    def _ended(self, program: Program, who: str, allowed: set[int]) -> None:
        code = program.wait()
        self.watch.forget(program.pid)
        if code not in allowed:
            self._blame(program, f"{who} ended by itself with code {code}")

    def _blame(self, program: Program, what: str) -> None:
        log = program.log.read_text(encoding="utf-8", errors="replace")
        self.deaths_unexplained.append(f"{what} (pid {program.pid})\n{log[-3000:]}")

    def _worker(self) -> Worker:
        chance = self._chance
        point = clock = None
        if not self.healing and chance.random() < ARMED:
            point = f"{chance.choice(FAILPOINTS)}=kill@{chance.randint(2, LATEST_PASSAGE)}"
        elif not self.healing and self._own_clocks and chance.random() < WRONG_CLOCK:
            clock = chance.choice(clocks.WRONG)
        env = clocks.wrong(clock) if clock else self._env
        program = self.scene.worker(
            failpoints=point, plant=self._plant, ready=False, env=env, **SETTINGS
        )
        return Worker(program, armed=point is not None, clock=clock, born=self.store_faults)

    def _house(self) -> House:
        env = {**self._env, LEDGER: str(self.scene.lines)}
        program = self.scene.supervisor(APP, env=env, **SETTINGS)
        return House(program, born=self.store_faults)

    def _producer(self) -> Program:
        return self.scene.producer(
            "steady",
            env=self._env,
            seed=self._chance.randrange(2**32),
            threads=2,
            longest=LONGEST_RUN,
            backlog=BACKLOG,
            until=self._enough,
        )
