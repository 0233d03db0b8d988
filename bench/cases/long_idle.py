"""What a worker costs that has nothing to do: statements a second, and CPU.

On PostgreSQL the server counts transactions (the worker's statements run in autocommit); its
statistics may be a second late, so the looks are a worker's start and an idle spell apart. On
SQLite every connection of every process reports each statement that it runs; those that only ask
whether another process has committed (a word of shared memory) are counted apart.
"""

from __future__ import annotations

import time

from bench.harness import postgres
from bench.harness.case import Case, Figure, Measured
from bench.harness.stage import Stage

STATEMENTS = Figure("statements", "/s", more_is_better=False, title="statements a second")
VERSIONS = Figure("versions", "/s", more_is_better=False, title="looks at SQLite's data_version")
CPU = Figure("cpu_ms", "ms/s", more_is_better=False, title="CPU of the worker a second")
STORE_CPU = Figure("store_ms", "ms/s", more_is_better=False, title="CPU of the server a second")

TRACED = frozenset({"jobpipe_sqlite"})
"""On SQLite: whose program can report its statements."""

WAITING = frozenset(
    {"jobpipe", "jobpipe_sqlite", "pgqueuer", "graphile_worker", "procrastinate", "awa", "huey"}
)
WARM_JOBS = 20
SETTLE_SECONDS = 5.0
IDLE_SECONDS, QUICK_SECONDS = 20.0, 10.0


def idle(stage: Stage) -> Measured:
    """Let a worker run a few jobs, and then look how it waits."""
    seconds = QUICK_SECONDS if stage.quick else IDLE_SECONDS
    counted = stage.folder / "statements"
    stage.run("prepare")
    traced = {"statements": str(counted)} if stage.system.name in TRACED else {}
    worker = stage.start("work", tally=str(stage.tally), kind="noop", **traced)
    stage.run("fill", jobs=WARM_JOBS, task="noop")
    stage.until_done(WARM_JOBS, [worker])
    time.sleep(SETTLE_SECONDS)

    def statements() -> tuple[int, int]:
        if traced:
            noted = counted.read_bytes()
            return noted.count(b"."), noted.count(b"v")
        return postgres.transactions(stage.url) if stage.server_pids else 0, 0

    before, used, began = statements(), stage.usage([worker]), time.monotonic()
    time.sleep(seconds)
    after, usage, ended = statements(), stage.usage([worker]), time.monotonic()
    worker.stop()
    spell = ended - began
    figures = {"cpu_ms": (usage.worker - used.worker) / spell * 1e3}
    if after[0]:
        figures["statements"] = (after[0] - before[0]) / spell
    if traced:
        figures["versions"] = (after[1] - before[1]) / spell
    if stage.server_pids:
        figures["store_ms"] = (usage.store - used.store) / spell * 1e3
    return Measured(figures)


CASES = (
    Case(
        name="idle",
        title="An idle worker",
        figures=(STATEMENTS, VERSIONS, CPU, STORE_CPU),
        measure=idle,
        needs=frozenset({"fill", "work", "noop"}),
        only=WAITING,
        lasts=28,
        rounds=1,
        goals=("no more than one look a second and one heartbeat per interval per worker",),
    ),
)
