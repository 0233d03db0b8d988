"""Questions about the store's own condition and load; every one reads, and is bounded.

None counts history: samples are the newest or the first so many rows of an index. The last four
are for PostgreSQL alone, which has other sessions to tell of.
"""

from __future__ import annotations

from typing import TypeVar

from jobpipe.model.condition import Head, OldSnapshot, Parked, ServerFacts, TaskFailures, TaskRuns
from jobpipe.model.state import Reason, State
from jobpipe.store.port import Mode, Op, Operation, Statement, operation

T = TypeVar("T")

WAITING_MAX = 10_000
"""Most waiting or parked jobs whose tasks are looked at."""

SAMPLE = 1_000
"""Most jobs of a sample."""

SAMPLE_US = 600_000_000
"""What ended longer ago is not "of late"."""


@operation(Mode.READ)
def heads() -> Op[list[Head]]:
    """Tell of each queue how long its first job waits, and how late its first timed one is."""
    found = yield Statement("waiting_heads")
    waited = {row["queue"]: row["waited_us"] for row in found if row["waited_us"] is not None}
    late = {row["queue"]: row["late_us"] for row in found if row["late_us"] is not None}
    return [Head(queue, waited.get(queue), late.get(queue)) for queue in sorted({*waited, *late})]


@operation(Mode.READ)
def busy() -> Op[dict[int, int]]:
    """Count the running jobs of each worker that has any."""
    return {row["worker"]: row["n"] for row in (yield Statement("busy"))}


@operation(Mode.READ)
def task_runs() -> Op[list[TaskRuns]]:
    """Tell how long jobs of each task took of late, the slowest first."""
    found = yield Statement("task_runs", {"scan": SAMPLE, "span_us": SAMPLE_US})
    runs = [
        TaskRuns(row["task"], row["runs"], row["running"], row["mean_us"], row["longest_us"])
        for row in found
    ]
    return sorted(runs, key=lambda each: (-each.mean_us, each.task))


@operation(Mode.READ)
def task_failures() -> Op[list[TaskFailures]]:
    """Tell which tasks fail of late, those with most failures first."""
    found = yield Statement("task_failures", {"scan": SAMPLE, "span_us": SAMPLE_US})
    failures = [TaskFailures(row["task"], row["failed"], row["retrying"]) for row in found]
    return sorted(failures, key=lambda each: (-each.failed, -each.retrying, each.task))


@operation(Mode.READ)
def waiting_tasks() -> Op[dict[str, int]]:
    """Count queued jobs by task, up to a bound in all."""
    found = yield Statement("waiting_tasks", {"bound": WAITING_MAX})
    return {row["task"]: row["n"] for row in found}


@operation(Mode.READ)
def parked_tasks() -> Op[list[Parked]]:
    """Count parked jobs by task and reason, up to a bound in all."""
    found = yield Statement("parked_tasks", {"bound": WAITING_MAX})
    return [Parked(row["task"], Reason(row["reason"]), row["n"]) for row in found]


@operation(Mode.READ)
def task_names() -> Op[list[str]]:
    """List the tasks of the newest jobs by name."""
    return [row["task"] for row in (yield Statement("task_names", {"scan": SAMPLE}))]


@operation(Mode.READ)
def jobs_before(id: int, bound: int) -> Op[int]:
    """Count the queued jobs before one in its lane, up to a bound."""
    n: int = (yield Statement("jobs_before", {"id": id, "bound": bound}))[0]["n"]
    return n


@operation(Mode.READ)
def oldest_ended() -> Op[dict[State, int]]:
    """Tell how many microseconds ago the oldest jobs of each final state ended."""
    found = yield Statement("oldest_ended", {"scan": SAMPLE})
    return {State(row["state"]): row["age_us"] for row in found}


@operation(Mode.READ)
def server() -> Op[ServerFacts]:
    """Tell of the server's settings and connections."""
    facts = {row["name"]: row["value"] for row in (yield Statement("server"))}
    return ServerFacts(
        version=facts["server_version"],
        max_connections=int(facts["max_connections"]),
        reserved_connections=int(facts["superuser_reserved_connections"]),
        used_connections=int(facts["used_connections"]),
        fsync=facts["fsync"] == "on",
        synchronous_commit=facts["synchronous_commit"],
        autovacuum=facts["autovacuum"] == "on",
        sees_all_sessions=facts["sees_all_sessions"] == "true",
    )


@operation(Mode.READ)
def old_snapshots() -> Op[list[OldSnapshot]]:
    """List who keeps dead rows from being removed, the oldest first."""
    return [
        OldSnapshot(
            kind=row["kind"],
            pid=row["pid"],
            name=row["name"] or "",
            owner=row["owner"] or "",
            age_us=row["age_us"],
            behind=row["behind"],
        )
        for row in (yield Statement("old_snapshots"))
    ]


@operation(Mode.READ)
def unvacuumed(schema: str) -> Op[list[str]]:
    """List the tables of a schema on which autovacuum is switched off."""
    return [row["name"] for row in (yield Statement("unvacuumed", {"schema": schema}))]


def limited(question: Operation[T], limit_ms: int) -> Operation[T]:
    """Return the question with a limit on the time that the server may take for each statement."""

    def start() -> Op[T]:
        yield Statement("limit_wait", {"limit_ms": limit_ms})
        return (yield from question.start())

    return Operation(question.name, Mode.TRANSACTION, start)
