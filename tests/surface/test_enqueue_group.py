"""``jobpipe enqueue``: what of its task's gates a job says for itself."""

from __future__ import annotations

import pytest

from tests.surface.conftest import Cli


def test_a_job_may_belong_to_a_group(cli: Cli) -> None:
    job = cli("enqueue", "app.add", "a=1", "--group", "order-7", "--json").json
    assert (job["group"], job["state"]) == ("order-7", "blocked")
    refused = cli("enqueue", "app.add", "a=1", "--group", "")
    assert refused.code == 2
    assert "group=''" in refused.err
    cli.worked()
    assert cli("job", "show", str(job["id"]), "--json").json["state"] == "succeeded"


def test_a_job_may_say_how_many_and_how_often(cli: Cli) -> None:
    assert cli("queue", "pause", "default").code == 0  # what nobody holds may be forgotten
    job = cli("enqueue", "app.add", "a=1", "--concurrency", "2", "--rate", "100/1m", "--json").json
    assert job["state"] == "blocked"
    cli.worked()
    gates = cli("gate", "list", "--json").json["items"]
    assert [(gate["kind"], gate["key"], gate["terms"]) for gate in gates] == [
        ("concurrency", "app.add", {"n": 2}),
        ("rate", "app.add", {"n": 100, "per_seconds": 60.0, "burst": 2}),
    ]
    free = cli("enqueue", "app.add", "a=1", "--concurrency", "none", "--rate", "none", "--json")
    assert free.json["state"] == "queued"


@pytest.mark.parametrize(
    "words, told",
    [
        (("--concurrency", "0"), "concurrency=0 is refused; allowed: "),
        (("--concurrency", "few"), "'few' is neither a whole number nor `none`"),
        (("--rate", "fast"), "rate='fast' is refused; allowed: "),
    ],
)
def test_a_wrong_limit_is_refused(cli: Cli, words: tuple[str, str], told: str) -> None:
    refused = cli("enqueue", "app.add", "a=1", *words)
    assert refused.code == 2
    assert told in refused.err
