"""The verbs of the command line on a real store: what they print, and their exit codes."""

from __future__ import annotations

import json
import re
import sys

import pytest

from jobpipe.config.calling import CALLING
from jobpipe.config.declared import SETTINGS
from jobpipe.config.serving import SERVING
from jobpipe.config.setting import Setting
from tests.surface.conftest import Cli


def test_enqueue_prints_the_id_and_stores_the_job(cli: Cli) -> None:
    assert cli("enqueue", "app.add", "a=1", "b=2") == (0, "1\n", "")
    shown = cli("job", "show", "1", "--json").json
    assert (shown["task"], shown["args"], shown["state"]) == ("app.add", {"a": 1, "b": 2}, "queued")
    assert shown["attempts"] == []


def test_enqueue_takes_options(cli: Cli) -> None:
    words = ["--queue", "late", "--priority", "7", "--in", "1h", "--key", "k"]
    words += ["--max-attempts", "2", "--timeout", "30"]
    job = cli("enqueue", "app.add", "--args", "[1]", *words, "-o", "json").json
    assert (job["queue"], job["priority"], job["state"]) == ("late", 7, "scheduled")
    assert (job["idempotency_key"], job["max_attempts"]) == ("k", 2)
    assert (job["timeout_seconds"], job["args"]) == (30.0, {"a": 1})
    again = cli("enqueue", "app.add", "--args", "[1]", *words)
    assert (again.code, again.out) == (0, "1\n")
    other = cli("enqueue", "app.add", "a=2", "--key", "k")
    assert other.code == 5
    assert "Error: " in other.err


def test_enqueue_with_a_unique_key(cli: Cli) -> None:
    assert cli("enqueue", "app.add", "a=1", "--unique", "sum-{a}").out == "1\n"
    assert cli("enqueue", "app.add", "a=1", "b=2", "--unique", "sum-{a}").out == "1\n"
    assert cli("job", "show", "1", "--json").json["unique_key"] == "sum-1"
    assert cli("enqueue", "app.add", "a=2", "--unique", "sum-{a}").out == "2\n"
    wrong = cli("enqueue", "app.add", "a=2", "--unique", "{nobody}")
    assert (wrong.code, "unique='{nobody}' is refused" in wrong.err) == (2, True)


def test_enqueue_at_a_moment(cli: Cli) -> None:
    job = cli("enqueue", "app.add", "a=1", "--at", "2099-01-31T11:00:00+02:00", "--json").json
    assert (job["run_at"], job["state"]) == ("2099-01-31T09:00:00.000000Z", "scheduled")


@pytest.mark.parametrize(
    "words, code, said",
    [
        (["app.nope"], 4, "no task is named 'app.nope'"),
        (["app.add"], 2, "missing a required argument: 'a'"),
        (["app.add", "a=x"], 2, "Expected `int`, got `str`"),
        (["app.add", "a=1", "c=1"], 2, "unexpected keyword argument 'c'"),
        (["app.add", "a"], 2, "'a' is not of the form KEY=VALUE."),
        (["app.add", "a=1", "--priority", "101"], 2, "priority=101 is refused"),
        (["app.add", "a=1", "--in", "soon"], 2, "'soon'"),
        (["app.add", "a=1", "--at", "2030-01-31T09:00:00"], 2, "it has no zone"),
        (["app.add", "a=1", "--in", "1m", "--at", "2030-01-31T09:00Z"], 2, "exclude each other"),
        (["app.add", "a=1", "--wait-timeout", "1"], 2, "--wait-timeout needs --wait"),
        (["app.add", "a=1", "--queue", "no such"], 2, "queue_name='no such' is refused"),
        (["app.fail", f"text={'x' * 2000}", "--max-payload", "1KiB"], 2, "at most 1024"),
    ],
)
def test_what_cannot_be_enqueued_is_refused(
    cli: Cli, words: list[str], code: int, said: str
) -> None:
    ended = cli("enqueue", *words)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert cli("job", "list", "--json").json["items"] == []


def test_a_full_queue_refuses(cli: Cli) -> None:
    assert cli("enqueue", "app.add", "a=1", "--max-queued", "1").code == 0
    ended = cli("enqueue", "app.add", "a=1", "--max-queued", "1")
    assert (ended.code, ended.out) == (5, "")


def test_waiting_prints_the_result(cli: Cli) -> None:
    cli("task", "list")
    with sys.modules["app"].jp.running():
        ended = cli("enqueue", "app.add", "a=1", "b=2", "--wait")
        assert (ended.code, ended.out) == (0, "3\n")
        job = cli("enqueue", "app.add", "a=1", "--wait", "--json").json
        assert (job["state"], job["result"]) == ("succeeded", 2)


def test_waiting_for_a_job_that_fails_exits_10(cli: Cli) -> None:
    cli("task", "list")
    with sys.modules["app"].jp.running():
        ended = cli("enqueue", "app.fail", "text=no", "--wait")
    assert (ended.code, ended.out) == (10, "")
    assert "no" in ended.err


def test_waiting_ends_when_the_time_is_over(cli: Cli) -> None:
    ended = cli("enqueue", "app.add", "a=1", "--wait", "--wait-timeout", "0.01")
    assert (ended.code, ended.out) == (12, "")
    assert "Job 1 is queued; waiting for its end.\n" in ended.err
    ended = cli("enqueue", "app.add", "a=1", "--wait", "--wait-timeout", "0", "--json")
    assert (ended.code, ended.json["state"]) == (12, "queued")


def test_waiting_for_a_cancelled_job_exits_11(cli: Cli) -> None:
    assert cli("enqueue", "app.add", "a=1", "--key", "k").out == "1\n"
    assert cli("job", "cancel", "1").code == 0
    ended = cli("enqueue", "app.add", "a=1", "--key", "k", "--wait")
    assert (ended.code, ended.out) == (11, "")


def test_a_list_in_a_pipe_is_aligned_text(cli: Cli) -> None:
    cli("enqueue", "app.add", "a=1")
    cli("enqueue", "app.fail", "text=x", "--priority", "-5")
    cli.worked()
    lines = [line.split() for line in cli("job", "list").out.splitlines()]
    assert [[*line[:6], *line[7:]] for line in lines] == [
        ["ID", "STATE", "TASK", "QUEUE", "PRIORITY", "ATTEMPT", "WHY"],
        ["2", "failed", "app.fail", "mail", "-5", "1/1", "attempts_exhausted"],
        ["1", "succeeded", "app.add", "default", "0", "1/5", "-"],
    ]
    assert lines[1][6].endswith("Z")


def test_lists_are_filtered_and_paged(cli: Cli) -> None:
    for number in range(4):
        cli("enqueue", "app.add", f"a={number}", "-q", "even" if number % 2 else "odd")

    def ids(*words: str) -> list[int]:
        return [
            json.loads(line)["id"] for line in cli("job", "list", "-o", "jsonl", *words).out.split()
        ]

    assert ids() == [4, 3, 2, 1]
    assert ids("-q", "odd") == ids("-f", "queue:odd state:queued") == [3, 1]
    assert ids("-s", "failed") == []
    assert ids("-t", "app.add", "--limit", "2") == [4, 3]
    assert ids("--before", "3") == [2, 1]
    page = cli("job", "list", "--limit", "3", "--json").json
    assert (page["next_cursor"], page["looked_down_to"]) == ("2", None)
    assert cli("job", "list", "--limit", "3").err == "There are more: --before 2\n"
    assert cli("job", "list", "-q", "none") == (0, "", "No such jobs.\n")


def test_a_wrong_word_of_a_filter_is_named_with_its_place(cli: Cli) -> None:
    ended = cli("job", "list", "-f", "queue:a stat:failed")
    assert (ended.code, ended.out) == (2, "")
    said, text, caret, allowed = ended.err.splitlines()
    assert said == "Error: position 9: the word 'stat' is not known; did you mean state:?"
    assert (text, caret) == ("  queue:a stat:failed", "          ^")
    assert "state:, reason:, queue:" in allowed


@pytest.mark.parametrize("words", [["-s", "broken"], ["--limit", "0"]])
def test_a_wrong_list_is_a_usage_error(cli: Cli, words: list[str]) -> None:
    ended = cli("job", "list", *words)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("Usage: jobpipe job list")


def test_a_failed_job_is_shown_with_its_attempts_and_its_traceback(cli: Cli) -> None:
    cli("enqueue", "app.fail", "text=why")
    cli.worked()
    text = cli("job", "show", "1").out
    facts = dict(line.split(None, 1) for line in text.splitlines()[:8])
    assert (facts["state"], facts["attempt"]) == ("failed", "1 of 1")
    assert "ValueError: why" in text
    assert "Traceback (most recent call last):" in text
    shown = cli("job", "show", "1", "--json").json
    assert [each["outcome"] for each in shown["attempts"]] == ["failed"]
    assert shown["error"]["message"] == "why"


def test_what_comes_from_the_store_cannot_act_on_a_terminal(cli: Cli) -> None:
    cli("enqueue", "evil\u202e")
    cli("enqueue", "app.fail", "text=\x1b[2J\x9b\n\u2066boo")
    cli.worked()
    for words in (["list"], ["show", "1"], ["show", "2"], ["show", "1", "--json"]):
        out = cli("job", *words).out
        assert out.replace("\n", "").isprintable()
    assert cli("job", "show", "1", "--json").json["result"] == "\x1b[31mred\x9b"


@pytest.mark.parametrize("verb", ["show", "cancel", "rerun"])
def test_no_such_job(cli: Cli, verb: str) -> None:
    ended = cli("job", verb, "7")
    assert (ended.code, ended.out) == (4, "")
    assert ended.err.startswith("Error: there is no job 7\n")
    assert cli("job", verb, "x").code == 2


def test_cancel_and_rerun(cli: Cli) -> None:
    cli("enqueue", "app.add", "a=1")
    assert cli("job", "rerun", "1").code == 5
    assert cli("job", "cancel", "1") == (0, "1  cancelled\n", "")
    assert cli("job", "cancel", "1").code == 5
    job = cli("job", "rerun", "1", "--json").json
    assert (job["id"], job["state"], job["reruns"], job["attempt"]) == (1, "queued", 1, 0)


def test_one_job_that_refuses_keeps_no_other_from_it(cli: Cli) -> None:
    cli("enqueue", "app.add", "a=1")
    cli("enqueue", "app.add", "a=1")
    ended = cli("job", "cancel", "1", "9", "2")
    assert (ended.code, ended.out) == (4, "1  cancelled\n2  cancelled\n")
    page = cli("job", "rerun", "1", "2", "--json").json
    assert [job["state"] for job in page["items"]] == ["queued", "queued"]


def test_queues(cli: Cli) -> None:
    assert cli("queue", "list", "--json").json == {"items": [], "next_cursor": None}
    cli("enqueue", "app.add", "a=1")
    assert cli("queue", "pause", "default", "mail", "--reason", "mending") == (
        0,
        "default  paused\nmail  paused\n",
        "",
    )
    queues = cli("queue", "list", "--json").json["items"]
    assert [(each["name"], each["paused"], each["reason"], each["queued"]) for each in queues] == [
        ("default", True, "mending", 1),
        ("mail", True, "mending", 0),
    ]
    cli.worked()
    assert cli("job", "show", "1", "--json").json["state"] == "queued"
    assert cli("queue", "resume", "default", "--json").json["paused"] is False
    cli.worked()
    assert cli("job", "show", "1", "--json").json["state"] == "succeeded"
    assert cli("queue", "pause", "no such").code == 2
    assert cli("queue", "resume", "mial") == (
        0,
        "",
        "mial: no such queue yet, and so it was not paused\n",
    )


def test_tasks(cli: Cli) -> None:
    text = cli("task", "list").out
    assert re.split(r"  +", text.splitlines()[1].rstrip()) == [
        *("app.add", "default", "0", "thread", "1", "(a: int, b: int = 1) -> int"),
        "Add two numbers.",
    ]
    items = cli("task", "list", "--json").json["items"]
    assert [each["name"] for each in items] == ["app.add", "app.fail", "evil\u202e"]


def test_workers(cli: Cli) -> None:
    assert cli("worker-list") == (0, "", "No workers.\n")
    app = sys.modules["app"].jp
    app.configured(url="sqlite:///jobpipe.db")
    with app.running(concurrency=3, queues="mail:2,default"):
        items = cli("--app", "none", "worker-list", "--json").json["items"]
        assert [(each["slots"], each["queues"], each["expired"]) for each in items] == [
            (3, ["mail:2", "default"], False)
        ]


def test_the_schema(cli: Cli) -> None:
    status = cli("db", "status", "--json").json
    assert (status["current"], status["newer"]) == (0, False)
    assert status["pending"][0] == "0001 first_schema"
    missing = "the schema is missing or old: run `jobpipe db migrate`\n"
    assert cli("db", "check") == (3, missing, "")
    assert "CREATE TABLE" in cli("db", "sql").out
    assert cli("db", "migrate").out.splitlines()[0] == "applied 0001 first_schema"
    assert cli("db", "migrate").out == "up to date\n"
    assert cli("db", "status", "--json").json["pending"] == []
    assert cli("db", "check") == (0, "ok\n", "")
    assert cli("db", "check", "--json").json == {"ok": True, "problems": []}


def test_settings_and_where_they_come_from(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBPIPE_CONCURRENCY", "7")
    words = ["--url", "postgresql://me:s3cret@db/jobs", "--lease-seconds", "2"]
    ended = cli("config", "show", "--app", "none", "--origin", *words)
    rows = {line.split()[0]: line.split()[1:] for line in ended.out.splitlines()}
    assert rows["JOBPIPE_URL"] == ["postgresql://me:***@db/jobs", "flag", "url"]
    assert rows["JOBPIPE_LEASE_SECONDS"] == ["2", "flag", "lease_seconds"]
    assert rows["JOBPIPE_CONCURRENCY"] == ["7", "env", "JOBPIPE_CONCURRENCY"]
    assert rows["JOBPIPE_MAX_ATTEMPTS"] == ["5", "default"]
    items = cli("config", "show", "--json").json["items"]
    assert {
        "env": "JOBPIPE_CONCURRENCY",
        "value": "7",
        "origin": "env JOBPIPE_CONCURRENCY",
    } in items


def test_wrong_settings_are_refused(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = cli("job", "list", "--app", "none", "--url", "mysql://x")
    assert (ended.code, ended.out) == (2, "")
    assert "flag url = 'mysql://x': unknown scheme" in ended.err
    monkeypatch.setenv("JOBPIPE_CONCURENCY", "7")
    ended = cli("health")
    assert ended.code == 2
    assert "the nearest known one is JOBPIPE_CONCURRENCY" in ended.err


def test_health(cli: Cli) -> None:
    assert cli("health") == (0, "", "")
    answer = cli("health", "--json").json
    assert (answer["status"], answer["store"]) == ("ok", "sqlite:///jobpipe.db")
    assert cli("health", "--url", "postgresql://127.0.0.1:1/x").code == 75
    cli.folder.joinpath("other.db").write_text("this is no database", encoding="utf-8")
    ended = cli("health", "--url", "sqlite:///other.db")
    assert (ended.code, ended.out) == (3, "")


def test_a_store_that_is_away_exits_75(cli: Cli) -> None:
    ended = cli("job", "list", "--url", "postgresql://me:s3cret@127.0.0.1:1/x")
    assert (ended.code, ended.out) == (75, "")
    assert "s3cret" not in ended.err


def test_global_options_stand_before_or_after_the_verb_and_the_later_counts(cli: Cli) -> None:
    for words in (
        ["-o", "json", "job", "list"],
        ["job", "-o", "json", "list"],
        ["job", "list", "-o", "json"],
        ["-o", "text", "job", "-o", "jsonl", "list", "--json"],
    ):
        assert cli(*words).json["items"] == []
    assert cli(
        "--url", "sqlite:///a.db", "enqueue", "app.add", "a=1", "--url", "sqlite:///b.db"
    ) == (
        0,
        "1\n",
        "",
    )
    assert cli("job", "list", "--url", "sqlite:///a.db", "--json").json["items"] == []
    assert len(cli("--url", "sqlite:///b.db", "job", "list", "--json").json["items"]) == 1


def test_misspelt_words_are_told_the_nearest(cli: Cli) -> None:
    ended = cli("worker-lst")
    assert ended.code == 2
    assert "Did you mean 'worker-list'?" in ended.err
    assert cli("job", "list", "--limt", "3").code == 2


def test_every_verb_has_a_help_worth_reading(cli: Cli) -> None:
    assert cli("--help").code == 0
    for words in (["worker"], ["enqueue"], ["job", "list"], ["db", "migrate"], ["config", "show"]):
        ended = cli(*words, "--help")
        assert ended.code == 0
        assert ended.out.startswith(f"Usage: jobpipe {' '.join(words)}")
    assert "-q, --queues VALUE" in cli("worker", "-h").out


@pytest.mark.parametrize(
    "verb,not_its_own",
    [("worker", (*CALLING, *SERVING)), ("serve", CALLING), ("dev", CALLING), ("config show", ())],
)
def test_every_setting_has_a_flag(cli: Cli, verb: str, not_its_own: tuple[Setting, ...]) -> None:
    help = cli(*verb.split(), "--help").out
    hidden = {"failpoints", "token", "tokens", *(setting.key for setting in not_its_own)}
    keys = {setting.key for setting in SETTINGS} - hidden
    flags = {f"--{key.replace('_', '-')}" for key in keys}
    assert [flag for flag in sorted(flags) if flag not in help] == []


def test_an_error_that_is_not_meant_to_happen_is_told_without_a_traceback(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("task", "list")

    def broken(**_: object) -> None:
        raise RuntimeError("a bug\x1b[31m")

    monkeypatch.setattr(sys.modules["app"].jp, "job_page", broken)
    ended = cli("job", "list")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("Error: RuntimeError: a bug\\x1b[31m\n")
    assert "Traceback" in cli("job", "list", "--debug").err
