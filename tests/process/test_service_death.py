"""A service dies between the commit and the answer: who asked asks again, and has each job once."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from jobpipe import Jobpipe

LIMIT_SECONDS = 30.0

SERVE = """
import sys
import uvicorn
from jobpipe import Jobpipe
from jobpipe.http.asgi import asgi

jp = Jobpipe(sys.argv[1], failpoints=sys.argv[3])

@jp.task(name="add")
def add(a: int) -> None: ...

uvicorn.run(asgi(jp), fd=int(sys.argv[2]), log_level="error", lifespan="off")
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A socket that stays when a service dies: who calls meanwhile waits for the next one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def serve(store: str, listener: socket.socket, failpoints: str) -> subprocess.Popen[bytes]:
    place = listener.fileno()
    command = [sys.executable, "-c", SERVE, store, str(place), failpoints]
    return subprocess.Popen(command, pass_fds=[place])


@pytest.mark.parametrize("n", [1, 3])
def test_a_lost_answer_makes_no_second_job(tmp_path: Path, listener: socket.socket, n: int) -> None:
    store = f"sqlite:///{tmp_path / 'jobs.db'}"
    client = Jobpipe(f"http://127.0.0.1:{listener.getsockname()[1]}")

    @client.task(name="add")
    def add(a: int) -> None: ...

    def enqueue() -> list[int]:
        return [add.enqueue(0).id] if n == 1 else client.enqueue_many(map(add.call, range(n)))

    first = serve(store, listener, "enqueue_checked.after_commit=kill@1")
    with ThreadPoolExecutor(1) as thread:
        ids = thread.submit(enqueue)
        assert first.wait(LIMIT_SECONDS) == -9
        second = serve(store, listener, "")
        try:
            told = ids.result(LIMIT_SECONDS)
        finally:
            second.terminate()
            second.wait(LIMIT_SECONDS)
            client.close()
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as file:
        stored = [row[0] for row in file.execute("SELECT id FROM jobpipe_job ORDER BY id")]
    assert told == stored
    assert len(stored) == n
