"""``jobpipe queue limit``, and pauses with an end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.surface.conftest import Cli


def test_a_limit_is_set_shown_and_taken_away(cli: Cli) -> None:
    told = cli("queue", "limit", "mail", "other", "--max-queued", "1")
    assert told == (0, "mail  at most 1 waiting\nother  at most 1 waiting\n", "")
    assert [queue["max_queued"] for queue in cli("queue", "list", "--json").json["items"]] == [1, 1]
    assert cli("enqueue", "app.fail", "text=no").code == 0
    full = cli("enqueue", "app.fail", "text=no")
    assert full.code == 5
    assert "queue 'mail' holds 1 waiting jobs" in full.err
    assert cli("queue", "limit", "mail", "--max-queued", "none").out == "mail  no limit\n"


def test_more_jobs_at_a_time_wait_at_the_gate_and_are_told_why(cli: Cli) -> None:
    told = cli("queue", "limit", "default", "--concurrency", "1", "--rate", "100/1m").out
    assert told == "default  at most 1 at a time, at most 100/1m\n"
    told = cli("queue", "limit", "default", "--rate", "none").out
    assert told == "default  at most 1 at a time\n"
    ids = [enqueued(cli) for _ in range(2)]
    assert cli("worker", "app:jp", "--burst").code == 0
    assert [cli("job", "show", id, "--json").json["state"] for id in ids] == ["succeeded"] * 2
    assert cli("queue", "pause", "default").code == 0
    first, second = enqueued(cli), enqueued(cli)
    assert cli("worker", "app:jp", "--burst").code == 0
    told = cli("job", "explain", second).out
    assert "1 of 1 at a time of the key queue:default are taken." in told
    assert f"    {first}  queued since " in told
    assert "jobpipe queue limit default --concurrency N" in told
    assert cli("job", "show", second, "--json").json["position"] == 1
    shown = cli("job", "show", second).out
    assert "concurrency:queue:default" in shown
    assert "place in line" in shown
    assert "position" not in cli("job", "show", first, "--json").json


def test_the_rate_of_a_queue_has_a_burst(cli: Cli) -> None:
    told = cli("queue", "limit", "mail", "--rate", "100/1m", "--burst", "10").out
    assert told == "mail  at most 100/1m\n"
    (gate,) = cli("gate", "list", "--kind", "rate", "--json").json["items"]
    assert (gate["key"], gate["override"]["burst"]) == ("queue:mail", 10)


def enqueued(cli: Cli) -> str:
    return cli("enqueue", "app.add", "a=1").out.strip()


def test_a_pause_may_have_an_end(cli: Cli) -> None:
    before = datetime.now(UTC)
    paused = cli("queue", "pause", "mail", "--for", "2h", "--json").json
    end = datetime.fromisoformat(paused["paused_until"])
    assert before + timedelta(hours=2) <= end <= datetime.now(UTC) + timedelta(hours=2)
    told = cli("queue", "pause", "mail", "--until", "2999-01-01T00:00:00Z").out
    assert told == "mail  paused until 2999-01-01T00:00:00.000000Z\n"


@pytest.mark.parametrize(
    "words, told",
    [
        (["limit", "mail"], "name a limit"),
        (["limit", "mail", "--burst", "5"], "a burst belongs to a rate"),
        (["limit", "mail", "--rate", "5/s", "--burst", "0"], "burst=0 is refused"),
        (["limit", "mail", "--concurrency", "0"], "concurrency=0 is refused"),
        (["limit", "mail", "--rate", "fast"], "rate='fast' is refused"),
        (["limit", "mail", "--max-queued", "few"], "'few' is neither a whole number nor `none`"),
        (["pause", "mail", "--for", "2h", "--until", "2999-01-01T00:00:00Z"], "give one"),
        (["pause", "mail", "--until", "tomorrow"], "not a time in ISO 8601"),
    ],
)
def test_wrong_words_are_refused(cli: Cli, words: list[str], told: str) -> None:
    ended = cli("queue", *words)
    assert ended.code in (1, 2)
    assert told in ended.err
