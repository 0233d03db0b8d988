"""The service under a prefix of another application, with a worker in the host's process."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from jobpipe import Jobpipe
from tests.http.conftest import LOOPBACK


@pytest.fixture
def host(app: Jobpipe) -> Starlette:
    service = app.asgi(worker=True)
    return Starlette(routes=[Mount("/in/here", service)], lifespan=service.lifespan)


def test_jobs_are_enqueued_and_run_under_a_prefix(host: Starlette) -> None:
    with TestClient(host, base_url=LOOPBACK, client=("127.0.0.1", 1)) as client:
        stored = client.post("/in/here/api/v1/jobs", json={"task": "add", "args": [40, 2]})
        where = stored.headers["location"]
        assert where == f"/in/here/api/v1/jobs/{stored.json()['id']}"
        ended = client.get(f"{where}?wait_seconds=20").json()
        assert (ended["state"], ended["result"]) == ("succeeded", 42)


def test_pages_and_the_document_find_each_other(host: Starlette) -> None:
    with TestClient(host, base_url=LOOPBACK, client=("127.0.0.1", 1)) as client:
        page = client.get("/in/here/api/docs")
        assert 'src="docs/docs.js"' in page.text
        assert client.get("/in/here/api/docs/docs.js").status_code == 200
        assert client.get("/in/here/api/docs/pages.css").status_code == 200
        document = client.get("/in/here/api/openapi.json").json()
        assert document["servers"] == [{"url": "../"}]
        assert client.get("/in/here/").status_code == 200


def test_nothing_runs_once_the_host_has_stopped(host: Starlette, app: Jobpipe) -> None:
    with TestClient(host, base_url=LOOPBACK, client=("127.0.0.1", 1)):
        assert [worker.slots for worker in app.workers() if worker.slots] == [10]
    assert app.workers() == []
