"""Jobs over HTTP: enqueue, repeat, list, look, wait, steer; and what is said of mistakes."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from jobpipe import Jobpipe
from jobpipe.http.asgi import asgi
from tests.http.conftest import LOOPBACK

JOBS = "/api/v1/jobs"


def posted(client: TestClient, **body: Any) -> dict[str, Any]:
    answer = client.post(JOBS, json=body)
    assert answer.status_code == 201, answer.text
    job: dict[str, Any] = answer.json()
    return job


def test_an_enqueued_job_is_answered_whole(client: TestClient) -> None:
    answer = client.post(
        JOBS,
        json={
            "task": "say",
            "args": {"words": ["a", "b"], "loudly": True},
            "tags": ["x"],
            "meta": {"for": 1},
            "max_attempts": 3,
            "timeout_seconds": 2.5,
        },
    )
    job = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{JOBS}/{job['id']}"
    assert {name: job[name] for name in job if name not in ("id", "created_at", "queued_at")} == {
        "task": "say",
        "args": {"words": ["a", "b"], "loudly": True},
        "queue": "talk",
        "priority": 5,
        "state": "queued",
        "reason": None,
        "attempt": 0,
        "max_attempts": 3,
        "run_at": None,
        "started_at": None,
        "finished_at": None,
        "duration_seconds": None,
        "result": None,
        "error": None,
        "progress": None,
        "worker": None,
        "token": 0,
        "group": None,
        "tags": ["x"],
        "meta": {"for": 1},
        "idempotency_key": None,
        "blocked_on": None,
        "expires_at": None,
        "timeout_seconds": 2.5,
        "cancel_requested_at": None,
        "losses": 0,
        "reruns": 0,
        "version": 1,
        "tenant": None,
        "unique_key": None,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", job["created_at"])
    assert job["queued_at"] == job["created_at"]
    assert client.get(f"{JOBS}/{job['id']}").json() == job


def test_arguments_by_position(client: TestClient, app: Jobpipe) -> None:
    job = posted(client, task="add", args=[40, 2])
    assert job["args"] == {"a": 40, "b": 2}
    app.drain()
    ended = client.get(f"{JOBS}/{job['id']}").json()
    assert (ended["state"], ended["result"], ended["attempt"]) == ("succeeded", 42, 1)


def test_a_repeated_key_gives_the_same_job(client: TestClient) -> None:
    body = {"task": "add", "args": {"a": 1}}
    key = {"Idempotency-Key": "order-7"}
    first = client.post(JOBS, json=body, headers=key)
    again = client.post(JOBS, json=body, headers=key)
    in_field = client.post(JOBS, json={**body, "idempotency_key": "order-7"})
    other = client.post(JOBS, json={"task": "add", "args": {"a": 2}}, headers=key)
    assert [first.status_code, again.status_code, in_field.status_code] == [201, 200, 200]
    assert first.json()["id"] == again.json()["id"] == in_field.json()["id"]
    assert again.headers["location"] == f"{JOBS}/{first.json()['id']}"
    assert (other.status_code, other.json()["code"]) == (409, "duplicate_key")


@pytest.mark.parametrize("sent, kept", [("Größe-7", "Größe-7"), (b"Gr\xf6\xdfe", "Größe")])
def test_a_key_in_a_header_is_utf_8_where_it_can_be(
    client: TestClient, sent: str | bytes, kept: str
) -> None:
    key = sent.encode() if isinstance(sent, str) else sent
    answer = client.post(
        JOBS, json={"task": "add", "args": [1]}, headers=[(b"Idempotency-Key", key)]
    )
    assert (answer.status_code, answer.json()["idempotency_key"]) == (201, kept)
    field = {"task": "add", "args": [1], "idempotency_key": kept}
    assert client.post(JOBS, json=field).json()["id"] == answer.json()["id"]


@pytest.mark.parametrize(
    "method, path, given, detail",
    [
        ("POST", JOBS, {"queue": "a b"}, "field queue='a b' is refused"),
        ("POST", JOBS, {"timeout_seconds": 0}, "field timeout_seconds=0.0 is refused"),
        ("POST", JOBS, {"expires_in_seconds": 0}, "field expires_in_seconds=0.0 is refused"),
        ("POST", JOBS, {"run_at": "0001-01-01T00:00:00+01:00"}, "field run_at is refused"),
        ("GET", f"{JOBS}?cursor=0", None, "field cursor=0 is refused"),
        ("GET", f"{JOBS}?queue=a%20b", None, "field queue='a b' is refused"),
    ],
)
def test_a_refusal_names_the_field_that_was_sent(
    client: TestClient, method: str, path: str, given: dict[str, Any] | None, detail: str
) -> None:
    body = None if given is None else {"task": "add", "args": [1], **given}
    problem = client.request(method, path, json=body).json()
    assert problem["code"] == "invalid_arguments"
    assert problem["detail"].startswith(detail)
    assert "time(" not in problem["detail"]
    assert "timedelta" not in problem["detail"]


def test_delays_and_times(client: TestClient) -> None:
    late = posted(client, task="add", args=[1], delay_seconds=3600)
    created = datetime.fromisoformat(late["created_at"])
    assert late["state"] == "scheduled"
    assert datetime.fromisoformat(late["run_at"]) - created == timedelta(hours=1)
    at = datetime(2099, 1, 2, 3, 4, 5, tzinfo=UTC)
    fixed = posted(client, task="add", args=[1], run_at="2099-01-02T04:04:05+01:00")
    assert datetime.fromisoformat(fixed["run_at"]) == at
    both = client.post(
        JOBS,
        json={"task": "add", "args": [1], "delay_seconds": 1, "run_at": "2099-01-01T00:00:00Z"},
    )
    assert (both.status_code, both.json()["code"]) == (422, "invalid_body")


@pytest.mark.parametrize(
    "body, status, code, detail",
    [
        ({"task": "nope"}, 422, "unknown_task", "no task is named 'nope'"),
        ({"task": "add"}, 422, "invalid_arguments", "a"),
        ({"task": "add", "args": {"a": "x"}}, 422, "invalid_arguments", "a"),
        ({"task": "add", "args": {"a": 1, "c": 2}}, 422, "invalid_arguments", "c"),
        ({"task": "add", "args": 5}, 422, "invalid_body", "args"),
        ({"args": {}}, 422, "invalid_body", "task"),
        ({"task": "add", "args": [1], "wait": 1}, 422, "invalid_body", "wait"),
        ({"task": "add", "args": [1], "priority": 101}, 422, "invalid_arguments", "priority"),
        ({"task": "add", "args": [1], "queue": "a b"}, 422, "invalid_arguments", "field queue="),
        ({"task": "add", "args": [1], "max_attempts": 0}, 422, "invalid_arguments", "max_attempts"),
        ({"task": "add", "args": [1], "delay_seconds": -1}, 422, "invalid_body", "delay_seconds"),
    ],
)
def test_what_is_refused(
    client: TestClient, body: dict[str, Any], status: int, code: str, detail: str
) -> None:
    answer = client.post(JOBS, json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert detail in problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem.keys() == {
        *("type", "title", "status", "code", "detail", "help", "request_id"),
    }
    assert client.get("/api/v1/counts").json()["queued"] == 0


@pytest.mark.parametrize(
    "content, kind, status, code",
    [
        (b'{"task": "add"', "application/json", 400, "malformed_json"),
        (b'{"task": "add"}', "text/plain", 415, "unsupported_media_type"),
        (b"[" * 200 + b"]" * 200, "application/json", 422, "too_deep"),
        (b'{"task": "' + b"x" * 3_000_000 + b'"}', "application/json", 413, "payload_too_large"),
        (b"[" + b"1," * 200_000 + b"1]", "application/json", 413, "too_many_items"),
        (b"\xff\xfe", "application/json", 400, "malformed_json"),
    ],
    ids=["cut", "text", "deep", "large", "many", "bytes"],
)
def test_bodies_that_are_no_request(
    client: TestClient, content: bytes, kind: str, status: int, code: str
) -> None:
    answer = client.post(JOBS, content=content, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_payload_over_the_setting(store_url: str) -> None:
    app = Jobpipe(store_url, max_payload=1024)

    @app.task(name="keep")
    def keep(text: str) -> None: ...

    with TestClient(asgi(app), base_url=LOOPBACK, client=("127.0.0.1", 1)) as client:
        answer = client.post(JOBS, json={"task": "keep", "args": {"text": "x" * 2000}})
        assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
    app.close()


def test_a_full_queue(store_url: str) -> None:
    app = Jobpipe(store_url, max_queued=1)

    @app.task(name="note")
    def note() -> None: ...

    with TestClient(asgi(app), base_url=LOOPBACK, client=("127.0.0.1", 1)) as client:
        assert client.post(JOBS, json={"task": "note"}).status_code == 201
        full = client.post(JOBS, json={"task": "note"})
        assert (full.status_code, full.json()["code"]) == (429, "queue_full")
        assert int(full.headers["retry-after"]) >= 1
    app.close()


def test_bulk_is_all_or_none(client: TestClient, app: Jobpipe) -> None:
    good = [{"task": "add", "args": [n]} for n in range(3)]
    stored = client.post(f"{JOBS}/bulk", json={"jobs": good})
    assert stored.status_code == 201
    ids = [job["id"] for job in stored.json()["jobs"]]
    assert ids == sorted(ids)
    assert [app.job_view(id).args["a"] for id in ids] == [0, 1, 2]
    refused = client.post(f"{JOBS}/bulk", json={"jobs": [*good, {"task": "nope"}]})
    assert (refused.status_code, refused.json()["code"]) == (422, "unknown_task")
    assert client.get("/api/v1/counts").json()["queued"] == 3
    assert client.post(f"{JOBS}/bulk", json={"jobs": []}).json() == {"jobs": []}


def test_pages_hold_every_job_once(client: TestClient, app: Jobpipe) -> None:
    ids = app.enqueue_many(app.call_named("add", [n]) for n in range(7))
    seen: list[int] = []
    query = f"{JOBS}?limit=3"
    cursor = None
    for _ in range(3):
        page = client.get(query + (f"&cursor={cursor}" if cursor else "")).json()
        seen += [job["id"] for job in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert seen == sorted(ids, reverse=True)


def test_filters(client: TestClient, app: Jobpipe) -> None:
    added = posted(client, task="add", args=[1])
    said = posted(client, task="say", args={"words": []})
    app.drain()
    failed = posted(client, task="fail")
    app.drain()

    def ids(query: str) -> list[int]:
        return [job["id"] for job in client.get(f"{JOBS}?{query}").json()["items"]]

    assert ids("state=failed") == [failed["id"]]
    assert ids("queue=talk") == [said["id"]]
    assert ids("task=add") == [added["id"]]
    assert ids("task=add&state=queued") == []


@pytest.mark.parametrize(
    "query",
    ["state=bogus", "limit=0", "limit=1001", "cursor=x", "colour=red", "state=failed&state=failed"],
)
def test_wrong_queries(client: TestClient, query: str) -> None:
    answer = client.get(f"{JOBS}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_query")


def test_a_wait_ends_with_the_job(client: TestClient, app: Jobpipe) -> None:
    job = posted(client, task="add", args=[1, 2])
    assert client.get(f"{JOBS}/{job['id']}?wait_seconds=0").json()["state"] == "queued"
    with app.running():
        ended = client.get(f"{JOBS}/{job['id']}?wait_seconds=20").json()
    assert (ended["state"], ended["result"]) == ("succeeded", 3)


def test_a_wait_without_an_end_answers_the_job_as_it_is(client: TestClient) -> None:
    job = posted(client, task="add", args=[1])
    answer = client.get(f"{JOBS}/{job['id']}?wait_seconds=0.05")
    assert (answer.status_code, answer.json()["state"]) == (200, "queued")
    assert client.get(f"{JOBS}/{job['id']}?wait_seconds=61").status_code == 422


def test_a_failed_job_shows_its_attempts_and_its_error(client: TestClient, app: Jobpipe) -> None:
    job = posted(client, task="fail")
    app.drain()
    ended = client.get(f"{JOBS}/{job['id']}").json()
    assert (ended["state"], ended["reason"]) == ("failed", "attempts_exhausted")
    assert (ended["error"]["type"], ended["error"]["message"]) == ("ValueError", "it failed")
    (attempt,) = client.get(f"{JOBS}/{job['id']}/attempts").json()["items"]
    assert (attempt["outcome"], attempt["number"]) == ("failed", 1)


def test_cancel_rerun_delete(client: TestClient, app: Jobpipe) -> None:
    job = posted(client, task="add", args=[1])
    path = f"{JOBS}/{job['id']}"
    assert client.delete(path).json()["code"] == "invalid_transition"
    cancelled = client.post(f"{path}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert client.post(f"{path}/cancel").status_code == 409
    again = client.post(f"{path}/rerun").json()
    assert (again["state"], again["attempt"], again["reruns"]) == ("queued", 0, 1)
    assert client.post(f"{path}/rerun").status_code == 409
    tag = client.get(path).headers["etag"]
    app.drain()
    older = client.delete(path, headers={"If-Match": tag})
    assert (older.status_code, older.json()["code"]) == (412, "precondition_failed")
    gone = client.delete(path, headers={"If-Match": client.get(path).headers["etag"]})
    assert (gone.status_code, gone.content) == (204, b"")
    assert "content-length" not in gone.headers
    assert client.get(path).status_code == 404


def test_a_cancel_may_say_why(client: TestClient) -> None:
    job = posted(client, task="add", args=[1])
    path = f"{JOBS}/{job['id']}/cancel"
    for wrong in ({"reason": "by_flow"}, {"reason": None}, {"why": "by_deploy"}):
        answer = client.post(path, json=wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body"), wrong
    cancelled = client.post(path, json={"reason": "by_deploy"}).json()
    assert (cancelled["state"], cancelled["reason"]) == ("cancelled", "by_deploy")
    other = posted(client, task="add", args=[1])
    assert client.post(f"{JOBS}/{other['id']}/cancel", json={}).json()["reason"] == "by_user"


def test_who_knows_a_version_hears_of_another_one_only(client: TestClient) -> None:
    job = posted(client, task="add", args=[1])
    path = f"{JOBS}/{job['id']}"
    tag = client.get(path).headers["etag"]
    same = client.get(path, headers={"If-None-Match": tag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert "content-length" not in same.headers
    for known in ("*", f"W/{tag}", f'"other", W/{tag}', f'{tag}, "other"'):
        assert client.get(path, headers={"If-None-Match": known}).status_code == 304, known
    for unknown in ('"other"', "other", "", tag.strip('"')):
        assert client.get(path, headers={"If-None-Match": unknown}).status_code == 200, unknown
    client.post(f"{path}/cancel")
    other = client.get(path, headers={"If-None-Match": tag})
    assert (other.status_code, other.json()["state"]) == (200, "cancelled")


@pytest.mark.parametrize("id", ["0", "99", "9223372036854775808", "x", "-1", "1.5"])
def test_jobs_that_are_not_there(client: TestClient, id: str) -> None:
    answer = client.get(f"{JOBS}/{id}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_logs_page_by_page(client: TestClient, app: Jobpipe) -> None:
    from jobpipe import current_job

    @app.task(name="talk")
    def talk() -> None:
        for number in range(5):
            current_job().log.info("line %d", number)

    job = posted(client, task="talk")
    app.drain()
    first = client.get(f"{JOBS}/{job['id']}/logs?limit=3").json()
    rest = client.get(f"{JOBS}/{job['id']}/logs?limit=3&cursor={first['next_cursor']}").json()
    lines = [line["message"] for line in first["items"] + rest["items"]]
    assert lines == [f"line {number}" for number in range(5)]
    assert rest["next_cursor"] is None


def test_concurrent_enqueues_are_all_stored(client: TestClient) -> None:
    ids: list[int] = []

    def send() -> None:
        ids.extend(posted(client, task="add", args=[1])["id"] for _ in range(10))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 40
    assert client.get("/api/v1/counts").json()["queued"] == 40
