"""``jobpipe flow``: flows listed, shown, cancelled and run once more."""

from __future__ import annotations

import sys

from jobpipe import Flow
from tests.surface.conftest import Cli


def stored(cli: Cli, name: str) -> Flow:
    """Store a flow of two jobs through the application of the folder."""
    cli("health")  # which opens the store, and loads the application with it
    cli("enqueue", "app.add", "a=1")
    jp = sys.modules["app"].jp
    flow: Flow = jp.flow(name)
    first = flow.add(jp.call_named("app.fail", ["no"]))
    flow.add(jp.call_named("app.add", [1]), after=[first])
    return flow.enqueue()


def test_flows_are_listed_and_shown(cli: Cli) -> None:
    id = stored(cli, "nightly").id
    listed = cli("flow", "list", "-s", "running")
    assert listed.code == 0
    assert "nightly" in listed.out
    (item,) = cli("flow", "list", "--json").json["items"]
    assert (item["id"], item["total"], item["left"]) == (id, 2, 2)
    shown = cli("flow", "show", str(id))
    assert "2: 0 succeeded, 0 failed, 0 cancelled, 2 left" in shown.out
    assert [m["state"] for m in cli("flow", "show", str(id), "--json").json["members"]] == [
        "queued",
        "blocked",
    ]
    assert cli("flow", "show", "999").code == 4
    assert "'x' is no id: a whole number from 1 on." in cli("flow", "show", "x").err


def test_a_flow_is_cancelled_and_run_once_more(cli: Cli) -> None:
    id = str(stored(cli, "nightly").id)
    cli.worked()
    assert cli("flow", "show", id, "--json").json["state"] == "failed"
    refused = cli("flow", "cancel", id)
    assert (refused.code, refused.err.splitlines()[0]) == (
        5,
        f"Error: flow {id} has ended (failed); only one that runs can be cancelled",
    )
    assert cli("flow", "rerun", id) == (0, f"{id}  running\n", "")
    # Nothing of it has begun anew yet, so nothing is left to wait for.
    assert cli("flow", "cancel", id).out == f"{id}  cancelled\n"
    again = cli("flow", "rerun", id, "999")
    assert (again.code, again.out) == (4, f"{id}  running\n")
    cli.worked()
    assert cli("flow", "show", id, "--json").json["state"] == "failed"
