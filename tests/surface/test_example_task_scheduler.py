"""The task scheduler of the examples keeps its contract, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from examples.task_scheduler import work
from examples.task_scheduler.settings import read_settings
from examples.task_scheduler.web import app
from jobpipe import Jobpipe
from jobpipe.testing import Kit
from tests.waiting import until

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "task_scheduler"


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What the task asked for: nobody sleeps."""
    asked: list[tuple[str, Any]] = []

    def randint(low: int, high: int) -> int:
        asked.append(("randint", (low, high)))
        return 7

    monkeypatch.setattr(work.random, "randint", randint)
    monkeypatch.setattr(work, "time", Sleeper(asked))
    return asked


class Sleeper:
    """Stands for the module ``time`` in the task's file."""

    def __init__(self, asked: list[tuple[str, Any]]) -> None:
        self._asked = asked

    def sleep(self, seconds: float) -> None:
        self._asked.append(("sleep", seconds))


@pytest.fixture
def kit(slept: list[tuple[str, Any]]) -> Iterator[Kit]:
    with Kit(work.jp) as kit:
        yield kit


@pytest.fixture
def client(kit: Kit) -> TestClient:
    return TestClient(app)


# Settings


def test_the_names_of_the_file_to_copy_are_honoured(tmp_path: Path) -> None:
    given = FOLDER.joinpath(".env.example").read_text(encoding="utf-8")
    file = tmp_path / ".env"
    file.write_text(given.replace("#POSTGRES", "POSTGRES"), encoding="utf-8")
    settings = read_settings({"API_PORT": "9000", "POSTGRES_PASSWORD": "a/b"}, file)
    assert settings.url == "postgresql://postgres:a%2Fb@localhost:5432/tasks"
    assert (settings.host, settings.port, settings.longest_sleep) == ("127.0.0.1", 9000, 10)
    file.write_text(given.replace("#SQL", "SQL"), encoding="utf-8")
    assert read_settings({}, file).url == "postgresql://postgres:postgres@localhost:5432/tasks"
    file.write_text(given, encoding="utf-8")
    assert read_settings({}, file) == read_settings({}, tmp_path / "nowhere")
    assert read_settings({}, file).url.endswith("/examples/task_scheduler/tasks.db")


@pytest.mark.parametrize("name", ["API_PORT", "LONGEST_SLEEP"])
@pytest.mark.parametrize("wrong", ["", "-1", "many", "1.5", "²", "99999"])
def test_a_bad_number_is_refused_by_name(name: str, wrong: str, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"^{name}='{wrong}' is refused; allowed: a whole number"):
        read_settings({name: wrong}, tmp_path / ".env")


# Calls


def test_a_number_comes_back_at_once(client: TestClient, kit: Kit) -> None:
    answers = [client.post("/tasks") for _ in range(3)]
    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (201, {"number": 1}),
        (201, {"number": 2}),
        (201, {"number": 3}),
    ]
    assert [task["number"] for task in client.get("/tasks").json()] == [3, 2, 1]
    kit.assert_enqueued(work.sleep, count=3)


def test_a_task_is_in_the_queue_then_runs_then_is_completed(
    client: TestClient, kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = client.post("/tasks").json()["number"]
    created = kit.clock.now().isoformat()
    assert client.get(f"/tasks/{number}").json() == {
        "status": "In Queue",
        "create_time": created,
        "start_time": None,
        "time_to_execute": None,
    }
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(
        Sleeper, "sleep", lambda *_: seen.append(client.get(f"/tasks/{number}").json())
    )
    kit.drain()
    (running,) = seen
    assert list(running) == ["status", "create_time", "start_time", "time_to_execute"]
    assert (running["status"], running["create_time"]) == ("Run", created)
    assert running["time_to_execute"] >= 0
    done = client.get(f"/tasks/{number}").json()
    assert list(done) == ["status", "create_time", "start_time", "time_to_execute"]
    assert (done["status"], done["create_time"]) == ("Completed", created)
    assert datetime.fromisoformat(done["start_time"]).tzinfo == UTC
    assert 0 <= done["time_to_execute"] < 10


def test_the_work_is_to_sleep_for_up_to_ten_seconds(
    client: TestClient, kit: Kit, slept: list[tuple[str, Any]]
) -> None:
    client.post("/tasks")
    kit.drain()
    assert slept == [("randint", (0, 10)), ("sleep", 7)]


def test_the_other_addresses_carry_a_description(client: TestClient, kit: Kit) -> None:
    answer = client.post("/tasks/", json={"description": "tidy up"})
    assert (answer.status_code, answer.json()) == (201, {"oid": 1, "description": "tidy up"})
    shown = client.get("/tasks/1/").json()
    created = kit.clock.now().isoformat()
    assert shown == {
        "task_oid": 1,
        "description": "tidy up",
        "status": "In Queue",
        "create_time": created,
        "start_time": None,
        "exec_time": None,
    }
    kit.drain()
    assert client.get("/tasks/1/").json()["status"] == "Completed"
    assert client.get("/tasks/1/").json().keys() == shown.keys()


@pytest.mark.parametrize("address", ["/tasks/7", "/tasks/7/"])
def test_an_unknown_number_gets_404(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404
    assert answer.json() == {"error": "there is no such task"}


@pytest.mark.parametrize("call", ["GET /tasks/x", "GET /tasks/-1", "GET /", "PUT /tasks"])
def test_what_is_no_call_is_answered_in_json(client: TestClient, call: str) -> None:
    answer = client.request(*call.split())
    assert answer.status_code == (404 if call.startswith("GET") else 405)
    assert answer.json()["error"]


DEEP = b'{"description": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{}", b'{"description": 7}', b"\xff", pytest.param(DEEP, id="deep")]
)
def test_what_has_no_description_gets_422(client: TestClient, kit: Kit, body: bytes) -> None:
    answer = client.post("/tasks/", content=body)
    assert answer.status_code == 422
    assert answer.json()["error"]
    assert kit.enqueued() == []


def test_the_page_of_the_calls_loads_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/api/docs")
    assert page.headers["content-type"].startswith("text/html")
    for name in ("docs/docs.js", "docs/pages.css"):
        assert f'"{name}"' in page.text
        asset = client.get(f"/api/{name}")
        assert asset.status_code == 200
        assert "http://" not in page.text + asset.text
        assert "https://" not in page.text + asset.text


def test_every_call_is_in_the_document_and_can_be_tried(client: TestClient) -> None:
    document = client.get("/api/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            body = {"description": "x"} if "requestBody" in operation else None
            answer = client.request(method, path.replace("{number}", "1"), json=body)
            assert str(answer.status_code) in operation["responses"], (method, path)
            assert {"tags", "summary", "parameters", "operationId"} <= operation.keys()
    served = {route.path.replace(":int", "") for route in app.routes if "tasks" in route.path}
    assert served == document["paths"].keys()


# Programs


class Program:
    """The service, or a worker, as a program of its own."""

    def __init__(self, *words: str, **env: str) -> None:
        self.url = f"http://127.0.0.1:{env.get('API_PORT')}"
        self._program = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env={name: v for name, v in os.environ.items() if "JOBPIPE" not in name} | env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()

    def kill(self) -> None:
        self._program.kill()
        self._program.wait()

    def stop(self) -> None:
        self._program.terminate()
        self._program.wait(timeout=30)

    def ask(self, method: str, path: str) -> Any:
        request = urllib.request.Request(self.url + path, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def listens(self) -> bool:
        try:
            self.ask("GET", "/tasks")
        except urllib.error.URLError:
            return False
        return True


@contextmanager
def service(**env: str) -> Iterator[Program]:
    """A service that listens at a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Program("examples.task_scheduler", API_PORT=str(port), **env) as program:
        until(program.listens)
        yield program


def most_at_once(jp: Jobpipe) -> int:
    """Return how many tasks ran at once, at most, by the times that were noted."""
    records = [job.record for job in jp.jobs(limit=1000)]
    edges: list[tuple[int, int]] = []
    for record in records:
        assert record is not None
        assert record.started_at is not None
        assert record.finished_at is not None
        edges += [(record.started_at, 1), (record.finished_at, -1)]
    running = most = 0
    for _, step in sorted(edges):
        running += step
        most = max(most, running)
    return most


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_two_at_once_over_all_processes(store: str, request: pytest.FixtureRequest) -> None:
    """Each of three processes would run one at once, so two are never of the same.

    Fourteen tasks of 0 or 1 s, two at once: that takes some four seconds.
    """
    uri: str = request.getfixturevalue(f"{store}_url")
    jp = Jobpipe(uri)
    env = {"SQLALCHEMY_CONN_URI": uri, "JOBPIPE_CONCURRENCY": "1", "LONGEST_SLEEP": "1"}
    worker = ["jobpipe", "worker", "examples.task_scheduler.work:jp"]
    with service(**env) as one, service(**env) as two, Program(*worker, **env):
        numbers = [each.ask("POST", "/tasks")["number"] for each in [one, two] * 7]
        assert numbers == sorted(set(numbers))
        most = 0
        words: set[str] = set()
        while (counts := jp.counts())["succeeded"] < 14:
            most = max(most, counts["running"])
            words |= {task["status"] for task in one.ask("GET", "/tasks")}
        assert words == {"In Queue", "Run", "Completed"}
        assert most == most_at_once(jp) == 2
        assert len({job.record.worker_pid for job in jp.jobs() if job.record}) > 1
    jp.close()


def test_tasks_survive_a_restart(sqlite_url: str) -> None:
    env = {"SQLALCHEMY_CONN_URI": sqlite_url, "JOBPIPE_LEASE_SECONDS": "1"}
    with service(**env, LONGEST_SLEEP="1") as before:
        numbers = [before.ask("POST", "/tasks")["number"] for _ in range(6)]
        until(lambda: "Run" in {task["status"] for task in before.ask("GET", "/tasks")})
        before.kill()
    with service(**env, LONGEST_SLEEP="0") as after:
        until(lambda: {task["status"] for task in after.ask("GET", "/tasks")} == {"Completed"})
        assert [task["number"] for task in after.ask("GET", "/tasks")] == numbers[::-1]
        after.stop()
