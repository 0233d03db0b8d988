"""What a supervisor and its children say to each other: one JSON object a line, over a socketpair.

The socket is private to the two, so the store's URL may hold its password here.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from jobpipe.model.job import Lane
from jobpipe.policy.death import OnLoss

EXHAUSTED = 3
"""Exit code of a worker that stopped because its slots were stuck."""


class LossRule(Struct, frozen=True):
    """How a task is judged whose worker died; None: the delays of the settings."""

    delays: str | None = None
    on_loss: OnLoss = "retry"


class Facts(Struct, frozen=True, kw_only=True):
    """The settings in force in a child, as far as its supervisor acts on them."""

    url: str
    pooler: str
    listen_url: str | None
    schema: str
    table_prefix: str
    is_shared: bool
    """False for a store in memory, which the supervisor cannot reach."""
    lease_seconds: float
    pulse_seconds: float
    shutdown_seconds: float
    retry_delays: str
    max_payload: int
    processes: int
    max_seconds: float | None
    max_memory: int | None
    health_port: str | None
    rules: dict[str, LossRule]
    """By name of the task, those that differ from the settings."""


class Hello(Struct, frozen=True, tag=True):
    """An incarnation has entered the store and begins to work."""

    worker_id: int
    name: str
    facts: Facts


class Ready(Struct, frozen=True, tag=True):
    """It takes jobs from now on."""


class Frontier(Struct, frozen=True, tag=True):
    """The ranks to publish with the next renewal."""

    worker_id: int
    ranks: list[tuple[str, int, int]]


class Waning(Struct, frozen=True, tag=True):
    """Half of the jobs that this child may take are taken: a successor should get ready."""


class Retiring(Struct, frozen=True, tag=True):
    """This child takes no more jobs: its successor should."""


class Ended(Struct, frozen=True, tag=True):
    """An incarnation is over and needs no lease any more."""

    worker_id: int


class Welcome(Struct, frozen=True, tag=True):
    """The first word to a child: who it is."""

    name: str
    supervisor_pid: int
    supervisor_started: str
    greets: bool
    """It greets whoever started the supervisor."""
    quiet: bool


class Lost(Struct, frozen=True, tag=True):
    """The lease of an incarnation is gone."""

    worker_id: int
    why: str


class Stop(Struct, frozen=True, tag=True):
    """Stop in good order; said again, stop at once."""


class Retire(Struct, frozen=True, tag=True):
    """Take no more jobs, and end when the running ones have ended."""


class Quiet(Struct, frozen=True, tag=True):
    """Take no more jobs until it is said that one may."""

    on: bool


FromChild: TypeAlias = Hello | Ready | Frontier | Waning | Retiring | Ended
FromSupervisor: TypeAlias = Welcome | Lost | Stop | Retire | Quiet


def ranks_of(frontier: dict[Lane, int]) -> list[tuple[str, int, int]]:
    """Return the frontier as a message carries it."""
    return [(lane.queue, lane.priority, rank) for lane, rank in frontier.items()]
