"""Commands: templates, what is refused when they are declared, and those of jobpipe.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jobpipe import Jobpipe, Limits
from jobpipe.config.load import load_effective
from jobpipe.errors import ConfigError
from jobpipe.tasks.registry import Tasks


def test_placeholders_are_the_parameters_in_order() -> None:
    task = Tasks().command("t", ["p", "{b}", "-o{a}", "{b}", "{rest...}"], stdin="text")
    assert {each.name: each.type for each in task.signature.parameters} == {
        "b": str,
        "a": str,
        "rest": list[str],
        "text": str,
    }
    assert task("1", a=2.5, rest=[Path("/x"), False], text="") == [
        "p",
        "1",
        "-o2.5",
        "1",
        "/x",
        "false",
    ]
    assert (task.name, task.spec.executor) == ("t", "command")


@pytest.mark.parametrize(
    "run, given, message",
    [
        ("convert {a}", {}, "run='convert {a}'.*a list of texts"),
        ([], {}, "run="),
        (["p", 1], {}, "run="),
        (["{program}"], {}, "no argument of a job"),
        (["p", "{a"], {}, "argument '{a'"),
        (["p", "{}"], {}, "run='{}'"),
        (["p", "{a.b}"], {}, "run='{a.b}'"),
        (["p", "{a!r}"], {}, "run='{a!r}'"),
        (["p", "{a:>9}"], {}, "run='{a:>9}'"),
        (["p", "x{a...}"], {}, "alone for several arguments"),
        (["p"], {"ok_codes": (256,)}, "ok_codes"),
        (["p"], {"ok_codes": ()}, "ok_codes"),
        (["p"], {"env": {"A": 1}}, "env"),
        (["p"], {"stdin": "a b"}, "stdin"),
        (["p"], {"limits": 5}, "limits=5"),
        (["p"], {"timeout": -1}, "timeout=-1"),
        (["p"], {"timeuot": 1}, "command t has no option 'timeuot'; did you mean timeout"),
        (["p"], {"executor": "process"}, "command t has no option 'executor'"),
    ],
)
def test_a_wrong_command_is_refused(run: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Tasks().command("t", run, **given)


@pytest.mark.parametrize(
    "given", [{"memory_mb": 1}, {"cpu_seconds": 0}, {"open_files": True}, {"memory_mb": 99.5}]
)
def test_limits_out_of_range_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="limits: "):
        Limits(**given)


def test_a_file_may_declare_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobpipe.toml").write_text(
        '[commands.thumb]\nrun = ["convert", "{src}", "{dst}"]\ntimeout = 60\n'
        'queue_name = "images"\nlimits = { memory_mb = 512 }\n'
    )
    (tmp_path / "pyproject.toml").write_text(
        '[tool.jobpipe.commands.thumb]\nrun = ["no"]\n[tool.jobpipe.commands.tidy]\nrun = ["rm"]\n'
    )
    monkeypatch.chdir(tmp_path)
    jp = Jobpipe("sqlite:///:memory:").configured(concurrency=2)
    assert [task.name for task in jp.registry] == ["thumb", "tidy"]
    spec = jp.registry.get("thumb").spec
    assert (spec.queue, spec.timeout_seconds, spec.limits) == ("images", 60, Limits(memory_mb=512))
    assert jp.registry.get("thumb")(src="a", dst="b") == ["convert", "a", "b"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("commands = 5", "commands is not a table"),
        ("[commands.t]\ntimeout = 5", "commands.t has no `run`"),
        ('[commands.t]\nrun = ["p"]\ntimeuot = 5', "nearest known one is timeout"),
        ('[commands.t]\nrun = ["p"]\nlimits = 5', "commands.t.limits is not a table"),
        ('[commands.t]\nrun = ["p"]\nlimits = { memory = 5 }', "nearest known one is memory_mb"),
    ],
)
def test_wrong_commands_in_a_file_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "jobpipe.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_effective(environ={}, directory=tmp_path)
