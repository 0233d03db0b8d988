"""Chooses faults at random and brings them about; notes whether each met a running job.

What a fault met is what the ledger of the run shows at that moment: a run that began in the
process (of a fault of the store: in any process) and has not ended.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from contextlib import closing

import psycopg

from tests.process.history import CLOCK_SET
from tests.process.torture.clocks import MachineClock
from tests.process.torture.fleet import LEASE_SECONDS, Fleet, Worker
from tests.process.torture.places import PostgresPlace, SqlitePlace
from tests.process.torture.record import Count

LONGEST_PAUSE = 2.0 * LEASE_SECONDS
FULL_SECONDS = (0.5, 3.0)
ONE_BACKEND = """\
SELECT pg_terminate_backend(pid) FROM (
    SELECT pid FROM pg_stat_activity
    WHERE datname = %s AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1
) AS one"""


class Pause:
    """A worker that stands still, and when it may go on at the earliest."""

    def __init__(self, worker: Worker, until: float, leases_ended: int, *, met: bool) -> None:
        self.worker, self.until, self.leases_ended = worker, until, leases_ended
        self.met = met
        self.began = time.monotonic()
        self.over = False


class Nemesis:
    """Does harm to one fleet and its store."""

    def __init__(
        self,
        fleet: Fleet,
        place: SqlitePlace | PostgresPlace,
        chance: random.Random,
        machine: MachineClock | None,
        only: str | None = None,
    ) -> None:
        self.counts: dict[str, Count] = {}
        self._fleet, self._place, self._chance, self._machine = fleet, place, chance, machine
        self._scene, self._watch = fleet.scene, fleet.watch
        self._pauses: list[Pause] = []
        known = self._known()
        self._faults = [each for each in known if only in (None, each[0].__name__)]

    def strike(self) -> None:
        """Bring about one fault; those of workers wait for one that has a running job."""
        faults, weights = zip(*self._faults, strict=True)
        self._chance.choices(faults, weights)[0]()

    def tend(self) -> None:
        """Wake the workers that have stood still for long enough."""
        for pause in list(self._pauses):
            worker = pause.worker
            if worker.program.over:
                self._pauses.remove(pause)
            elif pause.over:
                if self._knows(pause):
                    self._scene.ledger.write("over", whom=worker.pid)
                    worker.paused = False
                    self._pauses.remove(pause)
            elif self._may_wake(pause):
                self._count("SIGSTOP past the lease", met=pause.met)
                worker.program.send(signal.SIGCONT)
                pause.over = True

    def heal(self) -> None:
        """End every harm that lasts."""
        self._place.disk.free()
        if self._machine is not None:
            self._scene.ledger.write("fault", how=CLOCK_SET)
            self._machine.heal()
            self._scene.ledger.write("over")

    @property
    def done(self) -> int:
        """How many faults there were."""
        return sum(count.injected for count in self.counts.values())

    @property
    def at_rest(self) -> bool:
        """Whether nobody stands still any more."""
        return not self._pauses

    def note_dead(self) -> None:
        """Count the workers that died at a failpoint, and those that worked with a wrong clock."""
        entries = self._scene.entries()
        started = {entry.pid for entry in entries if entry.what == "start"}
        ended = {(e.pid, e.job, e.token) for e in entries if e.what == "end"}
        cut = {e.pid for e in entries if e.what == "start" and (e.pid, e.job, e.token) not in ended}
        for worker in self._fleet.buried:
            if worker.armed and not worker.doomed:
                self._count("SIGKILL at a failpoint", met=worker.pid in cut)
            if worker.clock is not None:
                self._count(f"clock {worker.clock}", met=worker.pid in started)

    # The faults

    def _known(self) -> list[tuple[Callable[[], None], float]]:
        faults: list[tuple[Callable[[], None], float]] = [
            (self.kill_one, 10),
            (self.kill_two, 2),
            (self.kill_all, 1),
            (self.kill_producer, 2),
            (self.pause, 14),
            (self.terminate, 3),
            (self.kill_child, 4),
            (self.kill_supervisor, 2),
            (self.terminate_supervisor, 1),
        ]
        if self._place.disk.own:
            faults.append((self.fill_disk, 1.5))
        if self._machine is not None:
            faults.append((self.set_clock, 3))
        if self._place.server is not None:
            faults += [(self.restart, 3), (self.cut_all, 2), (self.cut_one, 4)]
        return faults

    def kill_one(self) -> None:
        self._kill("SIGKILL of a worker", 1)

    def kill_two(self) -> None:
        self._kill("SIGKILL of two workers", 2)

    def kill_all(self) -> None:
        """All that live, also those that stand still."""
        victims = [worker for worker in self._fleet.workers if not worker.program.over]
        self._kill_these("SIGKILL of all workers", victims)

    def _kill(self, name: str, number: int) -> None:
        fit = self._fleet.fit()
        if len(fit) >= number:
            self._kill_these(name, self._chance.sample(fit, number))

    def _kill_these(self, name: str, victims: list[Worker]) -> None:
        self._watch.look()
        self._count(name, met=any(self._watch.running[worker.pid] for worker in victims))
        for worker in victims:
            worker.doomed = True
            self._scene.fault(worker.program, signal.SIGKILL)
        for worker in victims:
            worker.program.wait()

    def kill_producer(self) -> None:
        """It runs no job itself, so it counts when jobs run elsewhere."""
        self._count_store_fault("SIGKILL of a producer", store=False)
        self._scene.kill(self._chance.choice(self._fleet.producers))

    def pause(self) -> None:
        fit = self._fleet.fit()
        if len(fit) < 2:
            return
        worker = self._chance.choice(fit)
        self._watch.look()
        met, leases = bool(self._watch.running[worker.pid]), self._watch.leases_ended[worker.pid]
        worker.paused = True
        self._scene.fault(worker.program, signal.SIGSTOP)
        until = time.monotonic() + LEASE_SECONDS * self._chance.uniform(1.1, 1.6)
        self._pauses.append(Pause(worker, until, leases, met=met))

    def terminate(self) -> None:
        """No harm, but work comes to an end; it may be given back."""
        fit = self._fleet.fit()
        if fit:
            worker = self._chance.choice(fit)
            self._count("SIGTERM of a worker", met=True)
            worker.doomed = True
            self._scene.fault(worker.program, signal.SIGTERM)

    def kill_child(self) -> None:
        if houses := self._fleet.fit_houses():
            self._count("SIGKILL of a supervised worker", met=True)
            self._chance.choice(houses).kill_child(self._scene.ledger, self._watch)

    def kill_supervisor(self) -> None:
        if houses := self._fleet.fit_houses():
            self._count("SIGKILL of a supervisor", met=True)
            self._chance.choice(houses).kill(self._scene.ledger, self._watch)

    def terminate_supervisor(self) -> None:
        if houses := self._fleet.fit_houses():
            self._count("SIGTERM of a supervisor", met=True)
            house = self._chance.choice(houses)
            house.doomed = True
            house.program.send(signal.SIGTERM)

    def fill_disk(self) -> None:
        self._count_store_fault("full disk")
        self._scene.ledger.write("fault", how="full disk")
        self._place.disk.fill()
        time.sleep(self._chance.uniform(*FULL_SECONDS))
        self._place.disk.free()
        self._scene.ledger.write("over")

    def set_clock(self) -> None:
        assert self._machine is not None
        hours = self._chance.choice([-24, -1, 0, 1, 24])
        self._count_store_fault("clock set")
        self._scene.ledger.write("fault", how=CLOCK_SET)
        self._machine.set(hours)
        self._scene.ledger.write("over")

    def restart(self) -> None:
        server = self._place.server
        assert server is not None
        self._count_store_fault("immediate restart")
        self._scene.ledger.write("fault", how="immediate restart")
        server.stop("immediate")
        server.start()
        self._scene.ledger.write("over")

    def cut_all(self) -> None:
        server = self._place.server
        assert server is not None
        self._count_store_fault("all backends terminated")
        self._scene.ledger.write("fault", how="all backends terminated")
        server.terminate_backends(self._scene.url)
        self._scene.ledger.write("over")

    def cut_one(self) -> None:
        server = self._place.server
        assert server is not None
        self._count_store_fault("a backend terminated")
        self._scene.ledger.write("fault", how="a backend terminated")
        database = self._scene.url.rsplit("/", maxsplit=1)[-1]
        with closing(psycopg.connect(server.url(), autocommit=True)) as connection:
            connection.execute(ONE_BACKEND, [database])
        self._scene.ledger.write("over")

    # How

    def _count_store_fault(self, name: str, *, store: bool = True) -> None:
        self._watch.look()
        self._count(name, met=any(self._watch.running.values()))
        self._fleet.store_faults += store

    def _count(self, name: str, *, met: bool) -> None:
        count = self.counts.setdefault(name, Count())
        count.injected += 1
        count.met += met

    def _may_wake(self, pause: Pause) -> bool:
        """Its lease is over and it was swept; on SQLite it may hold the lock, so nobody can."""
        if time.monotonic() < pause.until:
            return False
        waited_enough = time.monotonic() > pause.began + LONGEST_PAUSE
        return waited_enough or not self._scene.is_registered(pause.worker.program)

    def _knows(self, pause: Pause) -> bool:
        """It has heard that its lease is lost; or it was not, and nothing is to be heard."""
        worker = pause.worker
        if self._watch.leases_ended[worker.pid] > pause.leases_ended:
            return True
        return time.monotonic() > pause.began + 2 * LONGEST_PAUSE
