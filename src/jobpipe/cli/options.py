"""Options that several verbs share: the global ones, and one flag for each setting.

A global option may stand before or after the verb. A flag is made from the declaration of its
setting; its value is read and judged where all settings are, so that every source is refused alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

from jobpipe.cli import completing, times, types
from jobpipe.cli.choices import Choices

F = TypeVar("F", bound=Callable[..., Any])

STORE = ("pooler", "schema", "table_prefix", "log_level", "log_format")
"""Settings of every verb that uses the store; its URL is a global option."""

URL_HELP = (
    "The store: sqlite:///jobs.db or postgresql://user:password@host/db; or a service:"
    " https://host, with its token in JOBPIPE_TOKEN (a flag would show it to every user of this"
    " machine). [JOBPIPE_URL]"
)
APP_HELP = "The application: module:attribute or app.py. [JOBPIPE_APP]"


def _choose(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Remember a global option for the verb that will run, or for what completes its words."""
    if value is not None:
        name = "output" if parameter.name == "json" else str(parameter.name)
        choices = context.ensure_object(Choices)
        if name == "url":
            choices.flags[name] = value
        else:
            setattr(choices, name, value)


def keep_child_of(context: click.Context, _: click.Parameter, value: str | None) -> None:
    """Remember that a supervisor started this process."""
    if value is not None and not context.resilient_parsing:
        context.ensure_object(Choices).child_of = value


def _version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from jobpipe import __version__

        click.echo(f"jobpipe {__version__}")
        context.exit()


def global_options() -> list[click.Parameter]:
    """Return the options that every verb takes."""
    shared: dict[str, Any] = {"expose_value": False, "default": None, "callback": _choose}
    return [
        click.Option(["--url"], metavar="URL", help=URL_HELP, **shared),
        click.Option(["--app"], metavar="APP", help=APP_HELP, **shared),
        click.Option(
            ["-o", "--output"],
            type=click.Choice(["text", "json", "jsonl"]),
            help="How data is written: for people, as one JSON text, or one object a line.",
            **shared,
        ),
        click.Option(["--json"], flag_value="json", is_flag=True, help="As -o json.", **shared),
        click.Option(
            ["--no-color", "colour"],
            flag_value=False,
            is_flag=True,
            help="No colour; NO_COLOR and FORCE_COLOR are obeyed too.",
            **shared,
        ),
        click.Option(
            ["--debug"], flag_value=True, is_flag=True, help="Show tracebacks of errors.", **shared
        ),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="Show the version and exit.",
        ),
    ]


class GlobalOptions(click.Command):
    """A command that takes the global options beside its own."""

    full_help = False
    """Whether the help explains the global options, or only names them."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the own parameters, then the global ones."""
        own = super().get_params(ctx)
        if not hasattr(self, "_global"):
            self._global = global_options()
        return [*own[:-1], *self._global, *own[-1:]]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write own options, settings and global options under headings of their own."""
        own = [each for each in self.params if not isinstance(each, SettingOption)]
        settings = [each for each in self.params if isinstance(each, SettingOption)]
        help_option = self.get_help_option(ctx)
        _section(ctx, formatter, "Options", [*own, *([help_option] if help_option else [])])
        _section(ctx, formatter, "Settings", settings)
        if self.full_help:
            _section(ctx, formatter, "Global options, before or after the verb", self._global)
        else:
            with formatter.section("Global options"):
                formatter.write_text(
                    "--url, --app, -o text|json|jsonl, --json, --no-color, --debug, --version;"
                    " see `jobpipe --help`."
                )
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)


def end_options(function: F) -> F:
    """Give a verb the two ways to say when a pause ends by itself."""
    for names, read, metavar, meaning in (
        (("--until",), types.moment, "TIME", "a time in ISO 8601 with its zone"),
        (("--for", "span"), types.span, "SPAN", "so long from now (`2h`, `1h30m`)"),
    ):
        text = f"End it by itself: {meaning}.".replace("`", "")
        function = click.option(*names, metavar=metavar, type=read, help=text)(function)
    return function


def end_of(until: datetime | None, span: timedelta | None) -> datetime | None:
    """Return when a pause ends, from the two options."""
    if until is not None and span is not None:
        raise click.UsageError("--until and --for are two ways to say one thing: give one")
    return times.from_now(span) if span is not None else until


def _section(
    ctx: click.Context,
    formatter: click.HelpFormatter,
    title: str,
    parameters: Sequence[click.Parameter],
) -> None:
    rows = [row for each in parameters if (row := each.get_help_record(ctx)) is not None]
    if rows:
        with formatter.section(title):
            formatter.write_dl(rows)


class SettingOption(click.Option):
    """The flag of one setting."""


class Verb(GlobalOptions):
    """A command that does something."""


class Noun(GlobalOptions, click.Group):
    """A group of verbs for one kind of object."""

    command_class = Verb

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of the verbs in the order of their declaration."""
        return list(self.commands)


def setting_flags(*fields: str, short: Sequence[tuple[str, str]] = ()) -> Callable[[F], F]:
    """Give a verb the flags of these settings; ``short`` are pairs of field and short flag."""
    from jobpipe.config.declared import SETTINGS

    def decorate(function: F) -> F:
        letters = dict(short)
        for setting in reversed([each for each in SETTINGS if each.field in fields]):
            flag = "--" + setting.key.replace("_", "-")
            names = [letters[setting.field], flag] if setting.field in letters else [flag]
            default = f", default {setting.default}" if setting.default else ""
            function = click.option(
                *names,
                f"setting_{setting.field}",
                cls=SettingOption,
                metavar="VALUE",
                default=None,
                expose_value=False,
                callback=_keep_setting,
                shell_complete=completing.queue_list if setting.field == "queues" else None,
                help=f"{setting.doc} [{setting.env}{default}]".replace("`", ""),
            )(function)
        return function

    return decorate


def _keep_setting(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None:
        field = str(parameter.name).removeprefix("setting_")
        context.ensure_object(Choices).flags[field] = value
