"""Over HTTP a request names the gates that its job is to pass."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from jobpipe import Jobpipe

JOBS = "/api/v1/jobs"


def add(client: TestClient, **fields: Any) -> dict[str, Any]:
    answer = client.post(JOBS, json={"task": "add", "args": [1], **fields})
    assert answer.status_code == 201, answer.text
    job: dict[str, Any] = answer.json()
    return job


def test_jobs_of_a_group_follow_one_another(app: Jobpipe, client: TestClient) -> None:
    jobs = [add(client, group="order-7") for _ in range(2)]
    assert [(job["group"], job["state"]) for job in jobs] == [("order-7", "blocked")] * 2
    found = client.get(f"{JOBS}?group=order-7").json()["items"]
    assert [job["id"] for job in found] == [jobs[1]["id"], jobs[0]["id"]]
    app.drain()
    assert client.get(f"{JOBS}/{jobs[1]['id']}").json()["state"] == "succeeded"


def test_a_request_says_how_many_and_how_often(app: Jobpipe, client: TestClient) -> None:
    fields = {
        "group": {"key": "a-{a}", "on_failure": "block"},
        "concurrency": [{"n": 2, "key": "k"}, {"n": 1}],
        "rate": "100/s",
    }
    job = add(client, **fields)
    assert (job["group"], job["state"]) == ("a-1", "blocked")
    app.drain()
    assert client.get(f"{JOBS}/{job['id']}").json()["state"] == "succeeded"
    assert add(client, group=False, concurrency=False, rate=False)["state"] == "queued"


def test_one_limit_needs_no_list(app: Jobpipe, client: TestClient) -> None:
    app.pause_queue("default")  # what nobody holds may be forgotten
    job = add(client, concurrency={"n": 1, "key": "k-{a}"}, rate={"n": 100, "burst": 5})
    app.drain()
    assert client.get(f"{JOBS}/{job['id']}").json()["state"] == "queued"
    gates = client.get("/api/v1/gates").json()["items"]
    assert [(gate["kind"], gate["key"], gate["terms"]) for gate in gates] == [
        ("concurrency", "k-1", {"n": 1}),
        ("rate", "add", {"n": 100, "per_seconds": 1.0, "burst": 5}),
    ]


@pytest.mark.parametrize(
    "field, value",
    [
        ("group", " "),
        ("group", "a-{nobody}"),
        ("group", True),
        ("concurrency", 0),
        ("concurrency", True),
        ("rate", "100/y"),
        ("rate", [{"n": 1, "per": 0}]),
        ("rate", {"n": 0}),
    ],
)
def test_a_wrong_wish_is_refused(client: TestClient, field: str, value: object) -> None:
    refused = client.post(JOBS, json={"task": "add", "args": [1], field: value})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_arguments")
    assert f"{field}=" in refused.json()["detail"]
    assert client.get(JOBS).json()["items"] == []


@pytest.mark.parametrize(
    "field, value, told",
    [
        ("rate", [{"n": 1, "per": -1}], "rate=-1.0 is refused; allowed: per as seconds"),
        ("rate", [{"n": 1, "burst": 0}], "rate=0 is refused; allowed: burst as a whole number"),
        ("concurrency", [{"n": 0}], "concurrency=0 is refused; allowed: n as a whole number"),
    ],
)
def test_the_part_of_a_wish_that_is_wrong_is_named(
    client: TestClient, field: str, value: object, told: str
) -> None:
    refused = client.post(JOBS, json={"task": "add", "args": [1], field: value})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_arguments")
    assert told in refused.json()["detail"]
