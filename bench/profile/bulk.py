"""Bulk enqueues in chunks of 5,000: the caller's part, and the table with one part left out."""

from __future__ import annotations

import time
from collections import defaultdict

import psycopg

from bench.profile.figures import (
    DEFAULTS,
    ROUNDS,
    Figures,
    application,
    note,
    served,
    statements,
    tell,
)
from jobpipe import bootstrap
from jobpipe.delivery.hub import Hub
from jobpipe.store.ops.enqueue import enqueue_plain

CHUNK, CHUNKS = 5_000, 10
CHECKS = ("rank", "due", "finished", "shelf", "reason")
PARTS = {
    "the claim index": "DROP INDEX jobpipe.job_claim",
    "the primary key": "ALTER TABLE jobpipe.job DROP CONSTRAINT job_pkey",
    "the five checks": ";".join(
        f"ALTER TABLE jobpipe.job DROP CONSTRAINT job_{name}" for name in CHECKS
    ),
    "the trigger": "DROP TRIGGER job_first_state ON jobpipe.job",
    "the room on each page": "ALTER TABLE jobpipe.job SET (fillfactor = 100)",
    "the write-ahead log": "ALTER TABLE jobpipe.job SET UNLOGGED",
}
VARIANTS = {
    "as it is": "",
    **{f"without {name}": change for name, change in PARTS.items()},
    "without all of these": ";".join(PARTS.values()),
}


def profile() -> None:
    """Print what the caller does for a job, and what the statement takes with less to keep."""
    caller: Figures = {}
    statement: Figures = {}
    with served() as server:
        for _ in range(ROUNDS):
            for name, change in VARIANTS.items():
                url = server.fresh()
                spent = _stored(url, change)
                ((_, inside),) = statements(server, url).values()
                note(statement, name, inside / CHUNK)  # one row answers for a chunk
                if not change:
                    for step, micros in spent.items():
                        note(caller, step, micros)
                server.drop(url)
    tell("The caller, one chunk after the other", "us a job", caller)
    tell("The statement in the server, without commit and transport", "us a job", statement)


def _stored(url: str, change: str) -> dict[str, float]:
    """Store the chunks in a table that was changed; return what each step took a job, in us."""
    jp, noop = application(url)
    noop.enqueue(0)
    with psycopg.connect(url, autocommit=True) as connection:
        for command in filter(None, change.split(";")):
            connection.execute(command.encode())
    backend = bootstrap.connect(jp.settings, Hub())
    spent: dict[str, float] = defaultdict(float)
    for _ in range(CHUNKS):
        began = time.perf_counter()
        calls = [noop.call(n) for n in range(CHUNK)]
        called = time.perf_counter()
        jobs = [call.new_job(DEFAULTS) for call in calls]
        made = time.perf_counter()
        backend.store.run(enqueue_plain(jobs))
        spent["encode and check the arguments"] += called - began
        spent["make the rows"] += made - called
        spent["the store: send, insert, commit, answer"] += time.perf_counter() - made
    backend.close()
    jp.close()
    return {step: seconds / (CHUNK * CHUNKS) * 1e6 for step, seconds in spent.items()}
