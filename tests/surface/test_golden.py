"""What every verb writes, word for word: one file a verb in ``golden/``, in text and as JSON.

What differs from run to run (times, durations, pids, places, versions, figures) stands there as a
word in angle brackets, and so much blank as the columns need as two. After a change that is meant:

    GOLDEN=rewrite python -m pytest tests/surface/test_golden.py

writes the files anew; read the difference before it is committed.
"""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest

from jobpipe.cli import measure
from jobpipe.cli.root import PROGRAM, jobpipe
from jobpipe.policy import store_health
from tests.surface.conftest import Cli

FOLDER = Path(__file__).parent / "golden"

SCENE = """
jobpipe db migrate
jobpipe enqueue app.add a=1 b=2
jobpipe enqueue app.fail text=no --key k
jobpipe enqueue app.add --args [1] --in 1h -q nightly
jobpipe enqueue app.chat
work
jobpipe enqueue app.add a=5 --priority 7
jobpipe queue pause mail --reason mending
"""
"""What has happened before each verb of a golden file."""

GOLDEN = {
    "init": "init new | init new | init other --json",
    "dev": "dev --port none",
    "serve": "serve --host 0.0.0.0 | serve --host 0.0.0.0 --json",
    "worker": "worker --burst",
    "enqueue": "enqueue app.add a=1 | enqueue app.add a=1 --json | enqueue app.nope"
    " | enqueue app.add | enqueue app.fail text=other --key k",
    "job list": "job list | job list -s failed --json | job list --limit 1 -o jsonl",
    "job show": "job show 2 | job show 2 --json | job show 9",
    "job logs": "job logs 4 | job logs 4 --json | job logs 4 -o jsonl | job logs 9",
    "job watch": "job watch 1 | job watch 2 --json | job watch 9",
    "job cancel": "job cancel 3 | job cancel 3 | job cancel 5 --json",
    "job rerun": "job rerun 1 | job rerun 5 | job rerun 2 --json",
    "job explain": "job explain 1 | job explain 3 | job explain 3 --json | job explain 99",
    "job patch": "job patch 3 a=7 --priority 2 | job patch 3 --in 2h --json | job patch 3 a=no"
    " | job patch 1 --priority 2 | job patch 3",
    "job move": "job move 3 --queue mail | job move 3 --priority 2 --json"
    " | job move -f queue:nightly --queue day --preview | job move 3",
    "job delete": "job delete 1 2 --dry-run | job delete 3 | job delete 1 --json | job delete 1",
    "queue list": "queue list | queue list --json",
    "queue pause": "queue pause default --reason why | queue pause default --json",
    "queue limit": "queue limit mail --concurrency 3 --rate 100/m --max-queued 9"
    " | queue limit mail --rate none --json | queue limit mail --rate fast | queue limit mail",
    "queue resume": "queue resume mail | queue resume mail --json | queue resume mial",
    "task list": "task list | task list --json",
    "task show": "task show app.add | task show app.add --json | task show app.nope",
    "task pause": "task pause app.add --reason why | task pause app.add --json | task pause 'a\tb'",
    "task resume": "task pause app.add | task resume app.add | task resume app.add --json",
    "flow list": "flow list | flow list --json",
    "flow show": "flow show 7 | flow show 7 --json",
    "flow cancel": "flow cancel 7 | flow cancel 7 --json",
    "flow rerun": "flow rerun 7 | flow rerun 7 --json",
    "gate list": "gate limit concurrency eu 2 | gate list | gate list --json",
    "gate limit": "gate limit concurrency eu 2 | gate limit rate eu 5/s --json"
    " | gate limit rate eu fast | gate limit concurrency eu none",
    "gate pause": "gate pause group eu --reason why | gate pause group eu --json",
    "gate resume": "gate pause group eu | gate resume group eu | gate resume group eu --json",
    "tenant list": "tenant weight mail acme 3 | tenant list | tenant list --json",
    "tenant weight": "tenant weight mail acme 3 | tenant weight mail acme 3 --json"
    " | tenant weight mail acme 0",
    "operation list": "job cancel -f task:app.add | operation list | operation list --json",
    "operation show": "job cancel -f task:app.add | operation show 1"
    " | operation show 1 --json | operation show 9",
    "operation cancel": "job cancel -f task:app.add | operation cancel 1"
    " | operation cancel 1 --json | operation cancel 9",
    "worker-list": "worker-list | worker-list --json",
    "token create": "token create ci --role producer --tokens-file tokens"
    " | token create old --role viewer --tokens-file tokens"
    " | token create ops --role admin --tokens-file tokens --json | token create x --role boss",
    "token list": "token list --tokens-file tokens | token list --tokens-file tokens --json"
    " | token list",
    "token revoke": "token revoke old --tokens-file tokens"
    " | token revoke old --tokens-file tokens --json",
    "db migrate": "db migrate | db migrate --json",
    "db status": "db status | db status --json",
    "db sql": "db sql --json",
    "db check": "db check | db check --json",
    "config show": "config show | config show --origin --json",
    "health": "health | health --json",
    "top": "top --every 0.1 | top --every 0.1 --json",
    "check": "check | check --json",
    "doctor": "doctor | doctor --json",
    "bench": "bench | bench --json",
    "completion": "completion bash | completion bash --json | completion tcsh",
}
"""The calls that each file holds."""

VOLATILE = [
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)"), "<time>"),
    (re.compile(r'("(?:pid|worker_pid)": )\d+'), r"\1<pid>"),
    (re.compile(r'("(?:paused_by|who)": )"[^"]*"'), r'\1"<who>"'),
    (re.compile(r"\bcli:[\w.-]+"), "<who>"),
    (re.compile(r"[\w.-]+-\d{2,}\b"), "<worker>"),
    (re.compile(r"(<worker>  )\d+(  <time>)"), r"\1<pid>\2"),
    (re.compile(r'("host": )"[^"]*"'), r'\1"<host>"'),
    (re.compile(r'("(?:\w*_seconds)": )\d+(\.\d+)?(e-\d+)?'), r"\1<seconds>"),
    (re.compile(r'("value": )[\d.]+'), r"\1<figure>"),
    (re.compile(r'("cpus": )\d+'), r"\1<n>"),
    (re.compile(r"\b\d+ CPUs"), "<n> CPUs"),
    (re.compile(r'("sql": )"(?:[^"\\]|\\.)*"'), r'\1"<sql>"'),
    (re.compile(r"(SQLite|Python) \d+\.\d+\.\d+"), r"\1 <version>"),
    (re.compile(r'("python": )"[\d.]+"'), r'\1"<version>"'),
    (re.compile(r"\b[\d.]+ (B|KiB|MiB|GiB)\b"), "<size>"),
    (
        re.compile(
            r"(?<![\[\w])(in )?(\d+(\.\d+)?(ms|s)|\d+m( \d+s)?|1h)( ago)?(?=[\s,:)\]]|$)", re.M
        ),
        "<span>",
    ),
    (re.compile(r"^(enqueue.*?|run.*?) {2,}[\d,.]+ +(jobs/s|ms)$", re.M), r"\1  <figure>  \2"),
    (re.compile(r'File "[^"]*", line \d+'), 'File "<file>", line <n>'),
    (re.compile(r'File \\"[^"]*\\", line \d+'), r'File \\"<file>\\", line <n>'),
    (re.compile(r"line \d+ "), "line <n> "),
    (re.compile(r"\bjp_[\w-]{43}"), "<token>"),
]


@pytest.fixture
def scene(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """A folder in which some jobs have run and some wait."""
    monkeypatch.setattr(measure, "ONE_SECONDS", 0.02)
    monkeypatch.setattr(measure, "BULK_SECONDS", 0.02)
    monkeypatch.setattr(store_health, "SOUND_LIBRARY", (3, 0, 0))
    cli.folder.joinpath("tokens").write_text("old:viewer:plain\n", encoding="utf-8")
    with cli.folder.joinpath("app.py").open("a", encoding="utf-8") as file:
        file.write(CHAT)
    for line in SCENE.strip().splitlines():
        if line == "work":
            cli.worked()
        else:
            assert cli(*shlex.split(line)[1:]).code == 0, line
    with closing(sqlite3.connect("jobpipe.db")) as file, file:  # the order of the slowest is known
        file.execute("UPDATE jobpipe_job SET started_at = finished_at - 1000 * id")
    return cli


CHAT = '''

@jp.task
def chat() -> None:
    """Say something."""
    import logging

    logging.getLogger("app").warning("first", extra={"user": 7})
    logging.getLogger("app").error("second\\x1b[31m")
'''


def steady(text: str) -> str:
    """Return the text without what differs from run to run."""
    for pattern, word in VOLATILE:
        text = pattern.sub(word, text)
    return "\n".join(_even(line) for line in text.splitlines())


def _even(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    return indent + re.sub(r" {2,}", "  ", line.strip())


def played(cli: Cli, calls: str) -> str:
    """Return what the calls wrote, one after another, and their exit codes."""
    parts = []
    for call in calls.split(" | "):
        words = shlex.split(call)
        ended = (cli.outside if words[0] == "worker" else cli)(*words)
        parts.append(f"$ jobpipe {call}\n{steady(ended.out)}".rstrip("\n"))
        if ended.err:
            parts.append("--- standard error\n" + steady(ended.err))
        parts.append(f"--- exit {ended.code}\n")
    return "\n".join(parts)


@pytest.mark.parametrize("verb", GOLDEN)
def test_every_word_is_as_it_was(scene: Cli, verb: str) -> None:
    file = FOLDER / f"{verb.replace(' ', '_')}.txt"
    written = played(scene, GOLDEN[verb])
    if os.environ.get("GOLDEN") == "rewrite":
        FOLDER.mkdir(exist_ok=True)
        file.write_text(written, encoding="utf-8")
    assert written == file.read_text(encoding="utf-8")


def leaves(group: click.Group, path: str = "") -> Iterator[str]:
    with click.Context(group, info_name=PROGRAM) as context:
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            if isinstance(command, click.Group):
                yield from leaves(command, f"{path}{name} ")
            else:
                yield f"{path}{name}"


def test_every_verb_has_its_file() -> None:
    assert sorted(leaves(jobpipe)) == sorted(GOLDEN)
    assert sorted(file.stem for file in FOLDER.iterdir()) == sorted(
        verb.replace(" ", "_") for verb in GOLDEN
    )


def test_what_is_steady() -> None:
    assert (
        steady("took  12.3ms (3s ago) 2026-01-01T00:00:00.000000Z")
        == "took  <span> (<span>) <time>"
    )
    assert (
        steady('{"pid": 7, "duration_seconds": 0.5}')
        == '{"pid": <pid>, "duration_seconds": <seconds>}'
    )
