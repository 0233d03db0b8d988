"""Measures every Python file of the standard library, and serves the jobs over HTTP until Ctrl-C.

One job a file, run by a worker inside the service. Another port: PORT=9000.

python examples/quickstart/main.py
jobpipe job list
"""

from __future__ import annotations

import os
import sysconfig
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from tasks import Measure, jp, measure

from jobpipe import Job, State
from jobpipe.errors import JobpipeError
from jobpipe.http.server import serve

LOOK_SECONDS = 0.1
console = Console()
stopping = threading.Event()


def main() -> int:
    if port := os.environ.get("PORT"):
        jp.configured(port=port)
    works: list[threading.Thread] = []

    def begin(url: str) -> None:
        works.append(threading.Thread(target=put_to_work, args=[url], name="quickstart"))
        works[0].start()

    try:
        code = serve(jp, worker=True, greet=begin)
    except JobpipeError as error:
        help = error.help.replace("--port ", "PORT=")  # this program takes no options
        console.print(f"[red]Error:[/red] {error}\n{help}", highlight=False)
        return 1
    stopping.set()
    for work in works:
        work.join()
    jp.close()
    return code


def put_to_work(url: str) -> None:
    """Enqueue the jobs, show how they run, and say where to look at them."""
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py"))
    files = [file for file in files if "site-packages" not in file.parts]
    began = time.perf_counter()
    ids = jp.enqueue_many(measure.call(file) for file in files)
    console.print(f"Enqueued {len(ids):,} jobs in {time.perf_counter() - began:.2f} s.")
    began = time.perf_counter()
    watch(ids)
    seconds = time.perf_counter() - began
    if stopping.is_set():
        return
    report([jp.job(id) for id in ids], seconds)
    console.print("The service goes on until Ctrl-C:")
    for path, what in LINKS.items():
        console.print(f"  {url}{path:<14} {what}", highlight=False)


LINKS = {
    "/": "where everything is",
    "/api/docs": "every call, to try out",
    "/api/v1/jobs": "the newest jobs",
    "/metrics": "counts for Prometheus",
}


def watch(ids: list[int]) -> None:
    """Show a bar until every job has ended."""
    columns = TextColumn("Running"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("jobs", total=len(ids))
        left = list(ids)
        while left and not stopping.is_set():
            # Jobs end roughly in order, so the first ones are asked first.
            while left and jp.job(left[0]).state in (State.SUCCEEDED, State.FAILED):
                left.pop(0)
            progress.update(bar, completed=len(ids) - len(left))
            if left:
                stopping.wait(LOOK_SECONDS)


def report(jobs: list[Job[Measure]], seconds: float) -> None:
    """Print totals and the slowest five."""
    done = [job for job in jobs if job.state is State.SUCCEEDED]
    measures = [job.result() for job in done]
    console.print(
        f"{len(done):,} succeeded, {len(jobs) - len(done):,} failed in {seconds:.2f} s"
        f" ({len(done) / seconds:,.0f} jobs/s): {sum(m.lines for m in measures):,} lines,"
        f" the longest has {max(m.longest_line for m in measures):,} bytes."
    )
    table = Table("job", "file", "lines", "ms", title="The slowest five")
    for job in sorted(done, key=run_us, reverse=True)[:5]:
        path = Path(jp.job_view(job.id).args["path"])
        lines = f"{job.result().lines:,}"
        table.add_row(str(job.id), path.name, lines, f"{run_us(job) / 1000:.2f}")
    console.print(table)
    console.print("See them: [bold].venv/bin/jobpipe job list[/bold]")


def run_us(job: Job[Measure]) -> int:
    """Return how long the job's last attempt ran, in microseconds."""
    record = job.record
    assert record is not None
    return (record.finished_at or 0) - (record.started_at or 0)


if __name__ == "__main__":
    raise SystemExit(main())
