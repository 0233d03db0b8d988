"""Store new jobs: queued if they may run now, scheduled if they wait for their time, blocked if a
gate is to let them in first.

An idempotency key is taken in the same transaction; who comes second gets the first one's job.
Unique keys (``unique.py``) count for what is new after that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from msgspec import Struct
from msgspec.structs import astuple, replace

from jobpipe.errors import DuplicateKey, QueueFull, StoreUnavailable
from jobpipe.model.job import Enqueued, Lane, NewJob
from jobpipe.model.state import State
from jobpipe.store.ops import unique
from jobpipe.store.ops.audit import enqueue_notes, note
from jobpipe.store.port import Batch, Mode, Op, Operation, Statement, operation

FIELDS = NewJob.__struct_fields__[: NewJob.__struct_fields__.index("unique_key") + 1]
"""The columns; what follows them, such as who asks, is none."""
WIDTH = len(FIELDS)
COLUMNS = ("id", *FIELDS, "waiting_key")
TASK, ARGS, TERMS = 0, 1, 2
"""Where a job's fields stand: its terms are all that follow the arguments."""
OWN_TERMS = FIELDS.index("version") - TERMS
NO_OWN_TERMS = (None,) * (len(FIELDS) - TERMS - OWN_TERMS)
"""The last of the terms, which the statement for jobs that are alike does not know."""

ALWAYS = ("task", "args", "queue", "priority", "max_attempts", "max_losses", "timeout_us")
PLAIN = attrgetter(*ALWAYS)
RARE = attrgetter(
    "delay_us", "run_at", "expires_in_us", "idempotency_key", "tags", "meta", "version", "marks"
)
NONE_OF_THEM = (None,) * 8
"""A job that has none of the rare things is queued at once, by a statement that is the shorter."""

CHUNK = 5_000
"""Most jobs of one statement; more go in several, in one transaction."""

KEY_TRIES = 3
"""How often a key is tried again whose job was pruned between two looks at it."""


class Bounds(Struct, frozen=True):
    """How many jobs may wait in a queue."""

    usual: int | None = None
    """In each queue that has no bound of its own; None: as many as there are."""
    own: Mapping[str, int] = {}

    def of(self, queue: str) -> int | None:
        return self.own.get(queue, self.usual)

    def are_for(self, jobs: Sequence[NewJob]) -> bool:
        """Tell whether one of the jobs is to wait in a bounded queue."""
        if self.usual is not None:
            return True
        return bool(self.own) and any(job.queue in self.own for job in jobs)


NO_BOUNDS = Bounds()


def enqueue(
    jobs: Sequence[NewJob], *, known_lanes: Iterable[Lane] = (), bounds: Bounds = NO_BOUNDS
) -> Operation[list[Enqueued]]:
    """Return the operation that stores the jobs, all or none, and answers in their order.

    ``known_lanes`` are lanes that are sure to be in the store already. Raises DuplicateKey when
    an idempotency key belongs to another request or a unique one may not be had, QueueFull when a
    queue would then hold more waiting jobs than its bound.
    """
    lanes = lanes_of(jobs).difference(known_lanes)
    if not (lanes or bounds.are_for(jobs) or len(jobs) > CHUNK or _keyed(jobs)):
        return enqueue_together(jobs)
    return enqueue_checked(jobs, lanes, bounds)


def enqueue_together(jobs: Sequence[NewJob]) -> Operation[list[Enqueued]]:
    """Return what stores jobs that need no key, no bound and no new lane."""
    for job in jobs:
        if job.by is not None or job.wishes:
            return enqueue_noted(jobs)
    return enqueue_plain(jobs)


def lanes_of(jobs: Sequence[NewJob]) -> set[Lane]:
    """Return the lanes in which the jobs are to wait."""
    return {Lane(*lane) for lane in {(job.queue, job.priority) for job in jobs}}


@operation(Mode.ONE)
def enqueue_plain(jobs: Sequence[NewJob]) -> Op[list[Enqueued]]:
    """Store jobs that need no key, no bound and no new lane: one statement."""
    return (yield from _insert(jobs))


@operation(Mode.TRANSACTION)
def enqueue_noted(jobs: Sequence[NewJob]) -> Op[list[Enqueued]]:
    """Store jobs with their wishes, and note in the audit who asked for which."""
    answers = yield from _insert(jobs)
    yield from note(enqueue_notes(jobs, answers))
    return answers


@operation(Mode.TRANSACTION)
def enqueue_checked(
    jobs: Sequence[NewJob], new_lanes: Iterable[Lane], bounds: Bounds
) -> Op[list[Enqueued]]:
    """Store jobs after looking at bounds and keys, and note lanes that are new."""
    lanes = [(lane.queue, lane.priority) for lane in sorted(new_lanes)]
    if lanes:
        yield Statement("note_lanes", batch=Batch(("queue", "priority"), lanes))
    if _keyed(jobs):
        answers = yield from _with_keys(jobs, bounds)
    else:
        yield from _check_bounds(jobs, bounds)
        answers = yield from _insert(jobs)
    yield from note(enqueue_notes(jobs, answers))
    return answers


def _keyed(jobs: Sequence[NewJob]) -> bool:
    return any(job.idempotency_key is not None or job.unique is not None for job in jobs)


def _check_bounds(jobs: Sequence[NewJob], bounds: Bounds) -> Op[None]:
    for queue in sorted({job.queue for job in jobs}):
        bound = bounds.of(queue)
        if bound is None:
            continue
        rows = yield Statement("count_waiting", {"queue": queue, "bound": bound})
        wanted = sum(job.queue == queue for job in jobs)
        if rows[0]["n"] + wanted > bound:
            raise QueueFull(
                f"queue {queue!r} holds {rows[0]['n']} waiting jobs; {wanted} more would pass"
                f" its bound of {bound}"
            )


def _with_keys(jobs: Sequence[NewJob], bounds: Bounds) -> Op[list[Enqueued]]:
    prints: dict[str, str] = {}
    for job in jobs:
        if job.idempotency_key is not None:
            mark = fingerprint(job)
            if prints.setdefault(job.idempotency_key, mark) != mark:
                raise _duplicate(job.idempotency_key)
    ids, earlier = yield from _hold_keys(jobs, prints)
    fresh = [index for index, id in enumerate(ids) if id is not None]
    requests = [unique.Request(ids[index] or 0, jobs[index]) for index in fresh]
    stored = yield from _store(requests, bounds)
    answers = dict(zip(fresh, stored, strict=True))
    answered = (jobs[i].idempotency_key for i, answer in answers.items() if not answer.created)
    if unused := sorted(filter(None, answered)):
        yield Statement("release_keys", {"keys": unused})
    by_key = {jobs[i].idempotency_key: answer for i, answer in answers.items()}
    for index, job in enumerate(jobs):
        if index not in answers:
            first = by_key.get(job.idempotency_key)
            answers[index] = replace(first or earlier[str(job.idempotency_key)], created=False)
    return [answers[index] for index in range(len(jobs))]


def _hold_keys(
    jobs: Sequence[NewJob], prints: dict[str, str]
) -> Op[tuple[list[int | None], dict[str, Enqueued]]]:
    """Give an id to each job that is to be stored, and find the jobs of keys that were taken."""
    rows = yield Statement("reserve_ids", {"n": len(jobs)})
    ids: list[int | None] = sorted(row["id"] for row in rows)
    wanted: dict[str, int] = {}
    for index, job in enumerate(jobs):
        if job.idempotency_key is not None:
            if job.idempotency_key in wanted:
                ids[index] = None
            wanted.setdefault(job.idempotency_key, index)
    earlier: dict[str, Enqueued] = {}
    open_keys = dict(wanted)
    for _ in range(KEY_TRIES):
        held = [(key, ids[index], prints[key]) for key, index in sorted(open_keys.items())]
        batch = Batch(("key", "job_id", "fingerprint"), held)
        won = {row["key"] for row in (yield Statement("hold_keys", batch=batch))}
        lost = [key for key in open_keys if key not in won]
        open_keys = {}
        if lost:
            found = {row["key"]: row for row in (yield Statement("read_keys", {"keys": lost}))}
            open_keys = {key: wanted[key] for key in lost if key not in found}
            for key, row in found.items():
                if row["fingerprint"] != prints[key]:
                    raise _duplicate(key)
                ids[wanted[key]] = None
                state = State(row["state"])
                earlier[key] = Enqueued(row["job_id"], state, False, row["created_at"])
        if not open_keys:
            return ids, earlier
    raise StoreUnavailable("an idempotency key kept changing hands; nothing was stored")


def _store(requests: Sequence[unique.Request], bounds: Bounds) -> Op[list[Enqueued]]:
    def check(jobs: Sequence[NewJob]) -> Op[None]:
        return _check_bounds(jobs, bounds)

    if any(job.unique is not None for _, job in requests):
        return (yield from unique.store(requests, check, _insert_unheld))
    yield from check([job for _, job in requests])
    return (yield from _insert([job for _, job in requests], [id for id, _ in requests]))


def _insert(jobs: Sequence[NewJob], ids: Sequence[int] | None = None) -> Op[list[Enqueued]]:
    answers: list[Enqueued] = []
    for start in range(0, len(jobs), CHUNK):
        some = jobs[start : start + CHUNK]
        given = [None] * len(some) if ids is None else ids[start : start + CHUNK]
        if len(some) == 1:
            answers += yield from _insert_one(some[0], given[0])
            continue
        rows = [astuple(job)[:WIDTH] for job in some]
        if ids is None and _are_alike(rows):
            answers += yield from _insert_alike(rows)
        else:
            answers += yield from _insert_any(
                [(id, *row, None) for id, row in zip(given, rows, strict=True)]
            )
    yield from _add_wishes(jobs, answers)
    return answers


def _add_wishes(jobs: Sequence[NewJob], answers: Sequence[Enqueued]) -> Op[None]:
    """Note which gates the jobs are to pass."""
    wished = [
        (answer.id, wish.kind.value, wish.key, wish.terms)
        for job, answer in zip(jobs, answers, strict=True)
        for wish in job.wishes
    ]
    if wished:
        batch = Batch(("job_id", "kind", "key", "terms"), wished)
        yield Statement("enqueue_wishes", batch=batch)


def _insert_unheld(requests: Sequence[unique.Request]) -> Op[dict[int, Enqueued]]:
    """Store jobs in the order of their waiting keys; those are missing whose key is held."""
    rows = [(id, *astuple(job)[:WIDTH], unique.waiting_key(job)) for id, job in requests]
    rows.sort(key=lambda row: (row[-1] or "", row[0]))
    answers: dict[int, Enqueued] = {}
    for start in range(0, len(rows), CHUNK):
        stored = yield from _insert_any(rows[start : start + CHUNK])
        answers |= {answer.id: answer for answer in stored}
    made = [(job, answers[id]) for id, job in requests if id in answers]
    yield from _add_wishes([job for job, _ in made], [answer for _, answer in made])
    return answers


def _insert_one(job: NewJob, id: int | None) -> Op[list[Enqueued]]:
    if id is None and RARE(job) == NONE_OF_THEM:
        params = dict(zip(ALWAYS, PLAIN(job), strict=True))
        (found,) = yield Statement("enqueue_now", params)
        return [Enqueued(found["id"], State.QUEUED, True, found["created_at"])]
    params = dict(zip(FIELDS, astuple(job)[:WIDTH], strict=True), id=id)
    (found,) = yield Statement("enqueue_one", params)
    return [Enqueued(found["id"], State(found["state"]), True, found["created_at"])]


def _are_alike(rows: Sequence[tuple[Any, ...]]) -> bool:
    task, terms = rows[0][TASK], rows[0][TERMS:]
    return terms[OWN_TERMS:] == NO_OWN_TERMS and all(
        row[TERMS:] == terms and row[TASK] == task for row in rows
    )


def _insert_alike(rows: Sequence[tuple[Any, ...]]) -> Op[list[Enqueued]]:
    params: dict[str, Any] = dict(zip(FIELDS, rows[0], strict=True))
    params["args"] = [row[ARGS] for row in rows]
    found = yield Statement("enqueue_alike", params)
    # They start at the same time, so one state is that of all. A store with arrays answers with
    # one row for all of them.
    first = found[0]
    state, ids, created_at = State(first["state"]), first["id"], first["created_at"]
    if not isinstance(ids, list):
        ids = [row["id"] for row in found]
    return [Enqueued(id, state, True, created_at) for id in sorted(ids)]


def _insert_any(rows: Sequence[tuple[Any, ...]]) -> Op[list[Enqueued]]:
    found = yield Statement("enqueue", batch=Batch(COLUMNS, rows))
    # Ids are given out in the order of the input, so their order is the jobs' order.
    answers = sorted([(row["id"], row["state"]) for row in found])
    created_at = found[0]["created_at"] if found else 0
    return [Enqueued(id, State(state), True, created_at) for id, state in answers]


def fingerprint(job: NewJob) -> str:
    """Return what a repeated key is compared by: the task and its arguments."""
    return hashlib.sha256(f"{job.task}\n{job.args}".encode()).hexdigest()


def _duplicate(key: str) -> DuplicateKey:
    return DuplicateKey(
        f"idempotency key {key!r} belongs to a request with another task or arguments"
    )
