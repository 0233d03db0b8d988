"""The judge of a power cut: an image of the disk is opened by Jobpipe and holds all promised.

It must be one of the states that were committed, sound, and good to go on with.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from jobpipe.errors import JobpipeError
from jobpipe.model.job import Finish, Lane, NewJob
from jobpipe.model.state import State
from jobpipe.model.worker import NewWorker
from jobpipe.store.ops import claim, worker
from jobpipe.store.ops.enqueue import enqueue
from jobpipe.store.ops.finish import finish
from jobpipe.store.sqlite.driver import SqliteStore
from tests.power.binding import digest
from tests.power.images import Image
from tests.power.recording import Commit, Event, Fact, Promise
from tests.power.workload import SCHEMA, WRITTEN

LANE = Lane("judge", 0)
SHARE_WORKED_ON = 0.25
"""Of the images with a content that was worked on before, so many are again."""
JOBS = "SELECT id, state, token, attempt, losses FROM jobpipe_job"
OUTCOMES = "SELECT job_id, outcome FROM jobpipe_attempt ORDER BY job_id, token"


EFFECTS = "SELECT count(*) FROM sqlite_schema WHERE name = 'effect'"
UNPAIRED = f"""\
SELECT id, result FROM jobpipe_job
WHERE coalesce(result = '{WRITTEN}', false)
    <> (1 = (SELECT count(*) FROM effect WHERE job = id AND effect.token = jobpipe_job.token))"""


class Kind(StrEnum):
    """The names of what can be wrong."""

    LOST = "lost"
    TORN = "torn"
    DAMAGED = "damaged"
    DEAD = "dead"


class Finding(Struct, frozen=True):
    kind: Kind
    what: str


class Expected:
    """What may be there after a cut at any place of the recording."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._histories: defaultdict[int, list[tuple[int, Fact | None]]] = defaultdict(list)
        self._commits: list[bytes] = []
        self._sure: list[int] = [0]
        self.promises = [0]
        for place, event in enumerate(events):
            sure = self._sure[-1]
            if isinstance(event, Commit):
                self._commits.append(event.content)
            elif isinstance(event, Promise):
                self._histories[event.job].append((place, event.fact))
                sure = len(self._commits)
            self._sure.append(sure)
            self.promises.append(self.promises[-1] + isinstance(event, Promise))

    def migrated(self, cut: int) -> bool:
        """Tell whether the schema was promised before the cut."""
        return any(place < cut for place, _ in self._histories[SCHEMA])

    def missing(self, cut: int, found: dict[int, Fact]) -> Iterator[str]:
        """Yield the jobs that stand neither as promised before the cut nor as was yet to come."""
        for job, history in self._histories.items():
            told = sum(place < cut for place, _ in history)
            if job != SCHEMA and told:
                allowed = [fact for _, fact in history[told - 1 :]]
                if found.get(job) not in allowed:
                    yield f"job {job} was promised as {allowed[0]} and is {found.get(job)}"

    def was_committed(self, cut: int, content: bytes) -> bool:
        """Tell whether this is the content after a commit, and of none before a promised one."""
        return content in self._commits[max(0, self._sure[cut] - 1) :]


class Judge:
    """Opens images in a folder of its own; one store object, whose connections come and go."""

    def __init__(self, expected: Expected, folder: Path) -> None:
        self._expected, self._folder = expected, folder
        self._path = folder / "jobs.db"
        self._store = SqliteStore(str(self._path))
        self._chance = random.Random(0)
        self._worked_on: set[bytes] = set()

    def judge(self, cut: int, image: Image) -> list[Finding]:
        """Return what is wrong with an image of the disk after a cut there."""
        for file in self._folder.iterdir():
            file.unlink()
        for name, content in image.items():
            (self._folder / name).write_bytes(content)
        try:
            return list(self._findings(cut))
        except (JobpipeError, sqlite3.Error, AssertionError, ValueError) as error:
            return [Finding(Kind.DEAD, f"{type(error).__name__}: {error}")]
        finally:
            self._store.close()

    def _findings(self, cut: int) -> Iterator[Finding]:
        schema = self._store.schema_status()
        if schema.pending:
            if self._expected.migrated(cut):
                yield Finding(Kind.LOST, f"the schema is at version {schema.current}")
                return
            self._store.migrate()
        with closing(sqlite3.connect(self._path)) as reader:
            reader.execute("PRAGMA query_only = ON")
            for (trouble,) in reader.execute("PRAGMA integrity_check"):
                if trouble != "ok":
                    yield Finding(Kind.DAMAGED, trouble)
            for what in self._expected.missing(cut, _facts(reader)):
                yield Finding(Kind.LOST, what)
            if reader.execute(EFFECTS).fetchone()[0]:
                for id, result in reader.execute(UNPAIRED):
                    yield Finding(
                        Kind.TORN, f"job {id} has the result {result}, its row does not fit"
                    )
            content = digest(lambda question: reader.execute(question).fetchall())
            if not schema.pending and not self._expected.was_committed(cut, content):
                yield Finding(Kind.TORN, "the content is of no commit that was due")
            if content not in self._worked_on or self._chance.random() < SHARE_WORKED_ON:
                self._worked_on.add(content)
                self._go_on()

    def _go_on(self) -> None:
        """Store, claim and finish a job; each is refused or right."""
        about = NewWorker(name="j", host="here", pid=7, pid_started="1", slots=1, queues=["judge"])
        job = NewJob(task="t", args="{}", queue=LANE.queue, priority=LANE.priority)
        begun = self._store.writer().submit(worker.register(about, 60_000_000))
        [new] = self._store.run(enqueue([job]))
        owner = begun.result()
        [held] = self._store.run(claim.claim(owner, [LANE], 1, after={}, done=[]))
        assert (held.id, held.token) == (new.id, 1), "another job was claimed"
        end = Finish(id=held.id, token=1, state=State.SUCCEEDED, outcome="succeeded")
        [ended] = self._store.run(finish([end], time.monotonic_ns()))
        assert ended.id == new.id, "the outcome of another job was recorded"


def _facts(reader: sqlite3.Connection) -> dict[int, Fact]:
    outcomes: defaultdict[int, list[str]] = defaultdict(list)
    for job, outcome in reader.execute(OUTCOMES):
        outcomes[job].append(outcome)
    return {
        id: Fact(state, token, attempt, losses, tuple(outcomes[id]))
        for id, state, token, attempt, losses in reader.execute(JOBS)
    }
