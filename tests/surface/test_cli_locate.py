"""How the application is found that the user names, and what is said when it is not."""

from __future__ import annotations

import pytest

from tests.surface.conftest import Cli

TWO = "from jobpipe.application import Jobpipe\n\none = Jobpipe()\ntwo = Jobpipe()\n"


def write(cli: Cli, path: str, text: str) -> None:
    file = cli.folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def tasks(cli: Cli, place: str) -> list[str]:
    items = cli("task", "list", "--app", place, "--json").json["items"]
    return [item["name"] for item in items]


@pytest.mark.parametrize(
    "place", ["app:jp", "app", "app.py", "app.py:jp", "./app.py", "app:box.jp"]
)
def test_ways_to_name_an_application(cli: Cli, place: str) -> None:
    text = (cli.folder / "app.py").read_text(encoding="utf-8")
    write(cli, "app.py", f"{text}\n\nclass box:\n    jp = jp\n")
    assert "app.add" in tasks(cli, place)


@pytest.mark.parametrize("place", ["app:jp", "app", "app.py", "./app.py:jp"])
def test_the_variable_names_it_in_the_same_ways(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("JOBPIPE_APP", place)
    assert "app.add" in cli("task", "list").out


def test_all_lines_of_what_a_module_raises_are_told(cli: Cli) -> None:
    write(cli, "falls.py", "raise RuntimeError('first\\nsecond')\n")
    assert "falls failed: RuntimeError: first second\n" in cli("--app", "falls", "job", "list").err


def test_a_worker_without_tasks_says_so(cli: Cli) -> None:
    write(cli, "bare.py", "from jobpipe.application import Jobpipe\n\njp = Jobpipe()\n")
    assert "Warning: no tasks are declared" in cli.outside("worker", "bare", "--burst").err


def test_the_label_of_a_worker_is_a_short_text(cli: Cli) -> None:
    refused = cli("worker", "app:jp", "--burst", "--name", "a\udcff")
    assert refused.code == 2
    assert "option name='a\\udcff' is refused" in refused.err


def test_one_application_under_two_names_is_one(cli: Cli) -> None:
    write(cli, "twice.py", "from app import jp\n\nsame = jp\n")
    assert "app.add" in tasks(cli, "twice")


def test_a_path_into_a_package_names_its_module(cli: Cli) -> None:
    write(cli, "src/pack/__init__.py", "")
    write(cli, "src/pack/other.py", "VALUE = 1\n")
    write(
        cli,
        "src/pack/jobs.py",
        "from jobpipe.application import Jobpipe\n\nfrom .other import VALUE\n\n"
        "jp = Jobpipe()\n\n\n@jp.task\ndef one() -> int:\n    return VALUE\n",
    )
    assert tasks(cli, "src/pack/jobs.py") == ["pack.jobs.one"]


def test_an_application_with_a_store_of_its_own_keeps_it_but_the_flag_wins(cli: Cli) -> None:
    write(
        cli,
        "own.py",
        'from jobpipe.application import Jobpipe\n\njp = Jobpipe("sqlite:///own.db")\n\n\n'
        "@jp.task\ndef one() -> None: ...\n",
    )
    assert cli("enqueue", "--app", "own", "own.one").out == "1\n"
    assert (cli.folder / "own.db").exists()
    assert len(cli("job", "list", "--app", "own", "--json").json["items"]) == 1
    assert (
        cli("job", "list", "--app", "own", "--url", "sqlite:///x.db", "--json").json["items"] == []
    )
    assert cli("job", "list", "--app", "none", "--json").json["items"] == []


@pytest.mark.parametrize(
    "place, said",
    [
        ("nowhere:jp", "application 'nowhere:jp': there is no module 'nowhere', neither here nor"),
        ("app.below:jp", "there is no module 'app.below'"),
        ("app:nope", "app has no attribute 'nope'\nApplications in app: jp."),
        ("app:add", "application 'app:add' is no Jobpipe but of type Task"),
        ("two", "two holds several applications: one, two\nName one as two:attribute."),
        ("empty", "empty holds no application"),
        ("nowhere.py", "there is no Python file 'nowhere.py'"),
        ("not-a-name.py", "there is no Python file 'not-a-name.py'"),
        ("not a module", "application 'not a module' cannot be looked for"),
        ("raises", "importing raises failed: ValueError: at fault"),
        (
            "lacks",
            "importing lacks failed: ModuleNotFoundError: No module named 'thing_that_is_not'",
        ),
        ("leaves", "importing leaves failed: SystemExit: 3"),
        ("typo", "importing typo failed: SyntaxError: "),
        ("json.py", "another module named json comes first"),
    ],
)
def test_what_cannot_be_found_is_told_in_a_line(cli: Cli, place: str, said: str) -> None:
    write(cli, "two.py", TWO)
    write(cli, "empty.py", "")
    write(cli, "raises.py", "raise ValueError('first\\nat fault')\n")
    write(cli, "lacks.py", "import thing_that_is_not\n")
    write(cli, "leaves.py", "raise SystemExit(3)\n")
    write(cli, "typo.py", "def\n")
    write(cli, "json.py", TWO)
    ended = cli("task", "list", "--app", place)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err if place != "raises" else "at fault" in ended.err
    assert "Traceback" not in ended.err


def test_what_a_module_prints_does_not_mix_with_data(cli: Cli) -> None:
    write(cli, "loud.py", "print('hello')\nfrom app import jp\n")
    ended = cli("task", "list", "--app", "loud:jp", "--json")
    assert (ended.code, ended.err) == (0, "hello\n")
    assert len(ended.json["items"]) == 3


def test_debug_shows_where_an_import_failed(cli: Cli) -> None:
    write(cli, "raises.py", "raise ValueError('at fault')\n")
    ended = cli("task", "list", "--app", "raises", "--debug")
    assert ended.code == 2
    assert 'raises.py", line 1' in ended.err


@pytest.mark.parametrize("verb", [["enqueue", "x"], ["worker", "--burst"], ["task", "list"]])
def test_verbs_that_need_tasks_need_an_application(cli: Cli, verb: list[str]) -> None:
    ended = cli.outside(*verb, "--app", "none")
    assert ended.code == 2
    assert "no application is named" in ended.err


def test_a_worker_takes_one_application(cli: Cli) -> None:
    ended = cli("worker", "app:jp", "--app", "two:one")
    assert ended.code == 2
    assert "named twice" in ended.err
