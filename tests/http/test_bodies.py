"""Hypothesis sends bodies to every mutation: the service says what the library says, no 5xx."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from jobpipe import Jobpipe, JobpipeError
from jobpipe.app.views import job_view
from jobpipe.http import reading
from jobpipe.http.endpoint import Endpoint
from jobpipe.http.problems import of_error
from jobpipe.http.routes import CALLS
from jobpipe.tasks.task import Defaults

QUIET = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

texts = st.text(st.characters(codec="utf-8"), max_size=20)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4)
)
args = st.one_of(
    st.fixed_dictionaries({"a": st.integers()}, optional={"b": values, "c": values}),
    st.lists(values, max_size=3),
    st.dictionaries(texts, values, max_size=3),
)
options = st.fixed_dictionaries(
    {},
    optional={
        "queue": texts | st.sampled_from(["mail", "a/b", "", "x" * 201]),
        "priority": st.integers(-150, 150),
        "max_attempts": st.integers(-2, 20_000),
        "timeout_seconds": st.floats(allow_nan=False, allow_infinity=False),
        "tags": st.lists(texts, max_size=3),
        "meta": st.dictionaries(texts, values, max_size=2),
        "delay_seconds": st.floats(-1, 400_000_000),
        "expires_in_seconds": st.floats(-1, 400_000_000),
    },
)
NAMES = {
    "queue": "queue_name",
    "timeout_seconds": "timeout",
    "expires_in_seconds": "expires_in",
}


@QUIET
@given(task=st.sampled_from(["add", "say", "fail", "nope"]) | texts, args=args, options=options)
def test_enqueue_judges_as_the_library_does(
    client: TestClient, app: Jobpipe, task: str, args: Any, options: dict[str, Any]
) -> None:
    try:
        content = _json({"task": task, "args": args, **options})
    except ValueError:  # NaN and infinity are no JSON
        return
    answer = client.post(
        "/api/v1/jobs", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code < 500, answer.text
    if answer.status_code == 422 and answer.json()["code"] == "invalid_body":
        assert set(options) & {
            "delay_seconds",
            "expires_in_seconds",
        }  # whose bounds it knows itself
        return
    options.pop("delay_seconds", None)
    named = {NAMES.get(name, name): value for name, value in options.items()}
    verdict = judged(app, task, args, named)
    if isinstance(verdict, JobpipeError):
        wanted = (of_error(verdict).status, verdict.code)
        assert (answer.status_code, answer.json()["code"]) == wanted
    else:
        assert answer.status_code == 201, answer.text
        assert answer.json()["args"] == json.loads(verdict)


def judged(app: Jobpipe, task: str, args: Any, options: dict[str, Any]) -> str | JobpipeError:
    """Return what the library says of such a call: its arguments as they are stored, or no."""
    try:
        call = app.call_named(task, args, **options)
        call.new_job(Defaults(max_payload=app.settings.max_payload))
    except JobpipeError as error:
        return error
    return call.args


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.integers(-150, 150) | st.none(),
        "queue": texts | st.sampled_from(["mail", "a/b", "", "x" * 201]) | st.none(),
        "run_at": st.datetimes().map(lambda moment: f"{moment.isoformat()}Z") | st.none(),
    },
)


@QUIET
@given(changes=CHANGES)
def test_a_change_of_a_job_is_judged_as_the_library_does(
    client: TestClient, app: Jobpipe, changes: dict[str, Any]
) -> None:
    over_http, here = app.enqueue_many(app.call_named("add", [1]) for _ in range(2))
    answer = client.patch(f"/api/v1/jobs/{over_http}", json=changes)
    given_ones = {name: value for name, value in changes.items() if value is not None}
    if not given_ones:
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_body")
        return
    run_at = given_ones.get("run_at")
    try:
        record = app.patch(
            here,
            priority=given_ones.get("priority"),
            queue_name=given_ones.get("queue"),
            run_at=None if run_at is None else datetime.fromisoformat(run_at),
        )
    except JobpipeError as error:
        wanted: tuple[Any, ...] = (of_error(error).status, error.code)
        assert (answer.status_code, answer.json()["code"]) == wanted
    else:
        told, mine = answer.json(), job_view(record)
        assert answer.status_code == 200, answer.text
        wanted = (mine.state, mine.priority, mine.queue)
        assert (told["state"], told["priority"], told["queue"]) == wanted


@QUIET
@given(name=texts | st.sampled_from(["mail", "a/b", "x" * 201]), reason=texts | st.none())
def test_a_pause_is_judged_as_the_library_does(
    client: TestClient, app: Jobpipe, name: str, reason: str | None
) -> None:
    path = f"/api/v1/queues/{quote(name, safe='')}"
    answer = client.patch(path, json={"paused": True, "reason": reason})
    try:
        app.pause_queue(name, reason)
    except JobpipeError as error:
        wanted = (of_error(error).status, error.code)
        nowhere = (404, "not_found")  # an empty name is no path
        assert (answer.status_code, answer.json()["code"]) in (wanted, nowhere)
    else:
        assert (answer.status_code, answer.json()["reason"]) == (200, reason)


MUTATIONS = [each for each in CALLS if each.method != "GET" and each.body is not None]


@settings(QUIET, max_examples=60)
@given(body=values)
@pytest.mark.parametrize("endpoint", MUTATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_any_json_is_judged(client: TestClient, endpoint: Endpoint, body: Any) -> None:
    try:
        content = _json(body)
    except ValueError:
        return
    path = re.sub(r"\{\w+(:\w+)?\}", "1", endpoint.path)
    answer = client.request(
        endpoint.method, path, content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"


@given(st.recursive(texts | st.just('[{"\\'), lambda inner: st.lists(inner, max_size=3)))
def test_brackets_inside_of_texts_are_not_nested(body: Any) -> None:
    def depth(value: Any) -> int:
        return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0

    assert reading._depth(_json(body)) == depth(body)


@pytest.mark.parametrize(
    "body, depth", [(b'[["[[[', 2), (b'["\\"[[["[', 2), (b'["[\\', 1), (b"]]][", 0), (b"", 0)]
)
def test_a_text_that_does_not_end_goes_to_the_end(body: bytes, depth: int) -> None:
    assert reading._depth(body) == depth


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False).encode()
