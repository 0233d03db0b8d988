"""``jobpipe gate`` and ``jobpipe task pause|resume``."""

from __future__ import annotations

import pytest

from tests.surface.conftest import Cli


def test_a_key_is_limited_and_paused(cli: Cli) -> None:
    told = cli("gate", "limit", "concurrency", "customer-7", "3")
    assert told == (0, "concurrency customer-7  limited\n", "")
    limited = cli("gate", "limit", "rate", "api", "100/1m", "--burst", "10", "--json").json
    assert limited["override"] == {"n": 100, "per_seconds": 60.0, "burst": 10}
    paused = cli("gate", "pause", "rate", "api", "--reason", "flood", "--for", "1h")
    assert paused.out.startswith("rate api  paused until 2")
    gates = cli("gate", "list", "--json").json["items"]
    assert [(gate["kind"], gate["key"], gate["paused"]) for gate in gates] == [
        ("concurrency", "customer-7", False),
        ("rate", "api", True),
    ]
    assert "flood" in cli("gate", "list", "--kind", "rate").out
    assert cli("gate", "resume", "rate", "api").out == "rate api  resumed\n"
    assert cli("gate", "limit", "rate", "api", "none").out == "rate api  no limit of its own\n"


def test_a_task_is_paused_and_resumed(cli: Cli) -> None:
    assert cli("task", "pause", "app.add", "--reason", "mending").out == "task app.add  paused\n"
    (gate,) = cli("gate", "list", "--kind", "task", "--json").json["items"]
    assert (gate["key"], gate["reason"], gate["paused_by"].startswith("cli:")) == (
        "app.add",
        "mending",
        True,
    )
    assert cli("task", "resume", "app.add").out == "task app.add  resumed\n"
    assert cli("gate", "list").err == "No gates.\n"


def test_a_task_that_nobody_knows_is_paused_with_a_note(cli: Cli) -> None:
    paused = cli("task", "pause", "app.addd", "--json")
    assert (paused.code, paused.json["paused"]) == (0, True)
    note = "app.addd: no such task is declared, and none of the newest jobs is of it\n"
    assert paused.err == note
    assert cli("task", "pause", "app.add").err == ""


def test_a_queue_that_nobody_knows_is_paused_with_a_note(cli: Cli) -> None:
    paused = cli("queue", "pause", "mial", "--json")
    assert (paused.code, paused.json["paused"]) == (0, True)
    assert paused.err == "mial: no job and no task names this queue yet\n"
    assert cli("queue", "pause", "default").err == ""


@pytest.mark.parametrize(
    "words, told",
    [
        (["gate", "limit", "concurrency", "k", "few"], "concurrency='few' is refused"),
        (["gate", "limit", "rate", "k", "5"], "rate='5' is refused"),
        (["gate", "limit", "group", "k", "stop"], "allowed: skip, block, fail"),
        (["gate", "limit", "nothing", "k", "5"], "'nothing' is not one of"),
        (["gate", "limit", "concurrency", "queue:mail", "5"], "jobpipe queue limit mail"),
        (["task", "pause", "t", "--until", "2020-01-01T00:00:00Z"], "a time to come"),
    ],
)
def test_wrong_words_are_refused(cli: Cli, words: list[str], told: str) -> None:
    ended = cli(*words)
    assert ended.code in (1, 2)
    assert told in ended.err
