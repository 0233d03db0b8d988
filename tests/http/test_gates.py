"""Gates and pauses of tasks over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from jobpipe import Jobpipe
from tests.waiting import until

MAIL = "/api/v1/gates/concurrency/mail"


def test_a_key_is_limited_paused_and_listed(client: TestClient) -> None:
    assert client.get("/api/v1/gates").json() == {
        "items": [],
        "next_cursor": None,
        "looked_down_to": None,
    }
    shown = client.patch(MAIL, json={"limit": 3, "paused": True, "reason": "flood"}).json()
    assert (shown["override"], shown["paused"], shown["reason"]) == ({"n": 3}, True, "flood")
    assert client.get("/api/v1/gates").json()["items"] == [shown]
    shown = client.patch(MAIL, json={"limit": None, "paused": False}).json()
    assert (shown["override"], shown["paused"]) == (None, False)
    notes = client.get("/api/v1/audit").json()["items"]
    assert [note["action"] for note in notes] == [
        "resume_gate",
        "limit_gate",
        "pause_gate",
        "limit_gate",
    ]
    assert notes[-1]["after"] == {
        "kind": "concurrency",
        "key": "mail",
        "paused": False,
        "override": {"n": 3},
    }


def test_lists_have_pages(client: TestClient) -> None:
    keys = ["a", "b:c/d", "e"]
    for key in keys:
        assert client.patch(f"/api/v1/gates/rate/{key}", json={"limit": "5/s"}).status_code == 200
    client.patch("/api/v1/tasks/add", json={"paused": True})
    seen, cursor = [], None
    while True:
        params = {"limit": 1} | ({} if cursor is None else {"cursor": cursor})
        page = client.get("/api/v1/gates", params=params).json()
        seen += [(gate["kind"], gate["key"]) for gate in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == [*(("rate", key) for key in keys), ("task", "add")]
    of_kind = client.get("/api/v1/gates", params={"kind": "task"}).json()["items"]
    assert [gate["key"] for gate in of_kind] == ["add"]


def test_a_paused_task_rests_until_it_is_resumed(client: TestClient, app: Jobpipe) -> None:
    paused = client.patch("/api/v1/tasks/add", json={"paused": True, "reason": "repairs"})
    assert (paused.status_code, paused.json()["paused"]) == (200, True)
    job = client.post("/api/v1/jobs", json={"task": "add", "args": [1]}).json()["id"]
    app.drain()
    shown = client.get(f"/api/v1/jobs/{job}").json()
    assert (shown["state"], shown["blocked_on"], shown["attempt"]) == ("blocked", "task:add", 0)
    (gate,) = client.get("/api/v1/gates").json()["items"]
    assert (gate["kind"], gate["key"], gate["waiting"]) == ("task", "add", 1)
    assert client.patch("/api/v1/tasks/add", json={"paused": False}).json()["paused"] is False
    app.drain()
    assert client.get(f"/api/v1/jobs/{job}").json()["state"] == "succeeded"
    assert client.get("/api/v1/gates").json()["items"] == []


def test_programs_elsewhere_get_no_job_of_a_paused_task(client: TestClient) -> None:
    client.patch("/api/v1/tasks/add", json={"paused": True})

    def is_set_aside() -> bool:
        """Whether what is enqueued now is not handed out: the service has heard of the pause."""
        job = client.post("/api/v1/jobs", json={"task": "add", "args": [1]}).json()["id"]
        asked = {"worker": "w", "queues": "*", "slots": 10}
        given = client.post("/api/v1/claims", json=asked).json()["jobs"]
        is_blocked: bool = client.get(f"/api/v1/jobs/{job}").json()["state"] == "blocked"
        assert is_blocked != bool(given)
        return is_blocked

    until(is_set_aside)


@pytest.mark.parametrize(
    "path, body, code",
    [
        (MAIL, {}, "invalid_body"),
        (MAIL, {"limit": 0}, "invalid_arguments"),
        (MAIL, {"limit": "5/s"}, "invalid_arguments"),
        ("/api/v1/gates/rate/mail", {"limit": "\u0665/s"}, "invalid_arguments"),
        (MAIL, {"burst": 3}, "invalid_arguments"),
        (MAIL, {"reason": "why"}, "invalid_arguments"),
        ("/api/v1/gates/nope/mail", {"paused": True}, "invalid_arguments"),
        ("/api/v1/gates/task/add", {"limit": 3}, "invalid_arguments"),
        ("/api/v1/gates/concurrency/queue:mail", {"limit": 3}, "invalid_arguments"),
        (
            "/api/v1/tasks/add",
            {"paused": True, "until": "2020-01-01T00:00:00Z"},
            "invalid_arguments",
        ),
    ],
)
def test_a_wrong_change_changes_nothing(
    client: TestClient, path: str, body: dict[str, Any], code: str
) -> None:
    answer = client.patch(path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert client.get("/api/v1/gates").json()["items"] == []


@pytest.mark.parametrize("cursor", ["x", "nope:a", "rate:", "rate:\x00"])
def test_a_cursor_of_no_page_is_refused(client: TestClient, cursor: str) -> None:
    answer = client.get("/api/v1/gates", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_arguments")
