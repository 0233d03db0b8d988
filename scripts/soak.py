"""Let a supervised worker do the jobs of a long day at once, and see whether anything grows.

``make soak JOBS=720000`` is two hours at a hundred jobs a second. Memory, descriptors and the
write-ahead log are measured as it goes; the slope of the second half must be flat: less than
SLOPE_MAX of the memory per hour of a hundred jobs a second.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from jobpipe import Jobpipe  # noqa: E402
from tests.process import soak_app  # noqa: E402
from tests.servers.postgres import PostgresServer  # noqa: E402

WAITING_MAX = 2_000
"""Jobs enqueued ahead of the worker."""

SAMPLES = 60
RATE = 100.0
"""Jobs a second of the day that is made up for."""

SLOPE_MAX = 0.01
"""Share of the memory by which it may grow in an hour at RATE."""

SETTINGS = {
    "JOBPIPE_CONCURRENCY": "20",
    "JOBPIPE_RETENTION": "succeeded=10s,cancelled=10s,failed=10s",
    "JOBPIPE_LOG_LEVEL": "critical",
    "JOBPIPE_JOB_LOG_LEVEL": "info",
}


@dataclass(frozen=True)
class Sample:
    """What the processes of a worker hold after so many jobs."""

    jobs: int
    memory: int
    """Resident bytes of the supervisor and its children."""
    descriptors: int
    log: int
    """Bytes of SQLite's write-ahead log."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=720_000)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jobpipe-soak-")))
        if given.store == "sqlite":
            url = f"sqlite:///{folder}/jobs.db"
        else:
            url = stack.enter_context(PostgresServer()).create_database()
        jp = soak_app.jp.configured(url=url, retention="succeeded=10s,cancelled=10s,failed=10s")
        jp.migrate()
        stack.callback(jp.close)
        worker = stack.enter_context(_worker(url, folder / "worker.log"))
        began = time.monotonic()
        samples = _soak(jp, worker, given.jobs, folder / "jobs.db-wal")
        return _verdict(given.store, samples, time.monotonic() - began)


@contextlib.contextmanager
def _worker(url: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "jobpipe", "worker", "tests.process.soak_app:jp"]
    env = os.environ | SETTINGS | {"JOBPIPE_URL": url}
    with log.open("ab") as out:
        worker = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out)
    try:
        yield worker
    finally:
        worker.send_signal(signal.SIGTERM)
        code = worker.wait(60)
        if code:
            print(log.read_text(errors="replace")[-2_000:], file=sys.stderr)


def _soak(jp: Jobpipe, worker: subprocess.Popen[bytes], jobs: int, log: Path) -> list[Sample]:
    samples: list[Sample] = []
    made = 0
    while made < jobs:
        if worker.poll() is not None:
            raise RuntimeError(f"the worker ended with {worker.returncode}")
        waiting = _waiting(jp)
        if waiting < WAITING_MAX:
            made += len(jp.enqueue_many(list(_calls(jp, made))))
        else:
            time.sleep(0.02)
        if made - waiting >= (len(samples) + 1) * jobs / SAMPLES:
            samples.append(_sample(worker.pid, made - waiting, log))
    while _waiting(jp):
        time.sleep(0.1)
    samples.append(_sample(worker.pid, made, log))
    return samples


def _calls(jp: Jobpipe, number: int) -> Iterator[object]:
    for position in range(1_000):
        name = soak_app.MIX[position % len(soak_app.MIX)]
        task = jp.registry.get(name)
        yield task.call(number + position) if name in soak_app.NUMBERED else task.call()


def _waiting(jp: Jobpipe) -> int:
    counts = jp.counts()
    return sum(counts[state] for state in ("queued", "scheduled", "retrying", "running"))


def _sample(pid: int, jobs: int, log: Path) -> Sample:
    family = [pid, *_children(pid)]
    return Sample(
        jobs=jobs,
        memory=sum(_resident(each) for each in family),
        descriptors=sum(len(os.listdir(f"/proc/{each}/fd")) for each in family),
        log=log.stat().st_size if log.exists() else 0,
    )


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    direct = [int(word) for word in text.split()]
    return direct + [below for child in direct for below in _children(child)]


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _verdict(store: str, samples: list[Sample], seconds: float) -> int:
    late = samples[len(samples) // 2 :]
    middle = sum(sample.memory for sample in late) / len(late)
    an_hour = _slope(late) * RATE * 3600 / middle
    told = {
        "store": store,
        "jobs": samples[-1].jobs,
        "seconds": round(seconds),
        "memory_growth_per_hour": round(an_hour, 4),
        "memory_mb": [round(sample.memory / 1e6, 1) for sample in samples],
        "first": asdict(samples[0]),
        "half": asdict(late[0]),
        "last": asdict(samples[-1]),
    }
    print(json.dumps(told, indent=2))
    return 0 if an_hour <= SLOPE_MAX else 1


def _slope(samples: list[Sample]) -> float:
    """Return the bytes that a job adds: the median over all pairs (Theil and Sen).

    A step, such as the first pruning makes, is no slope.
    """
    return statistics.median(
        (after.memory - before.memory) / (after.jobs - before.jobs)
        for before, after in itertools.combinations(samples, 2)
        if after.jobs > before.jobs
    )


if __name__ == "__main__":
    sys.exit(main())
