"""What running jobs say, while somebody else takes them over on PostgreSQL: who waits for whom."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any, TypeVar

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import set_json_loads

from jobpipe.model.job import Claimed, Lane, NewJob
from jobpipe.model.report import Checkpoint, LogLine, Progress
from jobpipe.model.worker import NewWorker
from jobpipe.store.ops import claim, read, report
from jobpipe.store.ops.claim import Held
from jobpipe.store.ops.enqueue import enqueue
from jobpipe.store.ops.worker import register
from jobpipe.store.port import Operation
from jobpipe.store.postgres import dialect
from jobpipe.store.postgres.driver import PostgresStore
from jobpipe.store.stepping import step
from tests.integration.test_hot import executor
from tests.waiting import until

T = TypeVar("T")
LANE = Lane("default", 0)
ABOUT = NewWorker(name="w", host="h", pid=1, pid_started="0", slots=1, queues=["*"])


class Party:
    """One connection in a transaction that the test ends."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self._execute = executor(connection)
        set_json_loads(bytes.decode, connection)

    def run(self, operation: Operation[T]) -> T:
        return step(operation, self._execute)

    def commit(self) -> None:
        self.connection.commit()

    def waits(self, other: Party) -> bool:
        """Whether this party waits for a lock that the other holds."""
        row = other.connection.execute(
            "SELECT %s = ANY (pg_blocking_pids(%s)) AS waits",
            (other.connection.info.backend_pid, self.connection.info.backend_pid),
        ).fetchone()
        return bool(row["waits"])


@pytest.fixture
def parties(postgres_url: str) -> Iterator[list[Party]]:
    PostgresStore(postgres_url, dialect.load("jobpipe")).migrate()
    with ExitStack() as stack:
        yield [
            Party(stack.enter_context(closing(psycopg.connect(postgres_url, row_factory=dict_row))))
            for _ in range(3)
        ]


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def take(party: Party, limit: int = 1) -> list[Claimed]:
    jobs = party.run(
        claim.claim(party.run(register(ABOUT, 15_000_000)), [LANE], limit, after={}, done=())
    )
    party.commit()
    return jobs


def claimed(party: Party, number: int = 1) -> list[Claimed]:
    party.run(enqueue([NewJob(task="t", args="{}")] * number))
    return take(party, number)


def held(job: Claimed) -> Held:
    return Held(job.id, job.token, job.rank)


def test_who_takes_a_job_back_waits_for_its_checkpoint(
    parties: list[Party], thread: ThreadPoolExecutor
) -> None:
    speaker, taker, _ = parties
    (job,) = claimed(speaker)
    assert speaker.run(report.save_checkpoints([Checkpoint(job.id, 1, "7")])) == {(job.id, 1)}
    back = thread.submit(taker.run, claim.give_back([held(job)]))
    until(lambda: taker.waits(speaker))
    speaker.commit()
    assert len(back.result()) == 1
    assert [each.checkpoint for each in take(taker)] == ["7"]


def test_a_checkpoint_waits_for_who_takes_its_job_back_and_is_refused(
    parties: list[Party], thread: ThreadPoolExecutor
) -> None:
    speaker, taker, _ = parties
    (job,) = claimed(speaker)
    assert len(taker.run(claim.give_back([held(job)]))) == 1
    saved = thread.submit(speaker.run, report.save_checkpoints([Checkpoint(job.id, 1, "7")]))
    until(lambda: speaker.waits(taker))
    taker.commit()
    assert saved.result() == set()
    speaker.commit()
    assert [each.checkpoint for each in take(taker)] == [None]


def test_lines_and_progress_hold_nobody_up(parties: list[Party]) -> None:
    speaker, taker, _ = parties
    (job,) = claimed(speaker)
    speaker.run(report.write_lines([LogLine(job.id, 1, 1, 0, 20, "a", "b")], 0))
    speaker.run(report.write_progress([Progress(job.id, 1, 1)]))
    taker.connection.execute("SET lock_timeout = '1s'")
    assert len(taker.run(claim.give_back([held(job)]))) == 1
    speaker.commit()


def test_a_late_word_on_progress_gives_way_to_the_next_attempt(
    parties: list[Party], thread: ThreadPoolExecutor
) -> None:
    blocker, late, taker = parties
    first, second = claimed(blocker, 2)
    blocker.run(report.write_progress([Progress(first.id, 1, 1)]))
    said = [Progress(first.id, 1, 2), Progress(second.id, 1, 99)]
    writing = thread.submit(late.run, report.write_progress(said))
    until(lambda: late.waits(blocker))
    taker.run(claim.give_back([held(second)]))
    taker.commit()
    (again,) = take(taker)
    taker.run(report.write_progress([Progress(again.id, again.token, 3)]))
    taker.commit()
    blocker.commit()
    writing.result()
    late.commit()
    job = taker.run(read.job(second.id))
    assert job is not None
    assert job.progress is not None
    assert (again.token, job.progress.done) == (2, 3.0)
