"""Schemathesis asks every call of the document for all that it allows, and for what it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig

from jobpipe import Jobpipe
from jobpipe.http.endpoint import Endpoint
from jobpipe.http.openapi import PARAMETER
from jobpipe.http.routes import CALLS
from tests.http.conftest import STORES, declare, in_thread

TOKEN = "token-of-the-tests"

CONFIG = {
    "headers": {"Authorization": f"Bearer {TOKEN}"},
    "checks": {
        # What is too large is refused before it is looked at.
        "negative_data_rejection": {"expected-statuses": ["4xx"]},
        # A request that fits the document may still name no task, or a time that is past, or what
        # has not changed.
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "304", "404", "409", "412", "413", "422", "429"]
        },
    },
}

QUIET = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))

LONGEST_WAIT = 0.01
"""Waits are drawn up to a minute: long enough to be told, too long to be waited for."""


@pytest.fixture(scope="module", params=STORES)
def documented(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The document of a service that holds some jobs of each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('jobs') / 'jobs.db'}"
    else:
        url = request.getfixturevalue("postgres_server").create_database()
    app = Jobpipe(url, tokens=f"all:admin:{TOKEN}")
    declare(app)
    app.enqueue_many(
        [app.call_named("add", [1]), app.call_named("fail"), app.call_named("add", [2])]
    )
    app.drain()
    with in_thread(app) as base:
        yield schemathesis.openapi.from_url(
            f"{base}/api/openapi.json", config=SchemathesisConfig.from_dict(CONFIG)
        )
    app.close()


ASKED = [
    (endpoint, mode)
    for endpoint in CALLS
    for mode in GenerationMode
    if mode.is_positive or endpoint.query or endpoint.body or "{" in endpoint.path
    if endpoint.media != "text/event-stream"
]
"""A call that takes nothing cannot be asked wrongly; a stream never ends by itself."""


@pytest.mark.parametrize(
    "endpoint, mode", ASKED, ids=[f"{e.method} {e.path} {mode.value}" for e, mode in ASKED]
)
def test_every_call_answers_as_documented(
    documented: Any, endpoint: Endpoint, mode: GenerationMode
) -> None:
    operation = documented[PARAMETER.sub(r"{\1}", endpoint.path)][endpoint.method]

    @QUIET
    @given(case=operation.as_strategy(generation_mode=mode))
    def answers(case: schemathesis.Case) -> None:
        if isinstance(case.query.get("wait_seconds"), int | float):
            case.query["wait_seconds"] = min(case.query["wait_seconds"], LONGEST_WAIT)
        assume(is_sent(case.query))
        case.call_and_validate()

    answers()


def is_sent(query: Mapping[str, Any]) -> bool:
    """Tell whether each parameter comes to stand in the URL: an empty list does not, and is then
    nothing that could be refused."""
    url = requests.Request("GET", "http://host/", params=query).prepare().url
    return query.keys() <= parse_qs(urlsplit(str(url)).query, keep_blank_values=True).keys()
