"""A worker process's end of its supervision: its seat, its lease, and what it is told.

A child dies with its supervisor: by the kernel's hand on Linux, elsewhere when the socket closes.
While the supervisor lives but does not renew (it may be stopped), the child notices by itself.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import socket
from collections.abc import Callable
from time import monotonic  # bound here: a task that replaces time.monotonic moves no lease

import msgspec

from jobpipe.errors import ConfigError, StoreUnavailable
from jobpipe.model.job import Lane
from jobpipe.runtime.executors import confine
from jobpipe.runtime.heartbeat import MARGIN_SHARE
from jobpipe.runtime.seat import Intake, Lease, OwnLease, Terms, tick_seconds
from jobpipe.runtime.supervisor.link import ORPHANED, Link, read_line
from jobpipe.runtime.supervisor.messages import (
    Ended,
    Facts,
    FromSupervisor,
    Frontier,
    Hello,
    Lost,
    Quiet,
    Ready,
    Retire,
    Retiring,
    Stop,
    Waning,
    Welcome,
    ranks_of,
)
from jobpipe.runtime.supervisor.page import Page
from jobpipe.runtime.worker import Worker
from jobpipe.store.ops.worker import renew

WELCOME_SECONDS = 30.0


class SupervisedSeat:
    """The seat of a worker of ``jobpipe worker``."""

    def __init__(self, end: socket.socket, page: Page) -> None:
        self.page = page
        self.intake = Intake()
        self._end = end
        welcome = msgspec.json.decode(read_line(end, WELCOME_SECONDS), type=Welcome)
        confine.die_with(welcome.supervisor_pid)
        self.welcome = welcome
        self.intake.quiet = welcome.quiet
        self._facts: Facts | None = None
        self._link: Link[FromSupervisor] | None = None
        self._worker: Worker | None = None
        self._beating: asyncio.TimerHandle | None = None
        self._leases: dict[int, SupervisedLease] = {}

    @property
    def started(self) -> Page:
        return self.page

    @property
    def supervisor(self) -> tuple[int | None, str]:
        return self.welcome.supervisor_pid, self.welcome.supervisor_started

    def introduce(self, facts: Facts, quota: int | None) -> None:
        """Note what the supervisor is to know, and how many jobs this process may take."""
        self._facts = facts
        self.intake = Intake(quota, half_taken=lambda: self.send(Waning()))
        self.intake.quiet = self.welcome.quiet

    def attach(self, worker: Worker) -> None:
        """Listen to the supervisor from now on, on the running loop."""
        self._worker = worker
        decoder = msgspec.json.Decoder(FromSupervisor)
        self._link = Link(self._end, decoder, self._hear, lambda: os._exit(ORPHANED))
        self._beat()

    def _beat(self) -> None:
        """Show the pulse of the loop: also before, between and after its incarnations."""
        assert self._facts is not None
        self.page.beat()
        pause = tick_seconds(self._facts.pulse_seconds)
        self._beating = asyncio.get_running_loop().call_later(pause, self._beat)

    def detach(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
        if self._link is not None:
            self._link.close()
            self._link = None

    def lease(self, terms: Terms) -> Lease:
        if not terms.kit.store.capabilities.shared:
            self.greet(terms.worker_id, terms.options.name)
            return OwnLease(terms)
        lease = SupervisedLease(self, terms)
        self._leases = {terms.worker_id: lease}
        return lease

    def ready(self) -> None:
        self.send(Ready())

    def retiring(self) -> None:
        self.send(Retiring())

    def send(self, message: msgspec.Struct) -> None:
        if self._link is not None:
            self._link.send(message)

    def greet(self, worker_id: int, name: str) -> None:
        """Tell the supervisor of a new incarnation."""
        assert self._facts is not None
        self.send(Hello(worker_id, name, self._facts))

    def _hear(self, message: FromSupervisor) -> None:
        worker = self._worker
        assert worker is not None
        match message:
            case Stop():
                worker.stop()
            case Retire():
                self.intake.retiring.set()
            case Quiet(on=on):
                self.intake.quiet = on
                if not on:
                    worker.look()
            case Lost(worker_id=worker_id, why=why):
                if worker_id in self._leases:
                    self._leases[worker_id].lost(why)
            case Welcome():
                pass


class SupervisedLease:
    """A lease that the supervisor renews as long as it sees the pulse."""

    def __init__(self, seat: SupervisedSeat, terms: Terms) -> None:
        self._seat, self._terms, self._page = seat, terms, seat.page
        self._published: dict[Lane, int] = {}
        self._asking: asyncio.Task[None] | None = None
        self.lost: Callable[[str], None] = terms.lost

    def start(self) -> None:
        now = monotonic()
        is_new_to_locks = self._terms.kit.store.capabilities.exclusive_writer  # see Heartbeat
        self._page.renewed(now, now if is_new_to_locks else 0.0)
        self._seat.greet(self._terms.worker_id, self._terms.options.name)

    async def stop(self) -> None:
        self._seat.send(Ended(self._terms.worker_id))
        if self._asking is not None:
            self._asking.cancel()

    def tick(self) -> None:
        frontier = dict(self._terms.frontier())
        if frontier != self._published:
            self._published = frontier
            self._seat.send(Frontier(self._terms.worker_id, ranks_of(frontier)))
        silent = monotonic() - self._page.renewed_at
        if silent > self._terms.options.lease_seconds * (1 - MARGIN_SHARE) and (
            self._asking is None or self._asking.done()
        ):
            self._asking = asyncio.create_task(self._ask())

    def was_late(self) -> bool:
        now, lease = monotonic(), self._terms.options.lease_seconds
        return now - self._page.renewed_at > lease / 2 or now - self._page.late_at < lease

    async def _ask(self) -> None:
        """The supervisor does not renew: it is stopped, or the store is away. Try it ourselves."""
        kit, lease = self._terms.kit, self._terms.options.lease_seconds
        before_end = lease * MARGIN_SHARE / 2
        limit = None if kit.store.capabilities.exclusive_writer else before_end
        began = monotonic()
        operation = renew(self._terms.worker_id, round(lease * 1e6), self._terms.frontier())
        try:
            async with asyncio.timeout(limit):
                alive = await kit.store.run(operation)
        except (StoreUnavailable, TimeoutError):
            if limit is not None:  # where writers exclude each other, nobody else could sweep
                self.lost("it could not be renewed in time")
            return
        if alive:
            self._page.renewed(began, began)
        else:
            self.lost("the store has taken it away")


def take_seat(descriptors: str) -> SupervisedSeat:
    """Begin as a child: ``descriptors`` name the socket and the page, as ``7,8``."""
    link, comma, page = descriptors.partition(",")
    if not comma or not link.isdigit() or not page.isdigit():
        raise ConfigError("--child-of is how a supervisor starts its workers, and not for people")
    numbers = int(link), int(page)
    for number in numbers:  # what a job starts shall not hold them
        os.set_inheritable(number, False)
    seat = SupervisedSeat(socket.socket(fileno=numbers[0]), Page(numbers[1]))
    faulthandler.enable(numbers[1], all_threads=True)
    faulthandler.register(signal.SIGUSR1, numbers[1], all_threads=True)
    return seat
