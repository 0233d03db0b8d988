"""Flows over HTTP: a graph as data, how it stands, its cancel and its re-run."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from jobpipe import Jobpipe

FLOWS = "/api/v1/flows"


def node(task: str, *args: Any, **more: Any) -> dict[str, Any]:
    return {"job": {"task": task, "args": list(args)}, **more}


def test_a_graph_as_data_runs_in_its_order(client: TestClient, app: Jobpipe) -> None:
    body = {
        "name": "import",
        "deadline_seconds": 3600,
        "nodes": [
            node("add", 1, name="first"),
            node("add", None, 5, name="second", results={"/0": "first"}),
            {
                "job": {"task": "say", "args": {"words": ["a", "b"], "loudly": True}},
                "after": ["second"],
            },
            {"flow": {"kind": "batch", "nodes": [node("add", n) for n in range(3)]}},
        ],
        "on_done": {"task": "say", "args": {"words": ["done"]}},
    }
    stored = client.post(FLOWS, json=body)
    assert stored.status_code == 201
    told = stored.json()
    assert stored.headers["location"] == f"{FLOWS}/{told['id']}"
    assert (len(told["flows"]), len(told["jobs"])) == (2, 7)
    app.drain()
    shown = client.get(f"{FLOWS}/{told['id']}").json()
    assert (shown["state"], shown["total"], shown["succeeded"]) == ("succeeded", 4, 4)
    assert (shown["name"], shown["kind"], shown["left"]) == ("import", "flow", 0)
    results = [client.get(f"/api/v1/jobs/{id}").json()["result"] for id in told["jobs"]]
    assert results == [2, 7, "A B", 1, 2, 3, "done"]
    assert client.get(f"{FLOWS}/{told['flows'][1]}").json()["parent"] == told["id"]


def test_the_links_of_a_chain_come_after_each_other(client: TestClient) -> None:
    links = [node("add", 1, name="first"), node("add", 2), node("add", 3)]
    told = client.post(FLOWS, json={"kind": "chain", "nodes": links}).json()
    states = [client.get(f"/api/v1/jobs/{id}").json()["state"] for id in told["jobs"]]
    assert states == ["queued", "blocked", "blocked"]


def test_a_link_that_is_handed_an_earlier_result_still_waits_for_its_turn(
    client: TestClient,
) -> None:
    links = [
        node("add", 1, name="first"),
        node("add", 2),
        {"job": {"task": "add", "args": {}}, "results": {"/a": "first"}},
        node("add", 4, after=["first"]),
    ]
    ids = client.post(FLOWS, json={"kind": "chain", "nodes": links}).json()["jobs"]
    told = [client.get(f"/api/v1/jobs/{id}/explain").json()["reasons"][0] for id in ids]
    assert [[other["id"] for other in each["others"]] for each in told[1:]] == [
        [ids[0]],
        [ids[0], ids[1]],
        [ids[0], ids[2]],
    ]


def test_a_wrong_deadline_is_told_by_its_name(client: TestClient) -> None:
    answer = client.post(FLOWS, json={"nodes": [node("add", 1)], "deadline_seconds": 0})
    assert answer.json()["detail"] == (
        "field deadline_seconds=0.0 is refused; allowed: seconds above 0 (at most 100 years)"
    )


def test_a_parameter_that_says_null_is_refused(client: TestClient) -> None:
    assert client.get("/api/v1/jobs?state=null").status_code == 422


def test_members_come_page_by_page(client: TestClient) -> None:
    id = client.post(FLOWS, json={"nodes": [node("add", n) for n in range(3)]}).json()["id"]
    first = client.get(f"{FLOWS}/{id}/members?limit=2").json()
    assert [each["task"] for each in first["items"]] == ["add", "add"]
    assert {each["state"] for each in first["items"]} == {"queued"}
    rest = client.get(f"{FLOWS}/{id}/members?cursor={first['next_cursor']}").json()
    assert (len(rest["items"]), rest["next_cursor"]) == (1, None)


def test_a_flow_is_cancelled_and_run_anew(client: TestClient, app: Jobpipe) -> None:
    id = client.post(FLOWS, json={"nodes": [node("add", 1)]}).json()["id"]
    assert client.post(f"{FLOWS}/{id}/cancel").json()["ending"] == "by_user"
    app.drain()
    assert client.get(f"{FLOWS}/{id}").json()["state"] == "cancelled"
    again = client.post(f"{FLOWS}/{id}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "invalid_transition")
    assert client.post(f"{FLOWS}/{id}/rerun").json()["state"] == "running"
    app.drain()
    assert client.get(f"{FLOWS}/{id}").json()["state"] == "succeeded"


def test_flows_are_listed_newest_first(client: TestClient) -> None:
    ids = [client.post(FLOWS, json={"nodes": [node("add", 1)]}).json()["id"] for _ in range(3)]
    page = client.get(f"{FLOWS}?limit=2").json()
    assert [each["id"] for each in page["items"]] == [ids[2], ids[1]]
    rest = client.get(f"{FLOWS}?cursor={page['next_cursor']}").json()
    assert [each["id"] for each in rest["items"]] == [ids[0]]
    assert client.get(f"{FLOWS}?state=failed").json()["items"] == []


def test_there_is_no_such_flow(client: TestClient) -> None:
    for ask in (client.get, client.post):
        path = f"{FLOWS}/77" if ask == client.get else f"{FLOWS}/77/cancel"
        answer = ask(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "flow_not_found")
    assert client.get(f"{FLOWS}/77/members").status_code == 404


@pytest.mark.parametrize(
    "body, code",
    [
        ({"nodes": [{}]}, "invalid_body"),
        ({"nodes": [node("add", 1, after=["ghost"])]}, "invalid_body"),
        ({"nodes": [node("add", 1, name="a"), node("add", 1, name="a")]}, "invalid_body"),
        ({"nodes": [node("ghost")]}, "unknown_task"),
        ({"nodes": [node("add", "x")]}, "invalid_arguments"),
        ({"nodes": [node("add", 1)], "deadline_seconds": 0}, "invalid_arguments"),
        (
            {"nodes": [node("add", 1, name="a"), node("add", 1, results={"/7": "a"})]},
            "invalid_arguments",
        ),
        (
            {"nodes": [{"job": {"task": "add", "args": [1], "idempotency_key": "k"}}]},
            "invalid_arguments",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_whole(
    client: TestClient, body: dict[str, Any], code: str
) -> None:
    answer = client.post(FLOWS, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert client.get("/api/v1/jobs").json()["items"] == []
