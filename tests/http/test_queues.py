"""Settings of queues over HTTP: what is set is shown, noted, and refused when it is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

MAIL = "/api/v1/queues/mail"


def test_settings_are_shown_and_noted(client: TestClient) -> None:
    end = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="microseconds")
    end = end.replace("+00:00", "Z")
    told = {"paused": True, "reason": "night", "until": end, "max_queued": 7}
    shown = client.patch(MAIL, json=told).json()
    assert (shown["paused"], shown["paused_until"], shown["max_queued"]) == (True, end, 7)
    assert client.get("/api/v1/queues").json()["items"] == [shown]
    notes = client.get("/api/v1/audit").json()["items"]
    assert [note["action"] for note in notes] == ["limit_queue", "pause_queue"]
    assert notes[0]["before"]["paused"]
    assert notes[0]["after"]["max_queued"] == 7
    open_again = client.patch(MAIL, json={"paused": False, "max_queued": None}).json()
    assert (open_again["paused"], open_again["max_queued"]) == (False, None)


def test_the_rate_of_a_queue_has_a_burst(client: TestClient) -> None:
    assert client.patch(MAIL, json={"rate": "100/1m", "burst": 10}).json()["rate"] == "100/1m"
    (gate,) = client.get("/api/v1/gates?kind=rate").json()["items"]
    assert (gate["key"], gate["override"]) == (
        "queue:mail",
        {"n": 100, "per_seconds": 60.0, "burst": 10},
    )


def test_what_does_not_change_anything_is_not_noted(client: TestClient) -> None:
    for _ in range(2):
        assert client.patch(MAIL, json={"max_queued": 7}).status_code == 200
    assert len(client.get("/api/v1/audit").json()["items"]) == 1


def test_a_full_queue_answers_429(client: TestClient) -> None:
    assert client.patch("/api/v1/queues/default", json={"max_queued": 1}).status_code == 200
    job = {"task": "add", "args": [1]}
    assert client.post("/api/v1/jobs", json=job).status_code == 201
    full = client.post("/api/v1/jobs", json=job)
    assert (full.status_code, full.json()["code"]) == (429, "queue_full")
    assert "queue limit" in full.json()["help"]


@pytest.mark.parametrize(
    "body, code",
    [
        ({}, "invalid_body"),
        ({"burst": 5}, "invalid_arguments"),
        ({"rate": None, "burst": 5}, "invalid_arguments"),
        ({"rate": "5/s", "burst": 0}, "invalid_arguments"),
        ({"max_queued": 0}, "invalid_arguments"),
        ({"max_queued": "many"}, "invalid_body"),
        ({"paused": True, "until": "2020-01-01T00:00:00Z"}, "invalid_arguments"),
        ({"until": "2999-01-01T00:00:00Z"}, "invalid_arguments"),
        ({"paused": False, "reason": "why"}, "invalid_arguments"),
        ({"paused": True, "reason": "x", "max_queued": -1}, "invalid_arguments"),
    ],
)
def test_a_wrong_change_changes_nothing(
    client: TestClient, body: dict[str, object], code: str
) -> None:
    answer = client.patch(MAIL, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert client.get("/api/v1/queues").json()["items"] == []
