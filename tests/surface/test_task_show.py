"""``jobpipe task show``: what a task takes."""

from __future__ import annotations

from tests.surface.conftest import Cli

VERSIONED = """

@jp.task(name="mail", version=2, aliases=["old\\u202e"], retry_on=ValueError)
def mail(user: int) -> None:
    pass


mail.upgrade(from_version=1)(lambda args: {"user": args["id"]})
"""


def test_a_task_is_shown(cli: Cli) -> None:
    with cli.folder.joinpath("app.py").open("a", encoding="utf-8") as file:
        file.write(VERSIONED)
    ended = cli("task", "show", "old\u202e")
    assert (ended.code, ended.out.splitlines()) == (
        0,
        [
            "task          mail",
            "signature     (user: int) -> None",
            "queue         default, priority 0",
            "executor      thread",
            "version       2",
            "upgrades      from 1",
            "aliases       old\\u202e",
            "retry_on      builtins.ValueError",
            "on_loss       retry",
            "store_result  True",
            "arguments     {",
            '                "title": "Arguments",',
            '                "type": "object",',
            '                "properties": {',
            '                  "user": {',
            '                    "type": "integer"',
            "                  }",
            "                },",
            '                "required": [',
            '                  "user"',
            "                ],",
            '                "additionalProperties": false',
            "              }",
        ],
    )
    shown = cli("task", "show", "mail", "--json").json
    assert (shown["name"], shown["version"], shown["upgrades"]) == ("mail", 2, [1])
    assert shown["args_schema"]["required"] == ["user"]


def test_a_task_that_there_is_not(cli: Cli) -> None:
    ended = cli("task", "show", "app.ad")
    assert ended.code == 4
    assert "did you mean app.add or app.fail?" in ended.err


OLD = """
from jobpipe.application import Jobpipe

jp = Jobpipe()
jp.remote_task("old\u202e")
jp.remote_task("gone")
"""


def test_jobs_under_an_old_name_are_not_missed(cli: Cli) -> None:
    with cli.folder.joinpath("app.py").open("a", encoding="utf-8") as file:
        file.write(VERSIONED)
    cli.folder.joinpath("before.py").write_text(OLD, encoding="utf-8")
    for task in ("old\u202e", "gone"):
        assert cli("enqueue", "--app", "before:jp", task).code == 0
    findings = {each["code"]: each for each in cli("doctor", "app:jp", "--json").json["findings"]}
    assert findings["task_missing"]["what"].startswith("1 job of gone wait")
