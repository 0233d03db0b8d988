"""What the tests of gates share: jobs with wishes, and rounds until nothing is left to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from jobpipe.model.gate import GateKind, OnFailure, Wish
from jobpipe.model.job import Claimed, NewJob
from jobpipe.model.marks import GATED, STARTS
from jobpipe.model.state import State
from jobpipe.store.ops.admit import Admitted, admit
from tests.conformance.clock import SECOND
from tests.conformance.lab import Lab, new_job


def slots(n: int, key: str = "k") -> Wish:
    return _wish(GateKind.CONCURRENCY, key, {"n": n})


def group(key: str = "g", on_failure: OnFailure = "skip") -> Wish:
    return _wish(GateKind.GROUP, key, {"on_failure": on_failure})


def rate(n: int, per_us: int = SECOND, burst: int = 1, key: str = "k") -> Wish:
    return _wish(GateKind.RATE, key, {"n": n, "per_us": per_us, "burst": burst})


def _wish(kind: GateKind, key: str, terms: Mapping[str, Any]) -> Wish:
    return Wish(kind, key, msgspec.json.encode(terms).decode())


def wishing(*wishes: Wish, **fields: Any) -> NewJob:
    starts = any(wish.kind is GateKind.RATE for wish in wishes)
    keys = [wish.key for wish in wishes if wish.kind is GateKind.GROUP]
    own = {"wishes": wishes, "marks": GATED | STARTS if starts else GATED}
    return new_job(**{**own, "group_key": keys[0] if keys else None, **fields})


def stored(lab: Lab, jobs: Sequence[NewJob]) -> list[int]:
    return [answer.id for answer in lab.enqueue(jobs)]


def rounds(lab: Lab) -> list[Admitted]:
    """Do rounds until there is nothing to do."""
    done: list[Admitted] = []
    while (round_ := lab.run(admit())) is not None:
        done.append(round_)
        is_due = round_.next_in_us is not None and round_.next_in_us <= 0
        if not (round_.more or is_due):
            return done
        assert len(done) < 200, "the rounds do not come to an end"
    raise AssertionError("somebody else admits")


def let_in(lab: Lab) -> list[int]:
    """Return who was let in, in the order of the queue."""
    queued = [job for round_ in rounds(lab) for job in round_.queued]
    return [job.id for job in sorted(queued, key=lambda job: job.rank)]


def opens_in(lab: Lab) -> int | None:
    """Return when a gate is to be looked at next, in microseconds."""
    return rounds(lab)[-1].next_in_us


def claimed(lab: Lab, limit: int = 10) -> list[Claimed]:
    return lab.claim(lab.worker(), limit)


def blocked_on(lab: Lab, id: int) -> str | None:
    job = lab.job(id)
    return job.blocked_on if job.state is State.BLOCKED else None
