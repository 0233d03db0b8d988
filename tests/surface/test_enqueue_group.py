"""``jobpipe enqueue --group``: the jobs of a key follow one another."""

from __future__ import annotations

from tests.surface.conftest import Cli


def test_a_job_may_belong_to_a_group(cli: Cli) -> None:
    job = cli("enqueue", "app.add", "a=1", "--group", "order-7", "--json").json
    assert (job["group"], job["state"]) == ("order-7", "blocked")
    refused = cli("enqueue", "app.add", "a=1", "--group", "")
    assert refused.code == 2
    assert "group=''" in refused.err
    cli.worked()
    assert cli("job", "show", str(job["id"]), "--json").json["state"] == "succeeded"
