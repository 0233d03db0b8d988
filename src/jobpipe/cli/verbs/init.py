"""``jobpipe init``: a small project that runs."""

from __future__ import annotations

import shlex
from importlib.resources import files
from pathlib import Path

import click

from jobpipe.cli import exits
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.main import tell_error
from jobpipe.cli.options import Verb
from jobpipe.cli.output import Output
from jobpipe.errors import JobpipeError
from jobpipe.telemetry.escape import escape

FILES = ("app.py", "jobpipe.toml", "tests/test_app.py", "README.md")


@click.command(cls=Verb, epilog="Example: jobpipe init shop && cd shop && python app.py")
@click.argument(
    "folder", metavar="[FOLDER]", default=".", type=click.Path(file_okay=False, path_type=Path)
)
@pass_choices
def init(choices: Choices, folder: Path) -> int:
    """Write a small project: tasks, settings, a test, and how to run them.

    FOLDER is made when it is missing; without it the project is written here. Nothing is ever
    overwritten: if one of the files is there, none is written (exit 5).
    """
    there = [name for name in FILES if (folder / name).exists()]
    if there:
        tell_error(
            JobpipeError(
                f"{', '.join(there)} already in {folder}; nothing was written",
                help="Name another folder: jobpipe init FOLDER",
            )
        )
        return exits.CONFLICT
    for name in FILES:
        _write(folder / name, name)
    _show(choices.out(), folder)
    return exits.OK


def _write(target: Path, name: str) -> None:
    text = files("jobpipe.cli").joinpath("starter", f"{name}.txt").read_text(encoding="utf-8")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8") as file:  # one that has just appeared is kept too
            file.write(text)
    except OSError as error:
        raise JobpipeError(
            f"{target} cannot be written: {error.strerror}",
            help="Name a folder that you may write to: jobpipe init FOLDER",
        ) from error


def _show(out: Output, folder: Path) -> None:
    if not out.is_text:
        out.json({"folder": str(folder), "files": list(FILES)})
        return
    for name in FILES:
        out.line(f"wrote {folder / name}")
    steps = ["python app.py", "jobpipe worker --burst", "python -m pytest"]
    if folder != Path():
        steps.insert(0, f"cd {shlex.quote(str(folder))}")
    click.echo("Now:\n  " + "\n  ".join(escape(step) for step in steps), err=True)
