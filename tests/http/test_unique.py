"""Unique jobs over HTTP: a key, true, or an object; 200 for the job that is there, 409 refuses."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from jobpipe import Jobpipe
from tests.http.test_jobs import JOBS, posted


def test_a_repeated_key_is_answered_with_the_job_that_waits(client: TestClient) -> None:
    first = posted(client, task="add", args={"a": 1}, unique="sum-{a}")
    assert first["unique_key"] == "sum-1"
    again = client.post(JOBS, json={"task": "add", "args": [1, 2], "unique": "sum-{a}"})
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert again.json()["args"] == {"a": 1}
    assert again.headers["location"] == f"{JOBS}/{first['id']}"


def test_true_stands_for_the_task_and_its_arguments(client: TestClient) -> None:
    first = posted(client, task="add", args={"a": 1}, unique=True)
    again = client.post(JOBS, json={"task": "add", "args": [1], "unique": {}})
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert posted(client, task="add", args={"a": 1}, unique=False)["unique_key"] is None


def test_an_object_says_how_long_and_what_to_answer(app: Jobpipe, client: TestClient) -> None:
    wish: dict[str, Any] = {"key": "k", "scope": "live", "answer": "refuse"}
    first = posted(client, task="add", args=[1], unique=wish)
    answer = client.post(JOBS, json={"task": "add", "args": [1], "unique": wish})
    assert (answer.status_code, answer.json()["code"]) == (409, "duplicate_key")
    assert f"job {first['id']} holds the unique key 'k'" in answer.json()["detail"]
    app.drain()
    posted(client, task="add", args=[1], unique=wish)
    timed = {"for_seconds": 60, "answer": "replace", "key": "t"}
    second = posted(client, task="add", args=[1], delay_seconds=60, unique=timed)
    renewed = client.post(JOBS, json={"task": "add", "args": [2], "unique": timed})
    assert (renewed.status_code, renewed.json()["id"]) == (200, second["id"])
    assert (renewed.json()["args"], renewed.json()["state"]) == ({"a": 2}, "queued")


def test_a_bulk_answers_in_order(client: TestClient) -> None:
    jobs = [{"task": "add", "args": [n], "unique": "k-{a}"} for n in (1, 2, 1)]
    answer = client.post(f"{JOBS}/bulk", json={"jobs": jobs})
    one, two, again = (each["id"] for each in answer.json()["jobs"])
    assert one == again != two


def test_wrong_wishes_are_refused_by_field(client: TestClient) -> None:
    for wish, detail in [
        ({"scope": "ever"}, "scope"),
        ({"keys": "k"}, "keys"),
        ({"for_seconds": -1}, "for_seconds=-1"),
        ({"for_seconds": 1, "scope": "live"}, "without a scope"),
        ("{nobody}", "unique='{nobody}' is refused"),
        ("x" * 201, "is refused; allowed: 1 to 200"),
        (7, "unique"),
    ]:
        answer = client.post(JOBS, json={"task": "add", "args": [1], "unique": wish})
        assert answer.status_code == 422, answer.text
        assert detail in answer.json()["detail"]
