"""Who finds nobody writing writes by himself; what waits is written by the writer's thread."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from jobpipe.errors import StoreUnavailable
from jobpipe.store.port import Mode, Op, Operation
from jobpipe.store.sqlite import writer as writers
from jobpipe.store.sqlite.waiting import Awaited, Waiting
from jobpipe.store.sqlite.writer import Writer
from tests.waiting import until

ENOUGH_SECONDS = 20


class Interrupted(BaseException):
    """What a signal's handler raises in a thread."""


class Place:
    """A writer whose operations are functions of the connection, by name; it keeps a log."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.said: list[str] = []
        self.actions: dict[str, Callable[[sqlite3.Connection], Any]] = {}
        self.writer = Writer(self.path, self._open, self._run, self._committed)
        self.hold, self.held = threading.Event(), threading.Event()
        self.handed = 0
        """How many operations have been handed over."""
        self._hand_over = self.writer._hand_over
        self.writer._hand_over = self._count  # type: ignore[method-assign]

    def _count(self, work: Waiting) -> None:
        self._hand_over(work)
        self.handed += 1

    def add(self, number: int) -> Operation[Any]:
        def insert(connection: sqlite3.Connection) -> int:
            connection.execute("INSERT INTO item VALUES (?)", (number,))
            return number

        return self.doing(f"add {number}", insert)

    def waiting(self, number: int, then: Callable[[], None] = lambda: None) -> Operation[Any]:
        """Add a number, and keep the place until ``hold`` is set."""

        def insert(connection: sqlite3.Connection) -> int:
            connection.execute("INSERT INTO item VALUES (?)", (number,))
            self.held.set()
            assert self.hold.wait(ENOUGH_SECONDS)
            then()
            return number

        return self.doing(f"wait {number}", insert)

    def doing(self, name: str, action: Callable[[sqlite3.Connection], Any]) -> Operation[Any]:
        self.actions[name] = action
        return Operation(name, Mode.TRANSACTION, _nothing)

    def stored(self) -> list[int]:
        with closing(sqlite3.connect(self.path)) as connection:
            return [n for (n,) in connection.execute("SELECT n FROM item ORDER BY n")]

    def commits(self) -> int:
        return self.said.count("COMMIT")

    def wait_for_line(self, length: int) -> None:
        """Wait until so many have been handed over."""
        until(lambda: self.handed == length)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute("CREATE TABLE IF NOT EXISTS item (n INTEGER PRIMARY KEY)")
        connection.set_trace_callback(self.said.append)
        return connection

    def _run(self, connection: sqlite3.Connection, operation: Operation[Any]) -> Any:
        return self.actions[operation.name](connection)

    def _committed(self, connection: sqlite3.Connection) -> None:
        assert not connection.in_transaction


def _nothing() -> Op[None]:
    yield from ()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path / "items.db")
    yield place
    place.hold.set()
    place.writer.close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as pool:
        yield pool


def behind(place: Place, threads: ThreadPoolExecutor, wanted: list[Operation[Any]]) -> list[Any]:
    """Let threads ask while the place is taken; they stand in line in this order."""
    waits: list[Future[Any]] = []
    for n, operation in enumerate(wanted):
        waits.append(threads.submit(place.writer.run, operation))
        place.wait_for_line(n + 1)
    return waits


def test_who_is_alone_writes_on_his_own_thread_without_a_savepoint(place: Place) -> None:
    def who(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO item VALUES (1)")
        return threading.current_thread().name

    assert place.writer.run(place.doing("who", who)) == threading.current_thread().name
    assert [text for text in place.said if text.split()[0] in ("BEGIN", "SAVEPOINT", "COMMIT")] == [
        "BEGIN IMMEDIATE",
        "COMMIT",
    ]
    assert place.stored() == [1]


def test_threads_that_wait_share_a_commit_and_get_their_own_answers(
    place: Place, threads: ThreadPoolExecutor
) -> None:
    first = threads.submit(place.writer.run, place.waiting(0))
    assert place.held.wait(ENOUGH_SECONDS)
    waits = behind(place, threads, [place.add(n) for n in range(1, 31)])
    waits += [place.writer.submit(place.add(n)) for n in range(31, 36)]
    place.hold.set()
    assert first.result(ENOUGH_SECONDS) == 0
    assert [wait.result(ENOUGH_SECONDS) for wait in waits] == list(range(1, 36))
    assert place.stored() == list(range(36))
    assert place.commits() == 2


def test_one_that_fails_leaves_the_others_alone(place: Place, threads: ThreadPoolExecutor) -> None:
    place.writer.run(place.add(3))
    first = threads.submit(place.writer.run, place.waiting(0))
    assert place.held.wait(ENOUGH_SECONDS)
    waits = behind(place, threads, [place.add(n) for n in (1, 3, 5)])
    place.hold.set()
    assert first.result(ENOUGH_SECONDS) == 0
    with pytest.raises(sqlite3.IntegrityError):
        waits[1].result(ENOUGH_SECONDS)
    assert [waits[0].result(ENOUGH_SECONDS), waits[2].result(ENOUGH_SECONDS)] == [1, 5]
    with pytest.raises(sqlite3.IntegrityError):
        place.writer.run(place.add(5))
    assert place.writer.run(place.add(6)) == 6
    assert place.stored() == [0, 1, 3, 5, 6]


def test_many_threads_at_once_and_futures_among_them(
    place: Place, threads: ThreadPoolExecutor
) -> None:
    def ask(n: int) -> Any:
        number = n * 10
        return [
            place.writer.run(place.add(number)),
            place.writer.submit(place.add(number + 1)).result(ENOUGH_SECONDS),
            place.writer.run(place.add(number + 2)),
        ]

    answers = [wait.result(ENOUGH_SECONDS) for wait in [threads.submit(ask, n) for n in range(40)]]
    assert answers == [[n * 10, n * 10 + 1, n * 10 + 2] for n in range(40)]
    assert len(place.stored()) == 120


def interrupt() -> None:
    raise Interrupted


def test_who_is_interrupted_before_the_commit_has_stored_nothing(
    place: Place, threads: ThreadPoolExecutor
) -> None:
    first = threads.submit(place.writer.run, place.waiting(0, interrupt))
    assert place.held.wait(ENOUGH_SECONDS)
    waits = behind(place, threads, [place.add(1), place.add(2)])
    place.hold.set()
    with pytest.raises(Interrupted):
        first.result(ENOUGH_SECONDS)
    assert [wait.result(ENOUGH_SECONDS) for wait in waits] == [1, 2]
    assert place.stored() == [1, 2]


def test_who_is_interrupted_by_the_commit_harms_nobody_else(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = writers.commit

    def commit_and_interrupt(connection: sqlite3.Connection) -> None:
        commit(connection)
        monkeypatch.setattr(writers, "commit", commit)
        raise Interrupted

    monkeypatch.setattr(writers, "commit", commit_and_interrupt)
    with pytest.raises(Interrupted):
        place.writer.run(place.add(0))
    assert place.writer.run(place.add(1)) == 1
    assert place.stored() == [0, 1]


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Nobody's finalizer runs, in which an interrupt would be lost."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_an_interrupt_at_any_call_leaves_the_place_free(
    place: Place, threads: ThreadPoolExecutor
) -> None:
    steps = at = 0

    def step(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal steps
        steps += event in ("call", "c_return")  # where the interpreter looks for signals
        if steps == at and event in ("call", "c_return"):
            sys.setprofile(None)
            raise Interrupted

    interrupts = 0
    for at in range(1, 200):
        steps = 0
        sys.setprofile(step)
        try:
            place.writer.run(place.doing("alone", lambda _connection: None))
        except Interrupted:
            interrupts += 1
        finally:
            sys.setprofile(None)
        answer = threads.submit(place.writer.run, place.add(at))
        assert answer.result(ENOUGH_SECONDS) == at
        if steps < at:
            break
    assert 20 < interrupts < 199, "every call of it has been interrupted once"


def test_who_gives_up_in_line_has_nothing_stored(place: Place, threads: ThreadPoolExecutor) -> None:
    first = threads.submit(place.writer.run, place.waiting(0))
    assert place.held.wait(ENOUGH_SECONDS)
    given_up, kept = place.writer.submit(place.add(1)), place.writer.submit(place.add(2))
    assert given_up.cancel()
    place.hold.set()
    assert first.result(ENOUGH_SECONDS) == 0
    assert kept.result(ENOUGH_SECONDS) == 2
    with pytest.raises(CancelledError):
        given_up.result(ENOUGH_SECONDS)
    assert place.stored() == [0, 2]


def test_closing_commits_what_waits_and_refuses_what_comes_later(
    place: Place, threads: ThreadPoolExecutor
) -> None:
    first = threads.submit(place.writer.run, place.waiting(0))
    assert place.held.wait(ENOUGH_SECONDS)
    waits = [*behind(place, threads, [place.add(1)]), place.writer.submit(place.add(2))]
    closing_thread = threads.submit(place.writer.close)
    place.hold.set()
    closing_thread.result(ENOUGH_SECONDS)
    assert [wait.result(ENOUGH_SECONDS) for wait in (first, *waits)] == [0, 1, 2]
    place.writer.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        place.writer.run(place.add(3))
    with pytest.raises(StoreUnavailable, match="closed"):
        place.writer.submit(place.add(3)).result()
    assert place.stored() == [0, 1, 2]


def test_what_interrupts_a_writing_thread_is_refused_and_does_not_wait_for_ever(
    place: Place,
) -> None:
    def again(_connection: sqlite3.Connection) -> None:
        with pytest.raises(StoreUnavailable, match="interrupts"):
            place.writer.run(place.add(1))

    place.writer.run(place.doing("again", again))
    assert place.stored() == []


async def in_line(place: Place, numbers: list[int]) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.create_task(place.writer.arun(place.add(n))) for n in numbers]
    await asyncio.sleep(0)
    place.wait_for_line(len(numbers))
    return tasks


def test_a_loop_shares_a_commit_and_each_call_gets_its_own_answer(
    place: Place, threads: ThreadPoolExecutor
) -> None:
    async def work() -> None:
        tasks = await in_line(place, [1, 2, 3, 1])
        tasks[1].cancel()
        await asyncio.sleep(0)
        place.hold.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [answers[0], answers[2]] == [1, 3]
        assert isinstance(answers[1], asyncio.CancelledError)
        assert isinstance(answers[3], sqlite3.IntegrityError)

    first = threads.submit(place.writer.run, place.waiting(0))
    assert place.held.wait(ENOUGH_SECONDS)
    asyncio.run(work())
    assert first.result(ENOUGH_SECONDS) == 0
    assert place.stored() == [0, 1, 3]
    assert place.commits() == 2


def test_a_loop_that_was_closed_keeps_nobody_from_his_answer(
    place: Place, threads: ThreadPoolExecutor
) -> None:
    first = threads.submit(place.writer.run, place.waiting(0))
    assert place.held.wait(ENOUGH_SECONDS)

    async def hand_over() -> None:
        place.writer._hand_over(Awaited(place.add(1), None))

    asyncio.run(hand_over())
    handed = place.writer.submit(place.add(2))
    place.hold.set()
    assert first.result(ENOUGH_SECONDS) == 0
    assert handed.result(ENOUGH_SECONDS) == 2
    assert place.stored() == [0, 1, 2]
