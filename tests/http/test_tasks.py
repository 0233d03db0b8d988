"""The catalogue of tasks: what each takes, over HTTP and through a program that asks a service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from jobpipe import Jobpipe
from jobpipe.errors import UnknownTask


@pytest.fixture
def app(app: Jobpipe) -> Jobpipe:
    @app.task(name="mail/welcome", version=2, aliases=["mail old"])
    def welcome(user: int, text: str = "hello") -> str:
        """Say hello."""
        return f"{text} {user}"

    welcome.upgrade(from_version=1)(lambda args: {"user": args["id"]})
    return app


@pytest.fixture
def asking(served: str) -> Iterator[Jobpipe]:
    """A program that asks the service and declares nothing itself."""
    jp = Jobpipe(served)
    yield jp
    jp.close()


def test_a_task_is_shown_with_its_schema(client: TestClient) -> None:
    shown = client.get("/api/v1/tasks/mail/welcome").json()
    assert (shown["version"], shown["upgrades"], shown["aliases"]) == (2, [1], ["mail old"])
    assert shown["args_schema"]["properties"] == {
        "user": {"type": "integer"},
        "text": {"type": "string"},
    }
    assert shown["args_schema"]["required"] == ["user"]
    assert client.get("/api/v1/tasks/mail%2Fwelcome").json() == shown
    assert client.get("/api/v1/tasks/mail%20old").json() == shown
    listed = {task["name"]: task for task in client.get("/api/v1/tasks").json()["items"]}
    del shown["args_schema"]
    assert listed["mail/welcome"] == shown
    assert "mail old" not in listed


def test_a_task_that_there_is_not(client: TestClient) -> None:
    answer = client.get("/api/v1/tasks/mail/welcom")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_task")
    assert "did you mean mail/welcome?" in answer.json()["detail"]


def test_a_program_is_told_the_same(asking: Jobpipe, app: Jobpipe) -> None:
    assert asking.task_detail("mail/welcome") == app.task_detail("mail old")
    with pytest.raises(UnknownTask, match="did you mean add"):
        asking.task_detail("ad")


def test_a_job_that_is_asked_for_by_an_old_name_gets_the_new_one(
    client: TestClient, app: Jobpipe
) -> None:
    body = {"task": "mail old", "args": {"user": 7}}
    job = client.post("/api/v1/jobs", json=body).json()
    assert (job["task"], job["version"]) == ("mail/welcome", 2)
    app.drain()
    assert client.get(f"/api/v1/jobs/{job['id']}").json()["result"] == "hello 7"
