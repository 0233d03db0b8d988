"""``jobpipe job cancel --reason``: jobs that a deploy leaves for later."""

from __future__ import annotations

from tests.surface.conftest import Cli


def test_the_reason_stands_at_the_job(cli: Cli) -> None:
    for _ in range(3):
        cli("enqueue", "app.add", "a=1")
    ended = cli("job", "cancel", "1", "2", "--reason", "by_deploy", "-o", "jsonl")
    assert ended.code == 0
    reasons = [cli("job", "show", id, "--json").json["reason"] for id in ("1", "2")]
    assert reasons == ["by_deploy", "by_deploy"]
    assert cli("job", "cancel", "3", "--json").json["reason"] == "by_user"
    assert cli("job", "cancel", "1", "--reason", "by_flow").code == 2
    assert cli("job", "rerun", "1", "--json").json["state"] == "queued"
