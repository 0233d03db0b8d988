"""``jobpipe serve`` and ``jobpipe dev`` as processes: where they start, and how they stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.surface.program import LIMIT, Program, programs, until
from tests.waiting import until as wait_until

ROOT = Path(__file__).resolve().parents[2]

SLOW = """

@jp.task
async def slow() -> str:
    import asyncio
    from pathlib import Path

    Path("begun").touch()
    while not Path("go").exists():
        await asyncio.sleep(0.02)
    return "done"
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    yield from programs(tmp_path, "sqlite:///jobs.db")


def url_of(process: subprocess.Popen[str]) -> str:
    """Return the URL that the process writes when it listens."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Jobpipe serves http://"), process.communicate(timeout=LIMIT)
    return line.split()[-1]


def call(
    url: str, body: Any = None, token: str | None = None, host: str | None = None
) -> tuple[int, dict[str, Any]]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    if host is not None:
        request.add_header("Host", host)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_it_serves_and_runs_what_it_is_asked(program: Program) -> None:
    process = program.start("serve", "app:jp", "--worker", "--port", "0")
    url = url_of(process)
    status, job = call(f"{url}/api/v1/jobs", {"task": "app.add", "args": {"a": 1, "b": 2}})
    assert status == 201
    status, ended = call(f"{url}/api/v1/jobs/{job['id']}?wait_seconds=10")
    assert (status, ended["state"], ended["result"]) == (200, "succeeded", 3)
    process.terminate()
    assert process.wait(LIMIT) == 0


def test_without_an_application_the_rest_is_served(program: Program) -> None:
    program.env.pop("JOBPIPE_APP")
    process = program.start("serve", "--port", "0")
    url = url_of(process)
    assert call(f"{url}/readyz")[0] == 200
    assert call(f"{url}/api/v1/jobs", {"task": "app.add"})[0] == 422
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT) == 0


@pytest.mark.parametrize(
    "host,tokens,code",
    [
        ("127.0.0.1", None, None),
        ("localhost", None, None),
        ("::1", None, None),
        ("0.0.0.0", None, 2),
        ("::", None, 2),
        ("0.0.0.0", "ann:admin:x", None),
        ("127.0.0.1", "ann:boss:s3cret", 2),
    ],
)
def test_where_it_starts(program: Program, host: str, tokens: str | None, code: int | None) -> None:
    if tokens is not None:
        program.env["JOBPIPE_TOKENS"] = tokens
    process = program.start("serve", "--host", host, "--port", "0")
    if code is None:
        url = url_of(process)
        assert call(f"{url}/health")[0] == 200
        assert call(f"{url}/api/v1/jobs")[0] == (200 if tokens is None else 401)
        assert call(f"{url}/api/v1/jobs", token="x")[0] == 200
        rebound = call(f"{url}/api/v1/jobs", host="evil.example", token="x")[0]
        assert rebound == (421 if tokens is None else 200)
        process.terminate()
        assert process.wait(LIMIT) == 0
    else:
        _, told = process.communicate(timeout=LIMIT)
        assert process.returncode == code
        assert "no token is set" in told or "the role of 'ann' is none of" in told
        assert "s3cret" not in told


def test_a_taken_port_is_named(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = program("serve", "--port", str(port))
    assert ended.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken" in ended.stderr


def test_tokens_are_made_and_revoked_while_it_runs(program: Program) -> None:
    program.env["JOBPIPE_TOKENS_FILE"] = "tokens"
    token = program("token", "create", "ci", "--role", "producer").stdout.strip()
    process = program.start("serve", "app:jp", "--port", "0")
    url = url_of(process)
    asked = {"task": "app.add", "args": [1]}
    assert call(f"{url}/api/v1/jobs", asked, token=token)[0] == 201
    status, refused = call(f"{url}/api/v1/jobs/1/cancel", {}, token=token)
    assert (status, refused["code"]) == (403, "forbidden")
    assert program("token", "revoke", "ci").returncode == 0
    wait_until(lambda: call(f"{url}/api/v1/jobs", token=token)[0] == 401, 1.5)
    assert call(f"{url}/readyz")[0] == 200
    Path(program.folder, "tokens").write_text("ci:boss:s3cret", encoding="utf-8")
    wait_until(lambda: call(f"{url}/readyz")[0] == 503, 3)
    assert "s3cret" not in json.dumps(call(f"{url}/readyz")[1])
    process.terminate()
    _, told = process.communicate(timeout=LIMIT)
    assert "s3cret" not in told
    assert token not in told
    assert "the role of 'ci' is none of" in told


def test_while_a_job_ends_new_work_is_refused(program: Program) -> None:
    with program.folder.joinpath("app.py").open("a", encoding="utf-8") as file:
        file.write(SLOW)
    process = program.start("serve", "app:jp", "--worker", "--port", "0")
    url = url_of(process)
    _, job = call(f"{url}/api/v1/jobs", {"task": "app.slow"})
    wait_until(program.folder.joinpath("begun").exists)
    process.terminate()
    wait_until(lambda: call(f"{url}/readyz")[0] == 503)
    status, refused = call(f"{url}/api/v1/jobs", {"task": "app.slow"})
    assert (status, refused["code"]) == (503, "stopping")
    status, waiting = call(f"{url}/api/v1/jobs/{job['id']}?wait_seconds=20")
    assert (status, waiting["state"]) == (200, "running")  # at once, as it is
    program.folder.joinpath("go").touch()
    assert process.wait(LIMIT) == 0
    shown = json.loads(program("job", "show", str(job["id"]), "--json").stdout)
    assert (shown["state"], shown["result"]) == ("succeeded", "done")
    with pytest.raises(urllib.error.URLError):
        call(f"{url}/health")


@pytest.mark.parametrize("how", ["grace", "second signal"])
def test_what_does_not_end_in_time_is_given_back(program: Program, how: str) -> None:
    with program.folder.joinpath("app.py").open("a", encoding="utf-8") as file:
        file.write(SLOW)
    grace = "0.2" if how == "grace" else "60"
    process = program.start(
        "serve", "app:jp", "--worker", "--port", "0", "--shutdown-seconds", grace
    )
    url = url_of(process)
    _, job = call(f"{url}/api/v1/jobs", {"task": "app.slow"})
    wait_until(program.folder.joinpath("begun").exists)
    process.terminate()
    if how == "second signal":
        wait_until(lambda: call(f"{url}/readyz")[0] == 503)
        process.terminate()
    assert process.wait(LIMIT) == (0 if how == "grace" else 128 + signal.SIGTERM)
    shown = json.loads(program("job", "show", str(job["id"]), "--json").stdout)
    assert (shown["state"], shown["attempt"]) == ("queued", 0)  # uncharged


def test_dev_begins_anew_on_every_change(program: Program) -> None:
    process = program.start("dev", "app.py", "--port", str(free_port()))
    url = url_of(process)
    assert call(f"{url}/api/v1/jobs", {"task": "app.more"})[0] == 422
    file = program.folder / "app.py"
    before = file.read_text(encoding="utf-8")
    file.write_text(before + "\n\ndef broken(:\n", encoding="utf-8")
    until(process, "the next change begins it anew")
    file.write_text(before + "\n\n@jp.task\ndef more() -> int:\n    return 7\n", encoding="utf-8")
    wait_until(lambda: is_up(url))
    _, job = call(f"{url}/api/v1/jobs", {"task": "app.more"})
    assert call(f"{url}/api/v1/jobs/{job['id']}?wait_seconds=10")[1]["result"] == 7
    process.send_signal(signal.SIGINT)
    assert process.wait(LIMIT) == 0
    assert not is_up(url)


def is_up(url: str) -> bool:
    try:
        return call(f"{url}/health")[0] == 200
    except OSError:
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        port: int = opened.getsockname()[1]
        return port


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_quickstart_runs_jobs_and_serves_until_it_is_told(tmp_path: Path, number: int) -> None:
    """It puts some 1,800 jobs through, so it takes a few seconds."""
    folder = tmp_path / "a folder"
    folder.mkdir()
    script = ROOT / "examples" / "quickstart" / "main.py"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOBPIPE_")}
    port = free_port()
    for _ in range(2):  # twice in a row, on what the first has left
        process = subprocess.Popen(
            [sys.executable, str(script)],
            cwd=folder,
            env=kept | {"PORT": str(port), "COLUMNS": "100"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        try:
            _see_it_through(process, port, number)
        finally:
            process.kill()
    assert folder.joinpath("jobpipe.db").exists()


def _see_it_through(process: subprocess.Popen[str], port: int, number: int) -> None:
    """Read what the quickstart writes, look at its service, stop it."""
    assert process.stdout is not None
    written = []
    for line in process.stdout:
        written.append(line)
        if "/metrics" in line:
            break
    text = "".join(written)
    assert " 0 failed" in text, text
    for link in ("/", "/api/docs", "/api/v1/jobs", "/metrics"):
        assert f"http://127.0.0.1:{port}{link} " in text
    assert call(f"http://127.0.0.1:{port}/api/v1/jobs")[0] == 200
    process.send_signal(number)
    _, told = process.communicate(timeout=LIMIT)
    assert (process.returncode, told) == (0, "")


def test_the_quickstart_names_a_taken_port(tmp_path: Path) -> None:
    script = ROOT / "examples" / "quickstart" / "main.py"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = subprocess.run(
            [sys.executable, str(script)],
            cwd=tmp_path,
            env=os.environ | {"PORT": str(port)},
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    assert ended.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken" in ended.stdout
    assert f"or serve elsewhere: PORT={port % 65_535 + 1}" in " ".join(ended.stdout.split())


def test_a_service_manager_is_told(program: Program, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(LIMIT)
        manager.bind(str(tmp_path / "notify"))
        program.env |= {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
        process = program.start("serve", "--port", "0")
        url_of(process)
        assert manager.recv(100) == b"READY=1"
        assert manager.recv(100) == b"WATCHDOG=1"
        process.terminate()
        told = b""
        while told != b"STOPPING=1":
            told = manager.recv(100)
        assert process.wait(LIMIT) == 0


@pytest.mark.parametrize("words", [["--worker"], []])
def test_without_its_store_it_does_not_begin(program: Program, words: list[str]) -> None:
    program.env["JOBPIPE_URL"] = "postgresql://nobody@127.0.0.1:1/none"
    ended = program("serve", "app:jp", "--port", "0", *words)
    assert (ended.returncode, ended.stdout) == (75, "")
    assert "Traceback" not in ended.stderr


def test_a_service_is_no_store_of_another(program: Program) -> None:
    ended = program("serve", "--port", "0", "--url", "http://127.0.0.1:1")
    assert ended.returncode == 2
    assert "a service needs a store" in ended.stderr


def test_an_idle_connection_costs_little(program: Program) -> None:
    process = program.start("serve", "--port", "0")
    port = int(url_of(process).rpartition(":")[2])
    asks = b"GET /api/v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    opened: list[socket.socket] = []

    def connect(count: int) -> int:
        """Open so many, each after a request; return the memory of the service in bytes."""
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port))
            opened.append(connection)
            connection.sendall(asks)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024

    before = connect(50)
    assert connect(400) - before <= 400 * 50_000
    for connection in opened:
        connection.close()
