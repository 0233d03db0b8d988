"""Orders about many jobs over HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.waiting import until

PLACE = "/api/v1/operations"


def queued(client: TestClient, count: int = 3) -> list[int]:
    body = {"task": "add", "args": {"a": 1}, "queue": "slow"}
    return [client.post("/api/v1/jobs", json=body).json()["id"] for _ in range(count)]


def ended(client: TestClient, id: int) -> Any:
    """Wait until the service has carried it out: it keeps the store in order by itself."""
    place = f"{PLACE}/{id}"
    until(lambda: client.get(place).json()["state"] != "running")
    return client.get(place).json()


def test_the_service_carries_an_order_out(client: TestClient) -> None:
    ids = queued(client)
    ordered = {"action": "cancel", "q": "queue:slow", "params": {"reason": "by_deploy"}}
    answer = client.post(PLACE, json=ordered)
    assert answer.status_code == 201
    view = answer.json()
    assert answer.headers["location"] == f"{PLACE}/{view['id']}"
    assert (view["action"], view["q"], view["last_id"]) == ("cancel", "queue:slow", ids[-1])
    done = ended(client, view["id"])
    assert (done["state"], done["matched"], done["changed"]) == ("done", 3, 3)
    assert client.get(f"/api/v1/jobs/{ids[0]}").json()["reason"] == "by_deploy"
    page = client.get(PLACE, params={"state": "done", "limit": 1}).json()
    assert page["items"] == [done]
    assert client.get(PLACE, params={"cursor": view["id"]}).json()["items"] == []


def test_a_preview_stores_nothing(client: TestClient) -> None:
    ids = queued(client)
    answer = client.post(PLACE, json={"action": "delete", "q": "queue:slow", "preview": True})
    view = answer.json()
    assert (answer.status_code, view["state"], view["id"]) == (200, "preview", None)
    assert (view["matched"], view["refused"], view["first_ids"]) == (3, 3, ids)
    assert client.get(PLACE).json()["items"] == []


def test_what_has_ended_cannot_be_stopped(client: TestClient) -> None:
    queued(client)
    id = client.post(PLACE, json={"action": "rerun", "q": "queue:slow"}).json()["id"]
    assert ended(client, id)["refused"] == 3
    answer = client.post(f"{PLACE}/{id}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "invalid_transition")
    gone = client.get(f"{PLACE}/99")
    assert (gone.status_code, gone.json()["code"]) == (404, "operation_not_found")


@pytest.mark.parametrize(
    "body, code, detail",
    [
        ({"action": "cancel", "q": ""}, "invalid_arguments", "the filter is empty"),
        ({"action": "cancel", "q": "stat:x"}, "invalid_arguments", "position 1: the word 'stat'"),
        ({"action": "move", "q": "id:1"}, "invalid_arguments", "nothing is to change"),
        ({"action": "stop", "q": "id:1"}, "invalid_body", "stop"),
        (
            {"action": "rerun", "q": "id:1", "params": {"queue": "x"}},
            "invalid_body",
            "rerun takes no queue",
        ),
        ({"action": "cancel", "q": "id:1", "params": {"reason": "lost"}}, "invalid_body", "reason"),
    ],
)
def test_a_wrong_order_is_refused(
    client: TestClient, body: dict[str, Any], code: str, detail: str
) -> None:
    answer = client.post(PLACE, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert detail in answer.json()["detail"]


def test_a_waiting_job_gets_other_arguments(client: TestClient) -> None:
    (id,) = queued(client, 1)
    before = client.get(f"/api/v1/jobs/{id}")
    changed = client.patch(f"/api/v1/jobs/{id}", json={"args": {"b": 5}})
    assert changed.json()["args"] == {"a": 1, "b": 5}
    assert changed.headers["etag"] != before.headers["etag"]
    refused = client.patch(f"/api/v1/jobs/{id}", json={"args": {"c": 5}})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_arguments")
