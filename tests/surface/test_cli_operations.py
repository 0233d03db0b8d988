"""``jobpipe job cancel|rerun|delete|move -f`` and ``jobpipe operation``."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.surface.conftest import Cli
from tests.waiting import until


def some_jobs(cli: Cli) -> None:
    """Store four jobs: two of them in the queue slow."""
    for number in range(4):
        cli("enqueue", "app.add", f"a={number}", "--queue", "slow" if number % 2 else "quick")


def test_a_preview_changes_nothing(cli: Cli) -> None:
    some_jobs(cli)
    ended = cli("job", "cancel", "-f", "queue:slow args.a:1,3", "--preview")
    assert ended == (
        0,
        "2 jobs are meant: 2 would take the order, 0 would refuse\nthe first: 2 4\n",
        "",
    )
    view = cli("job", "delete", "-f", "id:>=1", "--dry-run", "--json").json
    assert (view["state"], view["id"], view["matched"], view["refused"]) == ("preview", None, 4, 4)
    assert cli("operation", "list").err == "No such operations.\n"


def test_an_order_waits_for_a_worker_and_says_so(cli: Cli) -> None:
    some_jobs(cli)
    ended = cli("job", "cancel", "-f", "queue:slow", "--reason", "by_deploy")
    assert (ended.code, ended.out) == (0, "1  running  cancel: 0 of 0 jobs\n")
    assert ended.err.startswith("No worker and no service lives, so nobody carries out operation 1")
    waited = cli("operation", "show", "1", "--wait")
    assert (waited.code, waited.out) == (3, ended.out)
    assert "jobpipe worker" in waited.err
    cli.worked()
    assert cli("operation", "show", "1", "--wait").out == "1  done  cancel: 2 of 2 jobs\n"
    job = cli("job", "show", "2", "--json").json
    assert (job["state"], job["reason"]) in (("cancelled", "by_deploy"), ("succeeded", None))


def test_an_order_is_carried_out_by_a_worker_elsewhere(cli: Cli) -> None:
    some_jobs(cli)
    cli("queue", "pause", "slow", "quick")
    words = [sys.executable, "-m", "jobpipe", "worker"]
    worker = subprocess.Popen(words, cwd=cli.folder, stderr=subprocess.DEVNULL)
    try:
        until(lambda: cli("worker-list", "--json").json["items"] != [])
        ended = cli("job", "move", "-f", "queue:slow", "--queue", "late", "--in", "1h", "--wait")
        assert ended == (0, "1  done  move: 2 of 2 jobs\n", "")
        ended = cli("job", "rerun", "-f", "queue:quick", "--wait")
        assert ended == (0, "2  done  rerun: 0 of 2 jobs, 2 refused\n", "")
    finally:
        worker.terminate()
        worker.wait(timeout=30)
    assert cli("job", "show", "2", "--json").json["state"] == "scheduled"
    page = cli("operation", "list", "--json").json
    assert [(each["id"], each["q"]) for each in page["items"]] == [
        (2, "queue:quick"),
        (1, "queue:slow"),
    ]


def test_an_operation_is_stopped(cli: Cli) -> None:
    some_jobs(cli)
    cli("job", "delete", "-f", "queue:slow", "--yes")
    assert cli("operation", "cancel", "1").out == "1  cancelled  delete: 0 of 0 jobs\n"
    assert cli("operation", "cancel", "1").code == 5
    assert cli("operation", "show", "9").code == 4
    shown = cli("operation", "show", "1").out
    assert "filter" in shown
    assert "queue:slow" in shown


def test_jobs_are_moved_by_their_ids(cli: Cli) -> None:
    some_jobs(cli)
    assert cli("job", "move", "1", "2", "--queue", "late").out == "1  queued\n2  queued\n"
    assert cli("job", "show", "2", "--json").json["queue"] == "late"


@pytest.mark.parametrize(
    "words, what",
    [
        (["cancel"], "Name the jobs: ID..., or -f FILTER."),
        (["cancel", "1", "-f", "tag:a"], "not by both"),
        (["rerun", "1", "--wait"], "--preview and --wait need -f"),
        (["move", "-f", "tag:a"], "Say where they go"),
        (["move", "1", "--in", "1h", "--at", "2030-01-01T00:00:00Z"], "exclude each other"),
    ],
)
def test_a_wrong_order_is_a_usage_error(cli: Cli, words: list[str], what: str) -> None:
    ended = cli("job", *words)
    assert (ended.code, ended.out) == (2, "")
    assert what in ended.err


def test_a_wrong_filter_is_pointed_at(cli: Cli) -> None:
    ended = cli("job", "cancel", "-f", "state:faild")
    assert ended.code == 2
    assert ended.err.splitlines()[:3] == [
        "Error: position 7: 'faild' is no state; did you mean failed?",
        "  state:faild",
        "        ^",
    ]
    assert cli("job", "cancel", "-f", "").code == 2


def test_a_waiting_job_gets_other_arguments(cli: Cli) -> None:
    some_jobs(cli)
    assert cli("job", "patch", "1", "a=41", "--priority", "7").out == "1  queued\n"
    job = cli("job", "show", "1", "--json").json
    assert (job["args"], job["priority"]) == ({"a": 41}, 7)
    assert cli("job", "patch", "1", "--args", '{"b": 5}').code == 0
    assert cli("job", "show", "1", "--json").json["args"] == {"a": 41, "b": 5}
    for words in (["c=1"], ["a=x"], [], ["--args", "[1]"]):
        assert cli("job", "patch", "1", *words).code == 2, words
    cli.worked()
    assert cli("job", "show", "1", "--json").json["result"] == 46
    assert cli("job", "patch", "1", "a=1").code == 5
