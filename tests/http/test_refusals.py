"""What is refused before any verb is called says what is wrong, and what to do about it."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

JOBS = "/api/v1/jobs"


@pytest.mark.parametrize(
    "method, path, options, status, told",
    [
        ("GET", "/nowhere", {}, 404, "/api/docs"),
        ("PUT", JOBS, {}, 405, "/api/docs"),
        ("POST", JOBS, {"json": {"task": "add", "nope": 1}}, 422, "Correct"),
        ("GET", JOBS, {"params": {"limit": 0}}, 422, "Correct"),
        ("POST", JOBS, {"content": b"{", "headers": {"content-type": "application/json"}}, 400, ""),
        ("POST", JOBS, {"content": b"{}", "headers": {"content-type": "text/plain"}}, 415, "plain"),
    ],
)
def test_a_refusal_says_what_to_do(
    client: TestClient, method: str, path: str, options: dict[str, object], status: int, told: str
) -> None:
    answer = client.request(method, path, **options)  # type: ignore[arg-type]
    assert answer.status_code == status
    assert answer.json()["help"]
    assert told in answer.json()["help"]


@pytest.mark.parametrize(
    "method, path, body, field",
    [
        ("POST", JOBS, {"task": "add", "args": [1], "colour": "red"}, "colour"),
        ("PATCH", "/api/v1/queues/mail", {"colour": "red"}, "colour"),
    ],
)
def test_fields_of_other_versions_are_refused(
    client: TestClient, method: str, path: str, body: dict[str, object], field: str
) -> None:
    answer = client.request(method, path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")
    assert f"`{field}`" in answer.json()["detail"]


@pytest.mark.parametrize(
    "method, path, body, told",
    [
        (
            "POST",
            f"{JOBS}/bulk",
            {"jobs": [{"task": "add", "group": {"key": "k", "on_failure": "halt"}}]},
            "'halt' - at `$.jobs[0].group.on_failure`; allowed: block, fail, skip",
        ),
        (
            "POST",
            JOBS,
            {"task": "add", "unique": {"answer": "x` - at `$.y`"}},
            "`$.unique.answer`; allowed: refuse, replace, return",
        ),
        ("GET", f"{JOBS}?state=done", None, "`$.state`; allowed: blocked, scheduled, queued,"),
    ],
)
def test_of_a_few_words_a_wrong_one_is_told_the_others(
    client: TestClient, method: str, path: str, body: object, told: str
) -> None:
    answer = client.request(method, path, json=body)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/", "/health", "/readyz", "/api/docs", "/api/openapi.json"])
def test_a_strangers_name_for_this_machine_shows_nothing(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 200
    answer = client.get(path, headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (421, "wrong_host")


@pytest.mark.parametrize("header", ["Forwarded", "X-Forwarded-For", "Via"])
def test_a_proxy_in_front_needs_tokens(client: TestClient, header: str) -> None:
    answer = client.get(JOBS, headers={header: "192.0.2.7"})
    assert (answer.status_code, answer.json()["code"]) == (403, "proxied")
    assert "Set tokens" in answer.json()["help"]


@pytest.mark.parametrize("body", [{"task": "x" * 2_000_000}, {"x" * 2_000_000: 1}])
def test_a_refusal_does_not_send_back_megabytes(
    client: TestClient, body: dict[str, object]
) -> None:
    answer = client.post(JOBS, json=body)
    assert answer.status_code == 422
    assert len(answer.content) < 2_000


@pytest.mark.parametrize("digits", [20, 900, 5_000, 60_000])
def test_a_number_that_no_job_has_leads_nowhere(client: TestClient, digits: int) -> None:
    """Python refuses to read a number of more than 4,300 digits."""
    answer = client.get(f"{JOBS}/{'9' * digits}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
