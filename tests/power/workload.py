"""A life of a store on SQLite, drawn from a seed: each operation that writes, and what it promises.

The promises are worked out here by hand from the answers of the operations, so that the judge
needs none of Jobpipe's code. A promise is noted when the operation's future ends: then a producer
or a worker hears of it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from msgspec.structs import replace

from jobpipe.model.job import Claimed, Finish, Lane, NewJob
from jobpipe.model.report import Checkpoint, LogLine, Progress
from jobpipe.model.state import Reason, State
from jobpipe.model.worker import NewWorker
from jobpipe.store.ops import claim, report, steer, upkeep, worker
from jobpipe.store.ops.claim import Held, Moved
from jobpipe.store.ops.enqueue import enqueue
from jobpipe.store.ops.finish import finish, succeed
from jobpipe.store.port import Operation
from jobpipe.store.sqlite.driver import SqliteStore
from jobpipe.store.sqlite.lender import nothing
from tests.power.recording import Fact, Promise, Recording

T = TypeVar("T")

LANE = Lane("default", 0)
HOUR_US = 3_600_000_000
ERROR = '{"type":"ValueError","message":"no","traceback":""}'
KEEP: Mapping[State, int | None] = {
    State.SUCCEEDED: 0,
    State.FAILED: None,
    State.CANCELLED: None,
}
SCHEMA = 0
"""The number under which what belongs to no job is promised; the schema comes first."""
WRITTEN = "2"
"""The result of jobs that wrote a row of their own together with their success."""


class Life:
    """The store, its workers, and how each job stands as far as anybody was told."""

    def __init__(self, recording: Recording, seed: int) -> None:
        self.chance = random.Random(seed)
        self.facts: dict[int, Fact] = {}
        self._recording = recording
        self._later_us = self._said = 0
        self._store = SqliteStore(
            str(recording.folder / "jobs.db"), clock=lambda: time.time_ns() // 1000 + self._later_us
        )
        self._held: dict[int, dict[int, Claimed]] = {}

    def live(self, steps: int) -> None:
        """Migrate, take so many steps, and close the store."""
        self._store.migrate()
        self._recording.events.append(Promise(SCHEMA, None))
        self._create_effects()
        self._begin_worker()
        things = [
            (5, self.enqueue_one),
            (3, self.enqueue_together),
            (3, self.enqueue_many),
            (6, self.claim),
            (6, self.finish),
            (3, self.finish_in_transaction),
            (3, self.say),
            (2, self.give_back),
            (2, self.sweep),
            (3, self.promote),
            (2, self.cancel),
            (1, self.rerun),
            (1, self.delete),
            (1, self.unpark),
            (2, self.prune),
            (1, self.upkeep),
            (1, self.open_again),
        ]
        weights = [weight for weight, _ in things]
        for _ in range(steps):
            self.chance.choices([do for _, do in things], weights)[0]()
        self._store.close()

    # Steps

    def enqueue_one(self) -> None:
        self._run(enqueue([self._new_job()]), self._enqueued)

    def enqueue_together(self) -> None:
        """Several producers at once, whose jobs share a commit."""
        writer = self._store.writer()
        waits = [writer.submit(enqueue([self._new_job()])) for _ in range(5)]
        for heard in [self._heard(wait, self._enqueued) for wait in waits]:
            heard()

    def enqueue_many(self) -> None:
        jobs = [self._new_job() for _ in range(self.chance.randint(2, 25))]
        self._run(enqueue(jobs), self._enqueued)

    def claim(self) -> None:
        owner = self.chance.choice(list(self._held))

        def taken(jobs: list[Claimed]) -> None:
            for job in jobs:
                self._held[owner][job.id] = job
                self._promise(job.id, state="running", token=job.token, attempt=job.attempt)

        limit = self.chance.randint(1, 8)
        self._run(claim.claim(owner, [LANE], limit, after={}, done=[]), taken)

    def finish(self) -> None:
        owner = self.chance.choice(list(self._held))
        ends = [self._ending(job) for job in self._held[owner].values()]
        ends = ends[: self.chance.randint(1, 6)]
        if not ends:
            return

        def written(answers: list[Any]) -> None:
            assert {answer.id for answer in answers} == {end.id for end in ends}
            for end in ends:
                del self._held[owner][end.id]
                first_success = (end.token, end.outcome) == (1, "succeeded")
                recorded = () if first_success else (end.outcome,)
                outcomes = (*self.facts[end.id].outcomes, *recorded)
                attempt = self.facts[end.id].attempt - (not end.charged)
                self._promise(end.id, state=end.state, outcomes=outcomes, attempt=attempt)

        self._run(finish(ends, time.monotonic_ns()), written)

    def finish_in_transaction(self) -> None:
        """A task writes a row of its own in ``job.transaction()``, which is its success."""
        owner = self.chance.choice(list(self._held))
        if not self._held[owner]:
            return
        job = self.chance.choice(list(self._held[owner].values()))
        end = Finish(
            id=job.id,
            token=job.token,
            state=State.SUCCEEDED,
            outcome="succeeded",
            result=WRITTEN,
            ended_at_ns=time.monotonic_ns(),
        )

        def write(connection: Any) -> None:
            connection.execute("INSERT INTO effect VALUES (?, ?)", (job.id, job.token))

        def written(_answer: object) -> None:
            del self._held[owner][job.id]
            recorded = () if job.token == 1 else ("succeeded",)
            outcomes = (*self.facts[job.id].outcomes, *recorded)
            self._promise(job.id, state="succeeded", outcomes=outcomes)

        wait = self._store.writer().submit(succeed(end, time.monotonic_ns()), first=write)
        self._heard(wait, written)()

    def say(self) -> None:
        """Running jobs log, tell how far they are, and leave a checkpoint."""
        jobs = list(self._held[self.chance.choice(list(self._held))].values())
        self._said += 1
        now, n = time.monotonic_ns(), self._said
        lines = [LogLine(job.id, job.token, n, now, 20, "t", "hello " * 20) for job in jobs]
        self._run(report.write_lines(lines, now), lambda _: None)
        progress = [Progress(job.id, job.token, n, 1000.0) for job in jobs]
        self._run(report.write_progress(progress), lambda _: None)
        states = [Checkpoint(job.id, job.token, f'"{n}"') for job in jobs]
        self._run(report.save_checkpoints(states), lambda _: None)

    def delete(self) -> None:
        ended = self._jobs_in("failed", "cancelled")
        if ended:
            id = self.chance.choice(ended)

            def deleted(_state: object) -> None:
                del self.facts[id]
                self._recording.events.append(Promise(id, None))

            self._run(steer.delete_job(id), deleted)

    def unpark(self) -> None:
        parked = self._jobs_in("parked")

        def queued(_jobs: object) -> None:
            for id in parked:
                self._promise(id, state="queued")

        self._run(upkeep.unpark(parked), queued)

    def give_back(self) -> None:
        owner = self.chance.choice(list(self._held))
        jobs = list(self._held[owner].values())[:2]
        if not jobs:
            return

        def returned(_queued: object) -> None:
            for job in jobs:
                del self._held[owner][job.id]
                self._promise(job.id, state="queued", attempt=self.facts[job.id].attempt - 1)

        held = [Held(job.id, job.token, job.rank, job.claim_id) for job in jobs]
        self._run(claim.give_back(held), returned)

    def sweep(self) -> None:
        dead = self.chance.choice(list(self._held))
        jobs = self._held.pop(dead)

        def swept(_found: object) -> None:
            for id in jobs:
                fact = self.facts[id]
                given_up = fact.losses + 1 >= 3
                self._promise(
                    id,
                    state="failed" if given_up else "queued",
                    losses=fact.losses + 1,
                    attempt=fact.attempt - 1,
                    outcomes=(*fact.outcomes, "lost"),
                )

        self._run(worker.sweep([dead], only_known=True), swept)
        self._begin_worker()

    def promote(self) -> None:
        self._later_us += HOUR_US

        def queued(moved: Moved) -> None:
            for job in moved.queued:
                self._promise(job.id, state="queued")

        self._run(upkeep.promote(10), queued)

    def cancel(self) -> None:
        waiting = self._jobs_in("queued", "scheduled", "retrying")
        if waiting:
            id = self.chance.choice(waiting)
            self._run(
                steer.cancel(id, Reason.BY_USER), lambda _: self._promise(id, state="cancelled")
            )

    def rerun(self) -> None:
        ended = [id for id in self._jobs_in("failed", "cancelled") if self.facts[id].token == 0]
        if ended:
            id = self.chance.choice(ended)
            self._run(steer.rerun(id), lambda _: self._promise(id, state="queued"))

    def prune(self) -> None:
        """Delete what succeeded; only the end of it is sure, so it is promised then."""
        done = self._jobs_in("succeeded")

        def deleted(pruned: upkeep.Pruned) -> None:
            assert pruned.deleted == len(done)
            for id in done:
                del self.facts[id]
                self._recording.events.append(Promise(id, None))

        self._run(upkeep.prune(0, 10_000, KEEP), deleted)

    def upkeep(self) -> None:
        """What no job notices."""
        self._run(upkeep.rollup(), lambda _: None)
        self._run(worker.renew(next(iter(self._held)), HOUR_US, {}), lambda _: None)
        self._run(steer.pause_queue("other", "a test"), lambda _: None)
        self._run(steer.resume_queue("other"), lambda _: None)

    def open_again(self) -> None:
        """The last connection closes: the log is folded into the database and deleted."""
        self._store.close()

    # How

    def _create_effects(self) -> None:
        """Make the table in which tasks write rows of their own."""

        def create(connection: Any) -> None:
            connection.execute("CREATE TABLE effect (job INTEGER, token INTEGER)")

        self._store.writer().submit(nothing(), create).result()

    def _begin_worker(self) -> None:
        about = NewWorker(
            name="w", host="here", pid=7, pid_started="1", slots=4, queues=["default"]
        )

        def registered(id: int) -> None:
            self._held[id] = {}

        for _ in range(2 - len(self._held)):
            self._run(worker.register(about, HOUR_US), registered)

    def _new_job(self) -> NewJob:
        delay = HOUR_US if self.chance.random() < 0.2 else None
        key = f"{self.chance.random()}" if self.chance.random() < 0.2 else None
        filler = "x" * self.chance.choice([0, 10, 200, 3000])
        args = f'{{"filler":"{filler}"}}'
        return NewJob(task="t", args=args, delay_us=delay, idempotency_key=key)

    def _enqueued(self, answers: list[Any]) -> None:
        for answer in answers:
            assert answer.created
            self.facts[answer.id] = Fact("", 0, 0, 0, ())
            self._promise(answer.id, state=answer.state)

    def _ending(self, job: Claimed) -> Finish:
        state, outcome, reason = self.chance.choice(
            [
                (State.SUCCEEDED, "succeeded", None),
                (State.SUCCEEDED, "succeeded", None),
                (State.RETRYING, "failed", None),
                (State.FAILED, "failed", Reason.ATTEMPTS_EXHAUSTED),
                (State.SCHEDULED, "snoozed", None),
                (State.PARKED, "parked", Reason.UNKNOWN_TASK),
            ]
        )
        waits = state in (State.RETRYING, State.SCHEDULED)
        return Finish(
            id=job.id,
            token=job.token,
            state=state,
            outcome=outcome,
            reason=reason,
            result="1" if state is State.SUCCEEDED else None,
            error=ERROR if outcome == "failed" else None,
            delay_us=HOUR_US if waits else None,
            charged=outcome not in ("snoozed", "parked"),
            ended_at_ns=time.monotonic_ns(),
        )

    def _jobs_in(self, *states: str) -> list[int]:
        return [id for id, fact in self.facts.items() if fact.state in states]

    def _run(self, operation: Operation[T], then: Callable[[T], None]) -> None:
        self._heard(self._store.writer().submit(operation), then)()

    def _heard(self, wait: Future[T], then: Callable[[T], None]) -> Callable[[], None]:
        """Promise at the end, in the thread that commits; return what waits until that is done."""
        promised: Future[None] = Future()

        def promise(ended: Future[T]) -> None:
            try:
                then(ended.result())
                self._recording.events.append(Promise(SCHEMA, None))
                promised.set_result(None)
            except Exception as error:
                promised.set_exception(error)

        wait.add_done_callback(promise)
        return promised.result

    def _promise(self, job: int, **changes: Any) -> None:
        changes = {name: str(v) if name == "state" else v for name, v in changes.items()}
        self.facts[job] = replace(self.facts[job], **changes)
        self._recording.events.append(Promise(job, self.facts[job]))
