"""The queue service of the examples keeps its contract, in this process and as a program."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from examples.queue_service import work
from examples.queue_service.settings import read_settings
from examples.queue_service.web import app, closing
from jobpipe import State
from jobpipe.errors import JobFailed
from jobpipe.testing import Kit
from tests.waiting import until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kit() -> Iterator[Kit]:
    with Kit(work.jp) as kit:
        yield kit


@pytest.fixture
def client(kit: Kit) -> TestClient:
    return TestClient(app)


@pytest.fixture
def luck(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What chance will say, in turn; 0.2 and more is good."""
    draws: list[float] = []
    chance = SimpleNamespace(random=lambda: draws.pop(0), uniform=lambda _low, _high: 0.0)
    monkeypatch.setattr(work, "random", chance)
    return draws


def order(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "payload": "p", "max_retries": 0, **fields}


# Settings


@pytest.mark.parametrize("wrong", ["0", "-1", "many", "", "1.5", "²", "9" * 20])
@pytest.mark.filterwarnings("ignore:WORKERS=", "ignore:QUEUE_SIZE=")
def test_a_bad_number_counts_as_left_out(wrong: str, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="WORKERS=.*: 4 is used"):
        settings = read_settings({"WORKERS": wrong, "QUEUE_SIZE": wrong}, tmp_path / ".env")
    assert (settings.workers, settings.queue_size) == (4, 64)


def test_a_port_beyond_the_last_counts_as_left_out(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="PORT='65536' is not a whole number from 0 to 65535"):
        assert read_settings({"PORT": "65536"}, tmp_path / ".env").port == 8080


def test_settings_stand_in_a_file_and_in_the_environment(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# mine\nWORKERS=2\n\nQUEUE_SIZE = '8'\nnonsense\n", encoding="utf-8")
    settings = read_settings({"WORKERS": "3"}, file)
    assert (settings.workers, settings.queue_size, settings.port) == (3, 8, 8080)
    assert settings.url == "sqlite:///:memory:"


def test_the_file_to_copy_says_the_defaults() -> None:
    file = ROOT / "examples" / "queue_service" / ".env.example"
    assert read_settings({}, file) == read_settings({}, file.with_name("nowhere"))


# Calls


def test_an_order_is_queued(client: TestClient, kit: Kit) -> None:
    answer = client.post("/enqueue", json=order("a", payload="hello", max_retries=3))
    assert (answer.status_code, answer.json()) == (202, {"status": "queued", "id": "a"})
    (job,) = kit.assert_enqueued(work.work, args=("a", "hello"), count=1)
    assert job.record is not None
    assert job.record.max_attempts == 4
    shown = {"id": "a", "status": "queued", "attempts": 0, "error": None}
    assert client.get("/task", params={"id": "a"}).json() == shown
    assert client.get("/tasks").json() == [shown]


@pytest.mark.parametrize(
    "body",
    [
        *[b"", b"{", b"[]", b'"a"', b"\xff", b'{"payload": "p"}', b'{"id": ""}', b'{"id": 7}'],
        *[b'{"id": "a", "payload": 7}', b'{"id": "a", "max_retries": "3"}', b'{"id": "\\u0000"}'],
        *[b'{"id": "%b"}' % (b"a" * 201), b'{"id": "a", "max_retries": 1e30}'],
        pytest.param(b'{"id": "a", "x": %b%b}' % (b"[" * 100_000, b"]" * 100_000), id="deep"),
    ],
)
def test_what_is_no_order_gets_400(client: TestClient, kit: Kit, body: bytes) -> None:
    answer = client.post("/enqueue", content=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]
    assert kit.enqueued() == []


def test_negative_retries_are_none_and_other_fields_change_nothing(
    client: TestClient, kit: Kit
) -> None:
    body = order("a", max_retries=-5, status="done", attempts=99)
    assert client.post("/enqueue", json=body).status_code == 202
    (job,) = kit.enqueued()
    assert job.record is not None
    assert (job.record.max_attempts, job.record.attempt) == (1, 0)
    assert job.state is State.QUEUED


@pytest.mark.parametrize("payload", ["p", "another"])
def test_a_taken_id_gets_409(client: TestClient, kit: Kit, payload: str) -> None:
    assert client.post("/enqueue", json=order("a")).status_code == 202
    answer = client.post("/enqueue", json=order("a", payload=payload))
    assert answer.status_code == 409
    assert "a" in answer.json()["error"]
    assert len(kit.enqueued()) == 1


def test_the_65th_waiting_task_gets_503_and_none_is_lost(client: TestClient, kit: Kit) -> None:
    codes = [client.post("/enqueue", json=order(f"t{n}")).status_code for n in range(66)]
    assert codes == [202] * 64 + [503] * 2
    assert client.post("/enqueue", json=order("again")).headers["Retry-After"] == "1"
    assert len(kit.enqueued()) == 64


def test_a_closing_service_takes_nothing(client: TestClient, kit: Kit) -> None:
    closing.set()
    try:
        assert client.post("/enqueue", json=order("a")).status_code == 503
    finally:
        closing.clear()
    assert kit.enqueued() == []


def test_the_other_calls(client: TestClient) -> None:
    assert (client.get("/health").status_code, client.get("/health").json()["status"]) == (
        200,
        "ok",
    )
    for path, status in [("/enqueue", 405), ("/nowhere", 404)]:
        answer = client.get(path)
        assert (answer.status_code, list(answer.json())) == (status, ["error"])
    assert client.get("/task", params={"id": "nobody"}).status_code == 404
    assert client.get("/task").status_code == 404


# Work


def test_work_takes_100_to_500_ms_and_fails_one_time_in_five(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: set[tuple[float, float]] = set()

    def uniform(low: float, high: float) -> float:
        asked.add((low, high))
        return 0.0

    async def failures() -> int:
        runs = [work.work(f"t{n}", "p") for n in range(1_000)]
        return len(
            [run for run in await asyncio.gather(*runs, return_exceptions=True) if run != "p"]
        )

    chance = SimpleNamespace(random=random.Random(7).random, uniform=uniform)
    monkeypatch.setattr(work, "random", chance)
    assert 150 <= asyncio.run(failures()) <= 250  # the deviation is 12.6
    assert asked == {(0.1, 0.5)}


def test_a_failed_task_is_tried_max_retries_times_more(
    client: TestClient, kit: Kit, luck: list[float]
) -> None:
    luck += [0.19, 0.0, 0.2]
    client.post("/enqueue", json=order("lucky", max_retries=2))
    kit.drain(with_scheduled=True)
    luck += [0.1, 0.1, 0.1]
    client.post("/enqueue", json=order("unlucky", max_retries=2))
    with pytest.raises(JobFailed):
        kit.drain(with_scheduled=True)
    luck += [0.0]
    client.post("/enqueue", json=order("once"))
    with pytest.raises(JobFailed):
        kit.drain(with_scheduled=True)
    shown = {task["id"]: (task["status"], task["attempts"]) for task in client.get("/tasks").json()}
    assert shown == {"lucky": ("done", 3), "unlucky": ("failed", 3), "once": ("failed", 1)}
    assert luck == []


def test_retries_wait_by_full_jitter(client: TestClient, kit: Kit, luck: list[float]) -> None:
    """Attempt n waits a random time up to min(2 s, 100 ms * 2**(n-1)): within it, and growing."""
    luck += [0.0] * 7 * 40
    for n in range(40):
        client.post("/enqueue", json=order(f"t{n}", max_retries=7))
    gaps: list[list[int]] = []
    for _ in range(7):
        kit.drain()
        waiting = [job.record for job in kit.enqueued(state=State.RETRYING)]
        gaps.append([((each and each.due_at) or 0) - kit.clock.micros for each in waiting])
        kit.clock.advance(timedelta(seconds=2))
    for gap, most in zip(gaps, [1e5, 2e5, 4e5, 8e5, 16e5, 2e6, 2e6], strict=True):
        assert len(gap) == 40
        assert 0 <= min(gap) <= max(gap) <= most
        assert len(set(gap)) > 30
        assert most * 0.3 < sum(gap) / 40 < most * 0.7  # the mean deviates by 0.046 of it


# The program


class Service:
    """The service as a program of its own."""

    def __init__(self, folder: Path = ROOT, **env: str) -> None:
        self._program = subprocess.Popen(
            [sys.executable, "-m", "examples.queue_service"],
            cwd=folder,
            env=os.environ | {"PORT": "0", **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._program.stdout is not None
        self.greeting = self._program.stdout.readline()
        if not self.greeting:
            raise AssertionError(self._program.communicate(timeout=30)[1])
        self._url = self.greeting.split()[-1]

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_error: object) -> None:
        self._program.kill()
        self._program.communicate()

    def post(self, body: dict[str, Any]) -> int:
        """Enqueue; returns the status of the answer."""
        request = urllib.request.Request(f"{self._url}/enqueue", json.dumps(body).encode())
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code

    def tasks(self) -> dict[str, str]:
        """The newest tasks with their states."""
        with urllib.request.urlopen(f"{self._url}/tasks", timeout=30) as answer:
            return {task["id"]: task["status"] for task in json.load(answer)}

    def kill(self) -> None:
        self._program.kill()
        self._program.communicate()

    def signal(self, number: int) -> None:
        self._program.send_signal(number)

    def ended(self) -> tuple[int, str, str]:
        """Wait for its end: the exit code, and what it wrote."""
        out, err = self._program.communicate(timeout=30)
        return self._program.returncode, out, err


def in_states(tasks: dict[str, str], *states: str) -> list[str]:
    return [id for id, state in tasks.items() if state in states]


def test_a_crowd_of_clients_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    """Work takes up to half a second: with 40 slots a run of 90 tasks and retries needs some."""
    with Service(WORKERS="40", QUEUE_SIZE="100") as service, ThreadPoolExecutor(16) as crowd:
        ids = [f"t{n % 90}" for n in range(180)]  # each twice
        codes = Counter(crowd.map(service.post, [order(id, max_retries=50) for id in ids]))
        assert codes == {202: 90, 409: 90}
        until(lambda: len(in_states(service.tasks(), "done")) == 90, seconds=30)
        assert len(service.tasks()) == 90


def test_as_many_run_at_once_as_there_are_workers() -> None:
    with Service(WORKERS="3") as service:
        assert service.greeting.startswith("3 workers behind http://127.0.0.1:")
        for n in range(12):
            assert service.post(order(f"t{n}")) == 202
        seen = set()
        while in_states(tasks := service.tasks(), "queued"):
            seen.add(len(in_states(tasks, "running")))
        assert max(seen) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_what_was_taken_end(number: int) -> None:
    with Service(WORKERS="2") as service:
        for n in range(8):
            service.post(order(f"t{n}"))
        service.signal(number)
        until(lambda: service.post(order("late")) == 503)
        code, out, err = service.ended()
    assert (code, out) == (0, "0 tasks are left\n")
    assert "Traceback" not in err


def test_tasks_in_a_file_survive_a_stop_and_a_kill(tmp_path: Path) -> None:
    """Three programs, and twelve tasks of up to half a second that fail and are tried again."""
    url = f"sqlite:///{tmp_path / 'tasks.db'}"
    durable = {"WORKERS": "1", "JOBPIPE_URL": url, "JOBPIPE_LEASE_SECONDS": "1"}
    with Service(**durable) as service:
        for n in range(12):
            service.post(order(f"t{n}", max_retries=50))
        service.signal(signal.SIGTERM)
        code, out, _ = service.ended()
    assert code == 0
    assert re.fullmatch(r"[1-9]\d* tasks are left\n", out)
    with Service(**durable) as service:
        until(lambda: in_states(service.tasks(), "running"))
        service.kill()
    with Service(**(durable | {"WORKERS": "6"})) as service:
        until(lambda: len(in_states(service.tasks(), "done")) == 12)
