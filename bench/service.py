"""The HTTP service under load, beside a service of the usual shape, in alternating rounds.

``python -m bench.service`` (in the harness's environment) starts a PostgreSQL of its own, then in
each round Jobpipe's service and the yardstick one after the other, drives ``POST /api/v1/jobs``
with wrk over 50 connections, and tells requests/s, the latency and the ratio. Then it opens idle
connections and streams and tells what each one costs in memory. No worker runs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.request import urlopen

from bench.harness import machine, venvs
from bench.harness.debian import ensure_program
from bench.harness.meter import tree
from bench.harness.servers import Postgres

HERE = Path(__file__).parent
BODY = {"task": "tasks.noop", "args": {"n": 1}, "queue": "default", "priority": 0}
TASKS = """\
from jobpipe import Jobpipe

jp = Jobpipe()


@jp.task
async def noop(n: int) -> None:
    pass
"""
SCRIPT = """\
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[%s]]
"""
READY_SECONDS = 30.0
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
"""Milliseconds of the units that wrk writes."""


@dataclass(frozen=True)
class Load:
    """What wrk saw."""

    rate: float
    p50: float
    p99: float
    """Milliseconds."""
    refused: int


def main() -> int:
    """Measure and tell; fails when a request was refused."""
    given = _parse()
    wrk = ensure_program("wrk", "wrk")
    ours = venvs.environment("service", "-e .[all]\n")
    theirs = venvs.environment("yardstick", (HERE / "yardstick" / "requirements.txt").read_text())
    loads: dict[str, list[Load]] = {"Jobpipe": [], "yardstick": []}
    with ExitStack() as stack:
        server = stack.enter_context(Postgres())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-service-")))
        (folder / "tasks.py").write_text(TASKS)
        (folder / "post.lua").write_text(SCRIPT % json.dumps(BODY))
        for number in range(given.rounds):
            names = list(loads) if number % 2 == 0 else list(reversed(loads))
            for name in names:
                url = server.fresh()
                started = _ours(ours, folder, url) if name == "Jobpipe" else _theirs(theirs, url)
                with started as (port, _pid):
                    _drive(wrk, folder, port, given.connections, 2)
                    load = _drive(wrk, folder, port, given.connections, given.seconds)
                server.drop(url)
                loads[name].append(load)
                print(f"  {number + 1} {name:<10} {_line(load)}", flush=True)
        idle = _idle(ours, folder, server, given.idle) if given.idle else {}
    _tell(loads, idle)
    return 1 if any(load.refused for load in loads["Jobpipe"]) else 0


def _tell(loads: dict[str, list[Load]], idle: dict[str, float]) -> None:
    facts = machine.hardware()
    print("\n" + ", ".join(f"{name} {value}" for name, value in facts.items()))
    for name, seen in loads.items():
        rates = sorted(load.rate for load in seen)
        worst = max(load.p99 for load in seen)
        print(
            f"{name:<10} {median(rates):,.0f} requests/s ({rates[0]:,.0f}-{rates[-1]:,.0f}),"
            f" p50 {median(load.p50 for load in seen):.1f} ms, p99 at most {worst:.1f} ms"
        )
    pairs = zip(loads["Jobpipe"], loads["yardstick"], strict=True)
    ratio = median(mine.rate / other.rate for mine, other in pairs)
    print(f"ratio      {ratio:.2f} x (wanted: at least 3, with a p99 of at most 50 ms)")
    for what, kilobytes in idle.items():
        print(f"{what:<22} {kilobytes:.1f} KB each (wanted: at most 50)")


def _line(load: Load) -> str:
    refused = f", {load.refused:,} refused" if load.refused else ""
    return f"{load.rate:>8,.0f} requests/s, p50 {load.p50:.1f} ms, p99 {load.p99:.1f} ms{refused}"


def _drive(wrk: str, folder: Path, port: int, connections: int, seconds: int) -> Load:
    url = f"http://127.0.0.1:{port}/api/v1/jobs"
    script = str(folder / "post.lua")
    counts = ["-t", "2", "-c", str(connections), "-d", f"{seconds}s"]
    done = subprocess.run(
        [wrk, *counts, "--latency", "-s", script, url], capture_output=True, text=True, check=True
    )
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    return Load(
        rate=float(_found(r"Requests/sec:\s+([\d.]+)", done.stdout)),
        p50=_milliseconds("50%", done.stdout),
        p99=_milliseconds("99%", done.stdout),
        refused=int(refused[1]) if refused else 0,
    )


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk did not tell what was looked for:\n{text}")
    return found[1]


def _milliseconds(share: str, text: str) -> float:
    told = _found(rf"(?m)^\s+{share}\s+(\S+)$", text)
    unit = told.lstrip("0123456789.")
    return float(told.removesuffix(unit)) * UNITS[unit]


Running = AbstractContextManager[tuple[int, int]]
"""Yields the port and the process of a service."""


def _ours(python: str, folder: Path, url: str) -> Running:
    port = _free_port()
    command = [python, "-m", "jobpipe", "serve", "tasks:jp", "--port", str(port)]
    command += ["--log-level", "warning"]
    return _running(command, folder, port, {"JOBPIPE_URL": url})


def _theirs(python: str, url: str) -> Running:
    port = _free_port()
    command = [python, "-m", "uvicorn", "app:app", "--port", str(port), "--no-access-log"]
    own = url.replace("postgresql://", "postgresql+asyncpg://", 1)
    return _running(command, HERE / "yardstick", port, {"YARDSTICK_URL": own})


@contextmanager
def _running(
    command: list[str], folder: Path, port: int, environment: dict[str, str]
) -> Iterator[tuple[int, int]]:
    """Run a service; yields its port and its process."""
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    )
    try:
        _wait_for(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(timeout=READY_SECONDS)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + READY_SECONDS
    while time.monotonic() < ends and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen on port {port}")


def _idle(python: str, folder: Path, server: Postgres, count: int) -> dict[str, float]:
    """Return the kilobytes that idle connections and streams of events cost each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, count * 2 + 100)), hard))
    requests = {
        "idle connection": b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        "idle stream of events": b"GET /api/v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    }
    costs = {}
    for what, request in requests.items():
        with _ours(python, folder, server.fresh()) as (port, pid), ExitStack() as opened:
            urlopen(f"http://127.0.0.1:{port}/health").read()
            before = _resident(pid)
            for _ in range(count):
                connection = socket.create_connection(("127.0.0.1", port))
                opened.enter_context(closing(connection))
                connection.sendall(request)
                connection.recv(65_536)
            costs[what] = (_resident(pid) - before) / count
    return costs


def _resident(pid: int) -> float:
    """Return the kilobytes of memory that a process and its children hold."""
    page = os.sysconf("SC_PAGE_SIZE") / 1024
    sizes = [Path(f"/proc/{each}/statm").read_text().split()[1] for each in tree([pid])]
    return sum(int(size) * page for size in sizes)


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as opened:
        port: int = opened.getsockname()[1]
        return port


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.service", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="pairs of samples (7)")
    parser.add_argument("--seconds", type=int, default=10, help="of a sample (10)")
    parser.add_argument("--connections", type=int, default=50, help="of a sample (50)")
    parser.add_argument(
        "--idle", type=int, default=10_000, help="idle connections (10000; 0: none)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
