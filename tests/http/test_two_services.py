"""Two processes' worth of service on one store: what one is told, the other knows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from jobpipe import Jobpipe
from tests.http.conftest import declare, in_thread

KEY = {"Idempotency-Key": "order-7"}


@pytest.fixture
def two(store_url: str) -> Iterator[tuple[httpx2.Client, httpx2.Client, Jobpipe]]:
    """Clients of two services, and the application of the second."""
    one, other = Jobpipe(store_url), Jobpipe(store_url)
    declare(one)
    declare(other)
    with (
        in_thread(one) as first,
        in_thread(other) as second,
        httpx2.Client(base_url=first, timeout=30) as at_first,
        httpx2.Client(base_url=second, timeout=30) as at_second,
    ):
        yield at_first, at_second, other
    one.close()
    other.close()


def test_a_wait_at_one_ends_with_a_job_of_the_other(
    two: tuple[httpx2.Client, httpx2.Client, Jobpipe],
) -> None:
    first, second, app = two
    job = first.post("/api/v1/jobs", json={"task": "add", "args": [40, 2]}).json()
    with app.running():
        ended = second.get(f"/api/v1/jobs/{job['id']}?wait_seconds=20").json()
    assert (ended["state"], ended["result"]) == ("succeeded", 42)


def test_a_key_is_one_key_at_both(two: tuple[httpx2.Client, httpx2.Client, Jobpipe]) -> None:
    body = {"task": "add", "args": [1]}

    def send(client: httpx2.Client) -> tuple[int, int]:
        answer = client.post("/api/v1/jobs", json=body, headers=KEY)
        return answer.status_code, answer.json()["id"]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, [two[n % 2] for n in range(8)]))
    assert sorted(status for status, _ in answers) == [200] * 7 + [201]
    assert len({id for _, id in answers}) == 1


def test_a_change_at_one_is_refused_at_the_other_with_the_old_version(
    two: tuple[httpx2.Client, httpx2.Client, Jobpipe],
) -> None:
    first, second, _ = two
    stored = first.post("/api/v1/jobs", json={"task": "add", "args": [1]})
    path, known = f"/api/v1/jobs/{stored.json()['id']}", {"If-Match": stored.headers["etag"]}
    assert second.patch(path, json={"priority": 7}, headers=known).status_code == 200
    late = first.patch(path, json={"priority": 9}, headers=known)
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    assert first.get(path).json()["priority"] == 7


def test_a_queue_paused_at_one_is_paused_at_the_other(
    two: tuple[httpx2.Client, httpx2.Client, Jobpipe],
) -> None:
    first, second, app = two
    paused = first.patch("/api/v1/queues/default", json={"paused": True, "reason": "repairs"})
    assert paused.status_code == 200
    (queue,) = second.get("/api/v1/queues").json()["items"]
    assert (queue["name"], queue["paused"], queue["reason"]) == ("default", True, "repairs")
    job = second.post("/api/v1/jobs", json={"task": "add", "args": [1]}).json()
    app.drain()
    assert first.get(f"/api/v1/jobs/{job['id']}").json()["state"] == "queued"
    told = first.get(f"/api/v1/jobs/{job['id']}/explain").json()
    assert told["reasons"][0]["code"] == "queue_paused"
    assert "repairs" in told["reasons"][0]["message"]


def test_the_audit_tells_who_did_what_wherever(
    two: tuple[httpx2.Client, httpx2.Client, Jobpipe],
) -> None:
    first, second, _ = two
    job = first.post("/api/v1/jobs", json={"task": "add", "args": [1]}).json()
    asked = {"X-Request-Id": "ask-1"}
    second.post(f"/api/v1/jobs/{job['id']}/cancel", headers=asked)
    rows = first.get(f"/api/v1/audit?job_id={job['id']}").json()["items"]
    assert [(row["action"], row["who"], row["via"]) for row in rows] == [
        ("cancel", "anonymous", "http"),
        ("enqueue", "anonymous", "http"),
    ]
    assert rows[0]["request_id"] == "ask-1"
    assert (rows[0]["before"]["state"], rows[0]["after"]["state"]) == ("queued", "cancelled")
