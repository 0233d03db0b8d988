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
