"""How a supervisor tells of its condition: by HTTP, and to systemd."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from tests.process.supervised import LIMIT_SECONDS, Supervised, children_of
from tests.servers.postgres import PostgresServer
from tests.servers.process import free_port


def ask(port: int, path: str, method: str = "GET") -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        assert answer.getheader("Content-Type") == "application/json"
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_the_port_tells_of_workers_and_jobs(on_sqlite: Supervised) -> None:
    port = free_port()
    supervisor = on_sqlite.start("--health-port", str(port), "--name", "w")
    on_sqlite.until_events("WorkerStarted")
    job = on_sqlite.hold("job")
    (pid, _) = on_sqlite.noted("job")[0]
    expected = {"name": "w", "pid": pid, "ready": True, "running": 1, "finished": 0}
    for path in ("/health", "/readyz", "/readyz?full=1"):
        assert ask(port, path) == (200, {"status": "ok", "workers": [expected]})
    assert ask(port, "/")[0] == 404
    assert ask(port, "/health", "POST")[0] == 405
    supervisor.send_signal(signal.SIGTERM)
    on_sqlite.until_events("WorkerStopping")
    assert ask(port, "/health")[0] == 200
    assert ask(port, "/readyz")[1]["status"] == "stopping"
    assert ask(port, "/readyz")[0] == 503
    on_sqlite.let_go("job")
    on_sqlite.jp.job(job).result(20)
    assert supervisor.wait(20) == 0


def test_it_is_not_ready_while_no_worker_is(on_sqlite: Supervised, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        f"import pathlib, time\nwhile not pathlib.Path({str(tmp_path / 'go')!r}).exists():\n"
        "    time.sleep(0.01)\nfrom tests.process.supervised_app import jp\n",
        encoding="utf-8",
    )
    port = free_port()
    on_sqlite.start("--health-port", str(port), JOBPIPE_APP=str(tmp_path / "slow.py"))
    on_sqlite.until_events("ChildStarted")
    assert ask(port, "/readyz")[1]["status"] == "no worker is ready"
    (tmp_path / "go").touch()
    on_sqlite.until(lambda: ask(port, "/readyz")[0] == 200, "readiness")


def test_it_is_not_ready_while_the_store_is_away(
    postgres_server: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    on_sqlite = Supervised(postgres_url, tmp_path)
    try:
        port = free_port()
        on_sqlite.start("--health-port", str(port), JOBPIPE_LEASE_SECONDS="1")
        on_sqlite.until_events("WorkerStarted")
        on_sqlite.until(lambda: ask(port, "/readyz")[0] == 200, "readiness")
        postgres_server.stop()
        on_sqlite.until(lambda: ask(port, "/readyz")[0] == 503, "unreadiness")
        on_sqlite.until_events("LeaseEnded")
        assert ask(port, "/readyz")[0] == 503
        assert ask(port, "/health")[0] == 200
        postgres_server.start()
        on_sqlite.until(lambda: ask(port, "/readyz")[0] == 200, "readiness")
    finally:
        on_sqlite.close()


def test_a_slow_client_holds_up_nobody(on_sqlite: Supervised) -> None:
    port = free_port()
    on_sqlite.start("--health-port", str(port))
    on_sqlite.until_events("WorkerStarted")
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(b"GET /hea")
        assert ask(port, "/health")[0] == 200
        slow.settimeout(10)  # it is cut off after 5 s, so this test takes longer than that
        assert slow.recv(100) == b""


def test_a_port_that_is_taken_is_told(on_sqlite: Supervised) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert on_sqlite.start("--health-port", str(port)).wait(20) == 2
    assert f"health port 127.0.0.1:{port} cannot be opened" in on_sqlite.text()
    assert on_sqlite.events("ChildStarted") == []


class Manager:
    """The socket that systemd would listen on."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.heard: list[str] = []

    def until(self, state: str) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while state not in self.heard:
            self.socket.settimeout(deadline - time.monotonic())
            self.heard.append(self.socket.recv(4096).decode())


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_systemd_hears_when_it_is_ready_how_it_is_and_when_it_stops(
    on_sqlite: Supervised, tmp_path: Path, kind: str
) -> None:
    path = str(tmp_path / "notify") if kind == "path" else f"@jobpipe-test-{os.getpid()}"
    manager = Manager(path.replace("@", "\0"))
    with manager.socket:
        supervisor = on_sqlite.start(
            "--processes", "2", NOTIFY_SOCKET=path, WATCHDOG_USEC="1000000"
        )
        manager.until("READY=1")
        assert len(on_sqlite.events("WorkerStarted")) >= 1
        assert "STATUS=2 of 2 workers ready, 0 jobs running, 0 ended" not in manager.heard
        manager.until("STATUS=2 of 2 workers ready, 0 jobs running, 0 ended")
        manager.heard.clear()
        began = time.monotonic()
        for _ in range(3):
            manager.until("WATCHDOG=1")
            manager.heard.clear()
        assert time.monotonic() - began < 3
        environ = Path(f"/proc/{children_of(supervisor.pid)[0]}/environ").read_bytes()
        assert b"NOTIFY_SOCKET" not in environ
        supervisor.send_signal(signal.SIGTERM)
        manager.until("STOPPING=1")
        assert supervisor.wait(20) == 0


def test_a_store_in_memory_is_served_by_one_worker(on_sqlite: Supervised) -> None:
    port = free_port()
    on_sqlite.start(
        "--health-port", str(port), "--processes", "2", JOBPIPE_URL="sqlite:///:memory:"
    )
    on_sqlite.until_events("WorkerStarted")
    on_sqlite.until(lambda: ask(port, "/readyz")[0] == 200, "readiness")
    # Another process would see another store.
    assert len(ask(port, "/readyz")[1]["workers"]) == 1


def test_a_port_of_the_application_that_is_taken_ends_the_supervisor(
    on_sqlite: Supervised, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = f"from jobpipe import Jobpipe\njp = Jobpipe(health_port={port})\n"
        (tmp_path / "with_port.py").write_text(text, encoding="utf-8")
        assert on_sqlite.start("with_port:jp", cwd=tmp_path, JOBPIPE_APP="none").wait(20) == 2
    assert f"health port 127.0.0.1:{port} cannot be opened" in on_sqlite.text()
