"""The document of the API: it names every call, and the pages need nothing from elsewhere."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest
from starlette.testclient import TestClient

from jobpipe.http.endpoint import PUBLIC
from jobpipe.http.openapi import PARAMETER
from jobpipe.http.routes import CALLS, ENDPOINTS
from scripts.write_http_docs import PAGE, page_with_tables

PAGES = files("jobpipe.http").joinpath("pages")


def test_the_document_names_every_call_with_its_role(client: TestClient) -> None:
    document = client.get("/api/openapi.json").json()
    named = {
        (method.upper(), path): operation.get("x-role", PUBLIC)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert named == {
        (each.method, PARAMETER.sub(r"{\1}", each.path)): str(each.role) for each in CALLS
    }
    assert document["openapi"] == "3.1.0"


def test_the_document_has_no_reference_to_nowhere(client: TestClient) -> None:
    text = client.get("/api/openapi.json").text
    schemas = json.loads(text)["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/([^"]+)"', text)) <= schemas.keys()


def test_an_answer_that_says_nothing_new_has_no_body(client: TestClient) -> None:
    paths = client.get("/api/openapi.json").json()["paths"]
    answers = paths["/api/v1/jobs/{id}"]["get"]["responses"]
    assert answers["304"] == {"description": "It is as it was."}
    assert "content" in answers["200"]


def test_operations_have_names_of_their_own() -> None:
    names = [each.handle.__name__ for each in CALLS]
    assert sorted(names) == sorted(set(names))


def test_the_contract_is_kept() -> None:
    paths = {(each.method, each.path) for each in ENDPOINTS}
    assert paths >= {
        ("GET", "/health"),
        ("GET", "/readyz"),
        ("POST", "/api/v1/jobs"),
        ("POST", "/api/v1/jobs/bulk"),
        ("GET", "/api/v1/jobs"),
        ("GET", "/api/v1/jobs/{id:int}"),
        ("GET", "/api/v1/jobs/{id:int}/attempts"),
        ("GET", "/api/v1/jobs/{id:int}/logs"),
        ("GET", "/api/v1/jobs/{id:int}/explain"),
        ("POST", "/api/v1/jobs/{id:int}/cancel"),
        ("POST", "/api/v1/jobs/{id:int}/rerun"),
        ("PATCH", "/api/v1/jobs/{id:int}"),
        ("GET", "/api/v1/queues"),
        ("PATCH", "/api/v1/queues/{name:path}"),
        ("GET", "/api/v1/tasks"),
        ("GET", "/api/v1/workers"),
        ("GET", "/api/v1/counts"),
        ("GET", "/api/v1/stats"),
        ("GET", "/api/v1/events"),
        ("GET", "/metrics"),
        ("GET", "/api/openapi.json"),
        ("GET", "/api/docs"),
    }


@pytest.mark.parametrize("path", ["/", "/api/docs", "/api/docs/docs.js", "/api/docs/pages.css"])
def test_pages_are_served_under_a_strict_policy(client: TestClient, path: str) -> None:
    answer = client.get(path)
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_pages_load_nothing_from_elsewhere() -> None:
    for page in PAGES.iterdir():
        text = page.read_text()
        assert "//" not in re.sub(r"(?m)^\s*//.*$", "", text), page.name
        assert "innerHTML" not in text
        assert not re.search(r"<script(?![^>]* src=)|<style|\son\w+=|style=", text), page.name


@pytest.mark.parametrize("name", ["..%2fservice.py", "docs.html", "%2e%2e/x", "nope.js"])
def test_no_other_file_is_served(client: TestClient, name: str) -> None:
    assert client.get(f"/api/docs/{name}").status_code == 404


def test_every_answer_has_the_security_headers(client: TestClient) -> None:
    for path in ("/health", "/api/v1/counts", "/nowhere", "/api/v1/jobs/99"):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert re.fullmatch(r"[0-9a-f]{16}", headers["x-request-id"])


def test_a_request_id_is_kept_when_it_is_harmless(client: TestClient) -> None:
    assert (
        client.get("/health", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    )
    odd = client.get("/health", headers={"X-Request-Id": "a b"}).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{16}", odd)


def test_metrics_tell_of_jobs_and_of_requests(client: TestClient) -> None:
    client.post("/api/v1/jobs", json={"task": "add", "args": [1]})
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'jobpipe_jobs{queue="default",state="queued"} 1.0' in answer.text
    counted = 'jobpipe_http_requests_total{method="POST",path="/api/v1/jobs",status="201"} 1.0'
    assert counted in answer.text
    assert 'path="other"' not in answer.text


def test_methods_and_paths_that_are_not_there(client: TestClient) -> None:
    wrong = client.put("/api/v1/jobs")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET, POST"
    assert client.get("/api/v1/jobs/").json()["code"] == "not_found"
    head = client.head("/api/v1/counts")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 0


def test_the_page_of_the_api_names_what_the_service_itself_refuses() -> None:
    """Some by hand; that none is missing is shown by making the page anew."""
    page = PAGE.read_text(encoding="utf-8")
    for code in (
        *("busy", "foreign_page", "head_too_large", "internal", "invalid_body", "invalid_query"),
        *("malformed_header", "malformed_json", "malformed_query", "malformed_request"),
        *("not_ready", "proxied", "request_timeout", "stopping", "target_too_long", "too_deep"),
        *("too_many_items", "too_many_tries", "unauthorized", "unsupported_encoding"),
    ):
        assert re.search(rf"^\| \d{{3}} \| `{code}` \|$", page, re.MULTILINE), code


def test_the_page_of_the_api_is_made_from_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == page_with_tables(page), "run `python scripts/write_http_docs.py`"
