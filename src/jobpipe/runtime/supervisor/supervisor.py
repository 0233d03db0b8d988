"""The supervisor: it keeps its places served, and buries who dies in them.

It never imports the application: nothing in there can harm it. It learns the settings in force
and the way to the store from its first child, and renews the leases of all.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

from jobpipe.config.service import ServiceManager
from jobpipe.config.settings import Settings
from jobpipe.runtime import identity
from jobpipe.runtime.executors.thread import Threads
from jobpipe.runtime.options import WatchKit
from jobpipe.runtime.supervisor.burial import Buried, Remains, bury
from jobpipe.runtime.supervisor.condition import condition_of, status_line
from jobpipe.runtime.supervisor.health import HealthServer
from jobpipe.runtime.supervisor.launch import Launcher
from jobpipe.runtime.supervisor.messages import (
    Ended,
    Facts,
    FromChild,
    Frontier,
    Hello,
    Ready,
    Retiring,
    Waning,
    Welcome,
)
from jobpipe.runtime.supervisor.place import Place
from jobpipe.runtime.supervisor.process import ChildProcess, Death, show_stacks
from jobpipe.runtime.supervisor.systemd import Notifier
from jobpipe.runtime.supervisor.watch import Watch
from jobpipe.telemetry.events import (
    ChildBuried,
    ChildDied,
    ChildNotStarted,
    ChildOutstayed,
    ChildStarted,
    ChildStuck,
    StoreLost,
    SupervisorQuiet,
    SupervisorResumed,
    emit,
)

LOOK_SECONDS = 0.25
"""How often pulses, ages and memory are looked at."""

OUTSTAY_SECONDS = 2.0
"""How long beyond the grace a child may take to stop, and how long the last burials may take."""

SHORTEST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Bounds of the wait between two tries to bury, in seconds."""

DUMP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a supervisor is told."""

    launcher: Launcher
    settings: Settings
    connect: Callable[[Facts], WatchKit]
    name: str | None = None
    burst: bool = False
    manager: ServiceManager | None = None


class Supervisor:
    """Runs until a signal ends it, all work is done (burst), or its first child cannot begin."""

    def __init__(self, plan: Plan) -> None:
        self.is_quiet = False
        self.is_stopping = False
        self.is_burst = plan.burst
        self.places: list[Place] = []
        self.watches: dict[int, Watch] = {}
        self._plan = plan
        self._started = identity.pid_started(os.getpid())
        self._children: dict[ChildProcess, Place] = {}
        self._facts: Facts | None = None
        self._kit: WatchKit | None = None
        self._has_worked = False
        """A child has once been ready."""
        self._code = 0
        self._error: BaseException | None = None
        self._received: list[int] = []
        self._threads = Threads()
        self._tasks: set[asyncio.Task[None]] = set()
        self._burials: set[asyncio.Task[None]] = set()
        self._notifier = Notifier(plan.manager)
        self._health: HealthServer | None = None

    def run(self) -> int:
        """Return the exit code; raises ConfigError."""
        return asyncio.run(self._main())

    async def _main(self) -> int:
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._take_signals()
        try:
            await self._answer_at(self._plan.settings.health_port)
            self._open_place(0, self._plan.settings.processes)
            self._reap()  # one that was started ahead of us may have ended before we heard signals
            self._spawn(self._look())
            while not self._is_over():
                self._changed.clear()
                await self._changed.wait()
                if self.is_stopping:
                    await self._stopped()
            await self._buried()
        finally:
            await self._close()
        if self._error is not None:
            raise self._error
        code = self._code or max(place.code for place in self.places)
        return 128 + self._received[1] if len(self._received) > 1 else code

    # What places ask for

    def start(self, place: Place, *, quiet: bool) -> ChildProcess | None:
        """Start a process for a place; None when the system has no room for it."""
        welcome = Welcome(
            name=place.name,
            supervisor_pid=os.getpid(),
            supervisor_started=self._started,
            greets=not self._children and self._facts is None,
            quiet=quiet,
        )
        try:
            launched = self._plan.launcher.launch()
        except OSError as error:
            emit(ChildNotStarted(worker=place.name, why=str(error)))
            return None
        child = ChildProcess(launched, welcome, self._hear)
        self._children[child] = place
        emit(ChildStarted(worker=place.name, pid=child.pid))
        return child

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call soon, on the loop."""
        if seconds:
            self._loop.call_later(seconds, call)
        else:
            call()

    def _open_place(self, number: int, count: int) -> None:
        name = self._plan.name or f"{socket.gethostname()}-{os.getpid()}"
        place = Place(self, f"{name}-{number + 1}" if count > 1 else name)
        self.places.append(place)
        place.fill()

    # What children say

    def _hear(self, child: ChildProcess, message: FromChild) -> None:
        place = self._children[child]
        match message:
            case Hello():
                self._greeted(child, message)
            case Ready():
                self._begun(child)
            case Frontier(worker_id=worker_id, ranks=ranks):
                if worker_id in self.watches:
                    self.watches[worker_id].publish(ranks)
            case Waning():
                place.prepare()
            case Retiring():
                place.retiring(child)
            case Ended(worker_id=worker_id):
                self._unwatch(child, worker_id)
        self._changed.set()

    def _greeted(self, child: ChildProcess, hello: Hello) -> None:
        is_first = self._facts is None
        self._facts = hello.facts
        if hello.facts.is_shared:
            if self._kit is None:
                self._kit = self._plan.connect(hello.facts)
            child.incarnations.append(hello.worker_id)
            self.watches[hello.worker_id] = Watch(self._kit, child, hello)
        child.hello = hello
        if is_first and hello.facts.is_shared:
            for number in range(1, hello.facts.processes):
                self._open_place(number, hello.facts.processes)
        if is_first and self._health is None:
            self._spawn(self._answer_at(hello.facts.health_port))

    def _begun(self, child: ChildProcess) -> None:
        self._has_worked = True
        if child.ready_at is None:
            child.ready_at = time.monotonic()
            self._children[child].ready(child)
        if all(place.is_served for place in self.places):
            self._notifier.ready()

    def _unwatch(self, child: ChildProcess, worker_id: int) -> None:
        if worker_id not in child.incarnations:
            return
        child.incarnations.remove(worker_id)
        watch = self.watches.pop(worker_id, None)
        if watch is not None:
            watch.unlock()
            self._in_thread(watch.end)

    # Deaths

    def _reap(self) -> None:
        for child in list(self._children):
            death = child.reap()
            if death is not None:
                self._died(child, death)
        self._changed.set()

    def _died(self, child: ChildProcess, death: Death) -> None:
        place = self._children.pop(child)
        running = child.page.running()
        cause = child.killed_for or death.cause
        has_told = child.hello is None and (self.is_stopping or death.has_told)
        if death.code != 0 and not has_told:
            emit(ChildDied(worker=child.name, pid=child.pid, cause=cause, running=len(running)))
        watches = [self.watches.pop(each) for each in child.incarnations if each in self.watches]
        if child.incarnations and self._kit and self._facts:
            remains = child.remains(death, self._facts)
            burial = self._spawn(self._bury(self._kit, child.name, remains, watches))
            self._burials.add(burial)
            burial.add_done_callback(self._burials.discard)
        child.close()
        if not self._has_worked and place is self.places[0] and not self.is_stopping:
            self._code = death.exit_code
            self._stop()
        place.ended(child, death, was_working=bool(running))

    async def _bury(self, kit: WatchKit, name: str, remains: Remains, watches: list[Watch]) -> None:
        """Settle what the dead worker held, however often that must be tried."""
        for watch in watches:
            self._in_thread(watch.end)
        pause = SHORTEST_PAUSE
        while True:
            try:
                arguments = (kit.store, kit.hub, remains)
                done: Buried = await self._threads.run(copy_context(), bury, arguments, {})
            except Exception as error:  # whatever it is; when the lease ends, others sweep
                if pause == SHORTEST_PAUSE:
                    emit(StoreLost(doing=f"settling the jobs of {name}", why=str(error)))
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            for watch in watches:
                watch.unlock()
            charged, suspects, back = done.charged, done.suspects, done.given_back
            emit(ChildBuried(worker=name, charged=charged, suspects=suspects, given_back=back))
            return

    # Looking after the living

    async def _look(self) -> None:
        while True:
            facts = self._facts
            for child, place in list(self._children.items()):
                show_stacks(child.look_at_dump())
                if facts is None or not child.is_ready:
                    continue
                if child.silent_seconds() > facts.pulse_seconds and child.killed_for is None:
                    self._spawn(self._end_stuck(child, facts.pulse_seconds))
                if place.serving is child and not self.is_stopping:
                    place.renew_if_due(facts.max_seconds, facts.max_memory)
            self._notifier.status(status_line(self.places, list(self._children)))
            if all(child.killed_for is None for child in self._children):
                self._notifier.alive()
            await asyncio.sleep(LOOK_SECONDS)

    async def _end_stuck(self, child: ChildProcess, seconds: float) -> None:
        child.killed_for = f"no pulse for {seconds:g} s"
        emit(ChildStuck(worker=child.name, pid=child.pid, seconds=seconds))
        show_stacks(await child.dumped(DUMP_SECONDS))
        child.kill(None)

    async def _dump_all(self) -> None:
        show_stacks(f"stacks of the supervisor (pid {os.getpid()}):\n")
        faulthandler.dump_traceback(sys.__stderr__ or sys.stderr, all_threads=True)
        for child in list(self._children):
            if child.is_ready:
                show_stacks(f"stacks of {child.name} (pid {child.pid}):\n")
                show_stacks(await child.dumped(DUMP_SECONDS))

    def _condition(self) -> dict[str, Any]:
        away = any(watch.is_failing for watch in self.watches.values())
        return condition_of(self.places, list(self._children), away, self.is_stopping)

    # The end

    def _take_signals(self) -> None:
        on = self._loop.add_signal_handler
        on(signal.SIGCHLD, self._reap)
        on(signal.SIGTERM, self._told_to_stop, signal.SIGTERM)
        on(signal.SIGINT, self._told_to_stop, signal.SIGINT)
        on(signal.SIGUSR1, lambda: self._spawn(self._dump_all()))
        on(signal.SIGTSTP, self._be_quiet, True)
        on(signal.SIGCONT, self._be_quiet, False)

    def _told_to_stop(self, number: int) -> None:
        self._received.append(number)
        self._stop()

    def _stop(self) -> None:
        self.is_stopping = True
        self._notifier.stopping()
        for child in self._children:
            child.stop()
        self._changed.set()

    def _be_quiet(self, on: bool) -> None:
        if on != self.is_quiet:
            self.is_quiet = on
            emit(SupervisorQuiet() if on else SupervisorResumed())
            for place in self.places:
                if place.serving is not None:
                    place.serving.quiet(on)

    def _is_over(self) -> bool:
        if self._children:
            return False
        return self.is_stopping or all(place.is_closed for place in self.places)

    async def _stopped(self) -> None:
        """Wait for the children, within the grace; end those that stay longer."""
        facts = self._facts
        grace = facts.shutdown_seconds if facts else self._plan.settings.shutdown_seconds
        deadline = self._loop.time() + grace + OUTSTAY_SECONDS
        while self._children:
            if len(self._received) > 1:
                deadline = min(deadline, self._loop.time() + OUTSTAY_SECONDS)
            self._changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                for child in self._children:
                    emit(ChildOutstayed(worker=child.name, pid=child.pid))
                    child.kill("it did not stop", blameless=True)
                deadline = float("inf")

    async def _buried(self) -> None:
        if self._burials:
            await asyncio.wait(self._burials, timeout=OUTSTAY_SECONDS)

    async def _close(self) -> None:
        self._plan.launcher.close()
        for child in self._children:
            child.kill("the supervisor ended", blameless=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._health is not None:
            self._health.close()
        self._notifier.close()
        for watch in self.watches.values():
            self._in_thread(watch.end)
        if self._kit is not None:
            kit = self._kit
            await asyncio.wait([self._in_thread(kit.close)], timeout=OUTSTAY_SECONDS)

    async def _answer_at(self, address: str | None) -> None:
        if address is not None:
            self._health = HealthServer(address, self._condition)
            await self._health.start()

    def _in_thread(self, call: Callable[[], None]) -> asyncio.Future[Any]:
        return self._threads.run(copy_context(), call, (), {})

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._part_ended)
        return task

    def _part_ended(self, task: asyncio.Task[None]) -> None:
        """None may fail; after that, supervision is not what it is taken for."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._error = self._error or error
            self._stop()
