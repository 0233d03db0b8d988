"""A worker's own row: its lease, what it must hear of, and the taking back after its death."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from jobpipe.model.change import Change
from jobpipe.model.job import Lane
from jobpipe.model.worker import NewWorker, WorkerRecord
from jobpipe.store.ops.aside import Known
from jobpipe.store.ops.claim import Held, Queued, lane_batch, moved
from jobpipe.store.port import Mode, Op, Statement, operation

SWEEP_MAX = 10
"""Most dead workers taken care of in one sweep."""

Frontier = dict[Lane, int]

NO_LANES: Mapping[Lane, int] = {}


class Due(Struct, frozen=True):
    """When a promoter has to act next."""

    in_us: int | None
    """Microseconds until a job falls due or expires (negative: overdue); None if none will."""
    now: int
    """The store's clock at that answer."""


class Since(Struct, frozen=True):
    """From where on a worker looks for what there is to do."""

    due: int = 0
    """The time of what falls due."""
    looks: int = 0
    """The id of a note that somebody is to be looked at."""


FROM_THE_BEGINNING = Since()


class Control(Struct, frozen=True):
    """What a worker hears of when it looks."""

    worker: int
    cancels: frozenset[tuple[int, int]]
    """(job, token) pairs of running jobs that somebody asked to cancel."""
    lanes: frozenset[Lane]
    paused: frozenset[str]
    """Queues."""
    frontier: Frontier
    """The highest ranks that other workers have seen claimed."""
    due: Due
    ready: Frontier
    """Of the lanes that were asked for those with a queued job: its rank, the lowest there."""
    duties: frozenset[str]
    """Which duties some worker should take now."""
    others: tuple[WorkerRecord, ...] = ()
    """The other workers that have not ended."""
    has_orphans: bool = False
    """A worker that has ended holds a record: its claim came in after the sweep."""
    has_parked: bool = False
    has_looks: bool = False
    """Jobs came to a gate, or left what others wait for."""
    gate_in_us: int | None = None
    """Microseconds until a gate is to be looked at (negative: overdue); None if none is."""
    has_operations: bool = False
    """Somebody ordered something about many jobs."""
    known: Known = Known()
    """What keeps jobs from running that can be claimed."""
    watchers: frozenset[int] = frozenset()
    """Processes in which somebody wants to hear what becomes of jobs."""


class Swept(Struct, frozen=True):
    """What a sweep did about one dead worker."""

    worker: str
    worker_id: int
    queued: tuple[Queued, ...]
    ended: tuple[Change, ...]
    """Those that failed at their limit of losses, or were to be cancelled."""
    blocked: int = 0
    """How many came to their gates."""

    @property
    def failed(self) -> int:
        return len(self.ended)


class HeldJob(Held, frozen=True, kw_only=True):
    """A running job of a worker, with what is needed to judge it in the worker's place."""

    task: str
    queue: str
    attempt: int
    max_attempts: int
    cancel_requested: bool
    suspect: bool


@operation(Mode.ONE)
def register(worker: NewWorker, lease_us: int) -> Op[int]:
    """Enter a worker's incarnation and return its id."""
    params = {
        "name": worker.name,
        "host": worker.host,
        "pid": worker.pid,
        "pid_started": worker.pid_started,
        "slots": worker.slots,
        "queues": msgspec.json.encode(worker.queues).decode(),
        "lease_us": lease_us,
        "supervisor_pid": worker.supervisor_pid,
        "supervisor_started": worker.supervisor_started,
    }
    found = yield Statement("register", params)
    worker_id: int = found[0]["id"]
    return worker_id


@operation(Mode.ONE)
def renew(worker: int, lease_us: int, frontier: Mapping[Lane, int]) -> Op[bool]:
    """Renew the lease; False when the worker was swept and has no right to its jobs any more."""
    published = [(lane.queue, lane.priority, rank) for lane, rank in frontier.items()]
    text = msgspec.json.encode(published).decode() if published else None
    params = {"worker": worker, "lease_us": lease_us, "frontier": text}
    return bool((yield Statement("renew", params)))


@operation(Mode.READ)
def control(
    worker: int, since: Since = FROM_THE_BEGINNING, after: Mapping[Lane, int] = NO_LANES
) -> Op[Control]:
    """Read all that a worker has to know of, or to do for all.

    What was due, or noted, before ``since`` is not looked at; ``after`` names the lanes in which to
    look for queued jobs, each beyond a rank.
    """
    params = {"worker": worker, "since": since.due, "looks": since.looks}
    found = yield Statement("control", params, batch=lane_batch(list(after), after))
    kinds = {row["kind"] for row in found}
    (due,) = (Due(row["a"], row["b"]) for row in found if row["kind"] == "due")
    return Control(
        worker=worker,
        cancels=frozenset((row["a"], row["b"]) for row in found if row["kind"] == "cancel"),
        lanes=frozenset(Lane(row["name"], row["a"]) for row in found if row["kind"] == "lane"),
        paused=frozenset(row["name"] for row in found if row["kind"] == "paused"),
        known=Known(
            frozenset(row["name"] for row in found if row["kind"] == "paused_task"),
            frozenset(row["name"] for row in found if row["kind"] == "limited"),
        ),
        frontier=_frontier([row["name"] for row in found if row["kind"] == "frontier"]),
        due=due,
        ready={Lane(row["name"], row["a"]): row["b"] for row in found if row["kind"] == "ready"},
        duties=frozenset(row["name"] for row in found if row["kind"] == "duty"),
        others=tuple(
            msgspec.json.decode(row["name"], type=WorkerRecord)
            for row in found
            if row["kind"] == "worker"
        ),
        has_orphans="orphan" in kinds,
        has_parked="parked" in kinds,
        has_looks="look" in kinds,
        gate_in_us=next((row["a"] for row in found if row["kind"] == "gate"), None),
        has_operations="operation" in kinds,
        watchers=frozenset(row["a"] for row in found if row["kind"] == "watch"),
    )


def _frontier(published: Iterable[str]) -> Frontier:
    """Return the highest ranks that workers have published, by lane."""
    frontier: Frontier = {}
    for text in published:
        for queue, priority, rank in msgspec.json.decode(text):
            lane = Lane(queue, priority)
            frontier[lane] = max(rank, frontier.get(lane, 0))
    return frontier


@operation(Mode.READ)
def workers() -> Op[list[WorkerRecord]]:
    """List the workers that have not ended."""
    found = yield Statement("workers")
    return [
        WorkerRecord(
            id=row["id"],
            name=row["name"],
            host=row["host"],
            pid=row["pid"],
            pid_started=row["pid_started"],
            slots=row["slots"],
            queues=row["queues"],
            started_at=row["started_at"],
            seen_at=row["seen_at"],
            lease_until=row["lease_until"],
            expired=bool(row["expired"]),
            supervisor_pid=row["supervisor_pid"],
            supervisor_started=row["supervisor_started"] or "",
        )
        for row in found
    ]


@operation(Mode.READ)
def inventory(worker: int) -> Op[list[HeldJob]]:
    """List the running jobs of a worker, for whoever decides about them after its death."""
    found = yield Statement("inventory", {"worker": worker})
    return [
        HeldJob(
            row["id"],
            row["token"],
            row["rank"],
            row["claim_id"],
            task=row["task"],
            queue=row["queue"],
            attempt=row["attempt"],
            max_attempts=row["max_attempts"],
            cancel_requested=bool(row["cancel_requested"]),
            suspect=bool(row["suspect"]),
        )
        for row in found
    ]


@operation(Mode.TRANSACTION)
def sweep(known_dead: Sequence[int], *, only_known: bool = False, by: int = 0) -> Op[list[Swept]]:
    """Take back what workers hold whose lease has ended, or that are known to be dead.

    Each job counts one loss and no attempt, and is queued at its old rank, or comes to its gates;
    at its limit of losses it fails. ``only_known`` leaves leases alone that merely look ended; so
    does the sweep of a worker (``by``) with its own.
    """
    params = {"ids": list(known_dead), "limit": SWEEP_MAX, "only_known": only_known, "by": by}
    dead = yield Statement("dead_workers", params)
    swept = []
    for worker in dead:
        label = f"{worker['name']} (pid {worker['pid']} on {worker['host']})"
        error = {
            "type": "WorkerLost",
            "message": f"worker {label} died or lost touch while it held this job",
            "traceback": "",
        }
        params = {"worker": worker["id"], "error": msgspec.json.encode(error).decode()}
        taken = yield Statement("take_back", params)
        yield Statement("end_worker", {"worker": worker["id"]})
        back = moved(taken)
        ends = tuple(back.ended)
        swept.append(Swept(label, worker["id"], tuple(back.queued), ends, back.blocked))
    return swept


@operation(Mode.ONE)
def end_worker(worker: int) -> Op[None]:
    """Note that a worker ended in good order: it holds nothing any more."""
    yield Statement("end_worker", {"worker": worker})
