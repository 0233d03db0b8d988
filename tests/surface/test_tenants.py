"""``jobpipe tenant``, and whose a job is that is enqueued on the command line."""

from __future__ import annotations

from tests.surface.conftest import Cli


def test_a_weight_is_set_and_shown(cli: Cli) -> None:
    assert cli("tenant", "list") == (0, "", "No tenants.\n")
    assert cli("tenant", "weight", "mail", "acme", "3") == (0, "acme weighs 3 in mail\n", "")
    shown = cli("tenant", "list", "-q", "mail", "--json").json["items"]
    assert [(each["tenant"], each["weight"]) for each in shown] == [("acme", 3)]
    refused = cli("tenant", "weight", "mail", "acme", "0")
    assert refused.code == 2
    assert "weight=0 is refused; allowed: a whole number from 1 to 1000" in refused.err


def test_a_job_belongs_to_a_tenant(cli: Cli) -> None:
    job = cli("enqueue", "app.add", "a=1", "--tenant", "acme", "--json").json
    assert (job["tenant"], job["state"]) == ("acme", "blocked")
    cli.worked()
    assert cli("job", "show", str(job["id"]), "--json").json["state"] == "succeeded"
