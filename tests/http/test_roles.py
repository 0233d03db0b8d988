"""Who may call what: every call by every role, and with no token, a wrong one and a revoked one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from jobpipe import Jobpipe
from jobpipe.http.asgi import asgi
from jobpipe.http.endpoint import PUBLIC, Endpoint
from jobpipe.http.routes import ENDPOINTS
from jobpipe.http.service import Service
from jobpipe.model.role import Role
from tests.http.conftest import LOOPBACK, declare
from tests.waiting import until

READ = {Role.VIEWER, Role.PRODUCER, Role.OPERATOR, Role.ADMIN}
ENQUEUE = {Role.PRODUCER, Role.OPERATOR, Role.ADMIN}
STEER = {Role.OPERATOR, Role.ADMIN}
WORK = {Role.WORKER, Role.ADMIN}
JOB, CLAIM = "/api/v1/jobs/{id:int}", "/api/v1/claims/{claim:int}"
FLOW = "/api/v1/flows/{id:int}"

MAY: dict[tuple[str, str], set[Role] | None] = {
    ("GET", "/"): None,
    ("GET", "/health"): None,
    ("GET", "/readyz"): None,
    ("GET", "/api/docs"): None,
    ("GET", "/api/docs/{name}"): None,
    ("GET", "/api/openapi.json"): None,
    ("GET", "/metrics"): READ,
    ("GET", "/api/v1/jobs"): READ,
    ("GET", JOB): READ,
    ("GET", f"{JOB}/attempts"): READ,
    ("GET", f"{JOB}/logs"): READ,
    ("GET", f"{JOB}/explain"): READ,
    ("GET", "/api/v1/flows"): READ,
    ("GET", FLOW): READ,
    ("GET", f"{FLOW}/members"): READ,
    ("GET", "/api/v1/queues"): READ,
    ("GET", "/api/v1/tenants"): READ,
    ("GET", "/api/v1/tasks"): READ,
    ("GET", "/api/v1/tasks/{name:path}"): READ,
    ("GET", "/api/v1/gates"): READ,
    ("GET", "/api/v1/workers"): READ,
    ("GET", "/api/v1/counts"): READ,
    ("GET", "/api/v1/stats"): READ,
    ("GET", "/api/v1/events"): READ,
    ("GET", "/api/v1/audit"): STEER,
    ("POST", "/api/v1/jobs"): ENQUEUE,
    ("POST", "/api/v1/jobs/bulk"): ENQUEUE,
    ("POST", f"{JOB}/cancel"): STEER,
    ("POST", f"{JOB}/rerun"): STEER,
    ("POST", "/api/v1/flows"): ENQUEUE,
    ("POST", f"{FLOW}/cancel"): STEER,
    ("POST", f"{FLOW}/rerun"): STEER,
    ("PATCH", JOB): STEER,
    ("DELETE", JOB): STEER,
    ("PATCH", "/api/v1/queues/{name:path}"): STEER,
    ("PATCH", "/api/v1/tenants/{tenant:path}"): STEER,
    ("PATCH", "/api/v1/tasks/{name:path}"): STEER,
    ("PATCH", "/api/v1/gates/{kind}/{key:path}"): STEER,
    ("GET", "/api/v1/operations"): STEER,
    ("POST", "/api/v1/operations"): STEER,
    ("GET", "/api/v1/operations/{id:int}"): STEER,
    ("POST", "/api/v1/operations/{id:int}/cancel"): STEER,
    ("POST", "/api/v1/claims"): WORK,
    ("POST", f"{CLAIM}/heartbeat"): WORK,
    ("POST", f"{CLAIM}/finish"): WORK,
    ("POST", f"{CLAIM}/fail"): WORK,
    ("POST", f"{CLAIM}/snooze"): WORK,
    ("POST", f"{CLAIM}/log"): WORK,
    ("POST", f"{CLAIM}/progress"): WORK,
}
"""By hand; None is for everybody."""

TOKENS = {role: f"token-of-the-{role}" for role in Role}
REFUSED = (401, 403)
COUNTS = next(each for each in ENDPOINTS if each.path == "/api/v1/counts")


def named(endpoint: Endpoint) -> str:
    return f"{endpoint.method} {endpoint.path}"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that has stopped, so that no call waits; who may call is judged before that."""
    with guarding(tmp_path_factory.mktemp("roles")) as service:
        service.condition.stop()
        yield service


@contextmanager
def guarding(folder: Path) -> Iterator[Service]:
    """A service with a token for each role."""
    book = folder / "tokens"
    book.write_text("".join(f"{role}:{role}:sha256:{digest(TOKENS[role])}\n" for role in Role))
    book.chmod(0o600)
    app = Jobpipe(f"sqlite:///{folder / 'jobs.db'}", tokens_file=str(book))
    declare(app)
    service = asgi(app)
    with client_at(service, "10.0.0.9"):
        yield service
    app.close()


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def client_at(service: Service, address: str) -> TestClient:
    """Return a client elsewhere: wrong tokens of one address do not slow down another."""
    return TestClient(service, base_url=LOOPBACK, client=(address, 1))


def asked(client: TestClient, endpoint: Endpoint, token: str | None) -> int:
    path = endpoint.path.replace("{name}", "docs.js")
    path = re.sub(r"\{\w+:path\}", "mail", re.sub(r"\{\w+:int\}", "99", path))
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body = None if endpoint.body is None else {}
    return client.request(endpoint.method, path, json=body, headers=headers).status_code


def test_every_call_has_a_row() -> None:
    assert {(each.method, each.path) for each in ENDPOINTS} == MAY.keys()


def test_a_call_without_a_role_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="role"):
        Endpoint(method="GET", path="/x", handle=ENDPOINTS[0].handle, summary="x")  # type: ignore[call-arg]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=named)
def test_who_may(guarded: Service, endpoint: Endpoint) -> None:
    client, stranger = client_at(guarded, "10.0.0.1"), client_at(guarded, "10.0.0.2")
    allowed = MAY[endpoint.method, endpoint.path]
    assert (endpoint.role == PUBLIC) == (allowed is None)
    for role, token in TOKENS.items():
        status = asked(client, endpoint, token)
        if allowed is None or role in allowed:
            assert status not in REFUSED, role
        else:
            assert status == 403, role
    for wrong in (None, "wrong", TOKENS[Role.ADMIN][:-1], TOKENS[Role.ADMIN] + "x", ""):
        status = asked(stranger, endpoint, wrong)
        assert (status not in REFUSED) if allowed is None else (status in (401, 429)), wrong


def test_a_revoked_token_is_refused_everywhere_within_a_second(tmp_path: Path) -> None:
    with guarding(tmp_path) as service:
        service.condition.stop()
        client, book = client_at(service, "10.0.0.3"), tmp_path / "tokens"
        revoked = TOKENS[Role.ADMIN]
        assert asked(client, COUNTS, revoked) == 200
        book.write_text(
            "".join(li for li in book.read_text().splitlines(True) if "admin" not in li)
        )
        until(lambda: asked(client, COUNTS, revoked) == 401, 2.0)
        for endpoint in ENDPOINTS:
            status = asked(client, endpoint, revoked)
            assert (status == 401) == (endpoint.role != PUBLIC), named(endpoint)
