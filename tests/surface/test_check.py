"""``jobpipe check``: before code ships, what of a store's jobs it would not run."""

from __future__ import annotations

import json

from tests.surface.conftest import Cli

NEXT = """
from jobpipe.application import Jobpipe

jp = Jobpipe()


@jp.task(name="app.add", version=2)
def add(a: int) -> int:
    return a


@jp.task(name="app.fail")
def fail(text: str) -> None: ...
"""
"""The code that is to ship: it has no upgrade, and one task has gone."""


def test_what_would_not_run_is_told_and_the_exit_code_is_1(cli: Cli) -> None:
    cli.folder.joinpath("later.py").write_text(NEXT, encoding="utf-8")
    for words in ("app.add a=1", "app.add a=2", "app.fail text=x", "evil\u202e"):
        assert cli("enqueue", *words.split()).code == 0
    store = f"sqlite:///{cli.folder}/jobpipe.db"
    cli("--url", "sqlite:///other.db", "db", "migrate")
    ended = cli("--app", "later:jp", "--url", "sqlite:///other.db", "check", "--against", store)
    assert ended.code == 1
    assert ended.out.splitlines() == [
        "error  no_upgrade",
        "    app.add: 2 jobs (1, 2)",
        "    task app.add: the arguments are of version 1, this code takes version 2 and has no"
        " upgrade from version 1.",
        "error  unknown_task",
        "    evil\\u202e: job 4",
        "    no task of this code is named evil\\u202e.",
        "Waiting jobs: 4. This code would not run 3 of them.",
    ]
    told = cli("check", "later:jp", "--app", "later:jp", "--json")
    assert told.code == 1
    assert told.json == {
        "ok": False,
        "checked": 4,
        "refused": 3,
        "findings": [
            {
                "code": "no_upgrade",
                "task": "app.add",
                "jobs": 2,
                "first_ids": [1, 2],
                "why": "task app.add: the arguments are of version 1, this code takes version 2"
                " and has no upgrade from version 1",
            },
            {
                "code": "unknown_task",
                "task": "evil\u202e",
                "jobs": 1,
                "first_ids": [4],
                "why": "no task of this code is named evil\u202e",
            },
        ],
    }
    lines = cli("check", "later:jp", "-o", "jsonl").out.splitlines()
    assert [json.loads(line) for line in lines] == told.json["findings"]


def test_when_all_would_run_the_exit_code_is_0(cli: Cli) -> None:
    cli("db", "migrate")
    ended = cli("check")
    assert (ended.code, ended.out) == (0, "Waiting jobs: 0. This code would run them all.\n")
    cli("enqueue", "app.add", "a=1")
    ended = cli("check", "app:jp")
    assert (ended.code, ended.out) == (0, "Waiting jobs: 1. This code would run them all.\n")
    assert cli("check", "--json").json == {"ok": True, "checked": 1, "refused": 0, "findings": []}


def test_a_store_that_is_away_or_not_ready(cli: Cli) -> None:
    away = "postgresql://nobody@127.0.0.1:1/none"
    assert cli("check", "app:jp", "--against", away).code == 75
    ended = cli("check", "--against", "sqlite:///new.db")
    assert ended.code == 2
    assert "the store's schema has version 0" in ended.err
    assert "There is nothing of Jobpipe at this URL: is it the right one?" in ended.err
    assert not cli.folder.joinpath("new.db").exists()
    assert cli("check", "--against", "http://127.0.0.1:1").code == 2
    assert cli("check", "--app", "none").code == 2
