"""Tenants over HTTP: whose job it is, who shares a queue, what each weighs."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from jobpipe import Jobpipe

JOBS, TENANTS = "/api/v1/jobs", "/api/v1/tenants"


def test_a_job_belongs_to_the_tenant_that_the_request_names(
    client: TestClient, app: Jobpipe
) -> None:
    body = {"task": "add", "args": [1], "tenant": "org/blue"}
    job = client.post(JOBS, json=body).json()
    assert (job["tenant"], job["state"]) == ("org/blue", "blocked")
    app.drain()
    assert client.get(f"{JOBS}/{job['id']}").json()["state"] == "succeeded"


def test_a_wrong_tenant_is_refused(client: TestClient) -> None:
    refused = client.post(JOBS, json={"task": "add", "args": [1], "tenant": " "})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_arguments")
    assert refused.json()["detail"].startswith("field tenant=' ' is refused")


def test_a_weight_is_set_shown_and_noted(client: TestClient) -> None:
    weighed = client.patch(f"{TENANTS}/org/blue?queue=mail", json={"weight": 3})
    assert weighed.json() == {"queue": "mail", "tenant": "org/blue", "weight": 3}
    client.patch(f"{TENANTS}/org/blue?queue=mail", json={"weight": 3})
    shown = client.get(TENANTS).json()
    assert shown["items"] == [
        {"queue": "mail", "tenant": "org/blue", "weight": 3, "waiting": 0, "queued": 0,
         "running": 0}
    ]  # fmt: skip
    (note,) = client.get("/api/v1/audit").json()["items"]
    assert (note["action"], note["queue"]) == ("set_weight", "mail")
    assert note["before"] == {"tenant": "org/blue", "weight": 1}
    assert note["after"] == {"tenant": "org/blue", "weight": 3}


def test_tenants_are_listed_page_by_page(client: TestClient) -> None:
    for queue in ("a", "b"):
        for name in ("x", "y:z"):
            client.patch(f"{TENANTS}/{name}?queue={queue}", json={"weight": 2})
    seen, cursor = [], ""
    while cursor is not None:
        page = client.get(f"{TENANTS}?limit=1{cursor and f'&cursor={cursor}'}").json()
        seen += [(each["queue"], each["tenant"]) for each in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [("a", "x"), ("a", "y:z"), ("b", "x"), ("b", "y:z")]
    only = client.get(f"{TENANTS}?queue=b").json()["items"]
    assert [each["tenant"] for each in only] == ["x", "y:z"]


@pytest.mark.parametrize(
    "place, weight, code",
    [
        ("blue?queue=mail", 0, "invalid_arguments"),
        ("blue?queue=mail", 1001, "invalid_arguments"),
        ("blue?queue=mail", 1.5, "invalid_body"),
        ("blue?queue=no%20queue", 2, "invalid_arguments"),
        ("%20?queue=mail", 2, "invalid_arguments"),
        ("blue", 2, "invalid_query"),
    ],
)
def test_a_wrong_weight_changes_nothing(
    client: TestClient, place: str, weight: object, code: str
) -> None:
    refused = client.patch(f"{TENANTS}/{place}", json={"weight": weight})
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert client.get(TENANTS).json()["items"] == []


def test_a_wrong_cursor_is_refused(client: TestClient) -> None:
    assert client.get(f"{TENANTS}?cursor=nobody").json()["code"] == "invalid_query"
