"""What can be wrong with gates and flows: pure finders, as those of the checker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

from tests.process.case import Case
from tests.process.contents import FINAL, JobRow
from tests.process.history import Wish
from tests.process.ledger import Gate


def jobs_at(case: Case, kind: str) -> dict[str, dict[int, Gate]]:
    """Return for each key of a kind of gate the jobs that ran, and what they said of it."""
    found: defaultdict[str, dict[int, Gate]] = defaultdict(dict)
    for id, runs in case.history.runs.items():
        wish = case.wish_of(runs[0]) if runs else None
        for gate in wish.gates if wish else ():
            if gate.kind == kind:
                found[gate.key][id] = gate
    return found


def find_over_limit(case: Case) -> Iterator[str]:
    """More attempts of a key were open at a time than its limit allows."""
    for key, jobs in jobs_at(case, "concurrency").items():
        limit = max(gate.n for gate in jobs.values())
        spans = [(span, id) for id in jobs for span in case.spans(id)]
        changes = [(end, False, id) for (_, end), id in spans]
        changes += [(start, True, id) for (start, _), id in spans]
        running: list[int] = []
        for _, begins, id in sorted(changes):
            if not begins:
                running.remove(id)
                continue
            running.append(id)
            if len(running) > limit:
                yield f"the jobs {running} ran at a time; {key} allows {limit}"
                break


def find_out_of_turn(case: Case) -> Iterator[str]:
    """A job of a group began before the one that had its turn was final, or was asked for later."""
    for key, jobs in jobs_at(case, "group").items():
        spans = {id: each for id in jobs if (each := case.spans(id))}
        turns = sorted(spans, key=lambda id: spans[id][0])
        over, last = 0, 0
        for id in turns:
            if spans[id][0][0] < over:
                yield f"job {id} of group {key} began before job {last} was final"
            over, last = max((over, last), (max(end for _, end in spans[id]), id))
        for first, second in combinations(turns, 2):
            if stands_before(case, second, first):
                yield f"job {first} of group {key} began before job {second}, asked for earlier"


def stands_before(case: Case, one: int, other: int) -> bool:
    """Tell whether a job was acknowledged before anybody asked for the other one.

    Who has to wait elsewhere comes to the line later, when nobody knows.
    """
    first, second = (case.wish_of(case.history.runs[id][0]) for id in (one, other))
    if first is None or second is None or first.acked is None:
        return False
    elsewhere = any(wish.delay or wish.after for wish in (first, second))
    return not elsewhere and first.acked < second.invoked


def find_over_rate(case: Case) -> Iterator[str]:
    """More jobs of a key began in some span of time than come in it, plus the burst.

    A job takes its token when it is claimed. How long after that it begins is up to its worker, for
    a lease at most: so many may come late and together. The level of a bucket that leaks at the
    rate finds the worst span of all.
    """
    for key, jobs in jobs_at(case, "rate").items():
        gate = next(iter(jobs.values()))
        most = gate.burst + gate.n * case.lease_seconds / gate.per
        starts = sorted(start for id in jobs for start, _ in case.spans(id))
        level, before = 0.0, 0
        for start in starts:
            level = max(0.0, level - (start - before) / 1e9 * gate.n / gate.per) + 1
            before = start
            if level > most:
                yield f"{level:.0f} jobs of {key} began beside its rate, not {most:g} at most"
                break


def find_not_called_once(case: Case) -> Iterator[str]:
    """A callback was not called, called twice or for the wrong end; a flow is there in part."""
    flows: defaultdict[str, list[Wish]] = defaultdict(list)
    for wish in case.history.wishes.values():
        if wish.flow is not None:
            flows[wish.flow].append(wish)
    for flow, wishes in flows.items():
        if not any(case.jobs_of(wish.op) for wish in wishes):
            continue
        missing = [wish.op for wish in wishes if not case.jobs_of(wish.op)]
        if missing:
            yield f"flow {flow} is stored without {missing}"
        nodes = [job for wish in wishes if wish.role == "node" for job in case.jobs_of(wish.op)]
        is_well = all(job.state == "succeeded" for job in nodes)
        for wish in wishes:
            applies = wish.role == "on_done" or (wish.role == "on_success") is is_well
            if wish.role != "node":
                yield from misled(case, wish, case.jobs_of(wish.op), applies=applies)


def misled(case: Case, wish: Wish, jobs: list[JobRow], *, applies: bool) -> Iterator[str]:
    """Say what is wrong with one callback."""
    if len(jobs) > 1:
        yield f"{wish.op} is to be called by the jobs {[job.id for job in jobs]}"
    for job in jobs:
        if job.state not in FINAL:
            yield f"{wish.op} has not ended: it is {job.state}"
        elif applies and job.state == "cancelled":
            yield f"{wish.op} was not called"
        elif not applies and (job.state != "cancelled" or case.history.runs[job.id]):
            yield f"{wish.op} was called, and does not apply"


def find_premature(case: Case) -> Iterator[str]:
    """A job began before all that it comes after was final."""
    for wish in case.history.wishes.values():
        begun = [span[0] for job in case.jobs_of(wish.op) for span in case.spans(job.id)[:1]]
        for before in wish.after if begun else ():
            for job in case.jobs_of(before):
                over = max((end for _, end in case.spans(job.id)), default=0)
                if job.state not in FINAL or over > min(begun):
                    yield f"{wish.op} began before {before} was final"


def find_leaked(case: Case) -> Iterator[str]:
    """When everything is quiet, a job waits at gates that nobody holds."""
    holders: defaultdict[tuple[str, str], int] = defaultdict(int)
    for job in case.contents.jobs:
        for gate in gates_of(case, job):
            waits = ("scheduled", "retrying", "parked") if gate.kind == "group" else ()
            holders[gate.kind, gate.key] += job.state in ("queued", "running", *waits)
    for job in case.contents.jobs:
        gates, wish = gates_of(case, job), case.history.wishes.get(job.op)
        comes_after = wish.after if wish else ()
        is_free = all(row.state in FINAL for op in comes_after for row in case.jobs_of(op))
        if job.state == "blocked" and gates and is_free:
            full = [gate for gate in gates if holders[gate.kind, gate.key] >= gate.n]
            if not full:
                yield f"job {job.id} waits at {gates[0].kind} {gates[0].key}, and nobody holds it"


def gates_of(case: Case, job: JobRow) -> tuple[Gate, ...]:
    """Return the gates that a job was asked for with."""
    wish = case.history.wishes.get(job.op)
    return wish.gates if wish else ()
