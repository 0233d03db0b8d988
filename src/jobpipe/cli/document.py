"""The reference of the command line in Markdown, made from the commands themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence

import click

from jobpipe.cli import exits
from jobpipe.cli.options import STORE, SettingOption, global_options
from jobpipe.cli.root import PROGRAM, jobpipe


def reference() -> str:
    """Return the page's generated part: global options, exit codes, every verb."""
    parts = ["## Global options\n\nThey may stand before or after the verb.\n"]
    parts.append(_table(global_options()))
    parts.append("## Exit codes\n\n| code | meaning |\n|---|---|\n" + _codes())
    with click.Context(jobpipe, info_name=PROGRAM, **jobpipe.context_settings) as context:
        parts += [_verb(inner) for inner in _leaves(context)]
    return "\n".join(parts)


def _codes() -> str:
    return "".join(f"| {code} | {meaning} |\n" for code, meaning in exits.MEANINGS.items())


def _leaves(context: click.Context) -> Iterator[click.Context]:
    """Yield a context for each command that is no group, in the order of the help."""
    group = context.command
    if not isinstance(group, click.Group):
        yield context
        return
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            yield from _leaves(click.Context(command, info_name=name, parent=context))


def _verb(context: click.Context) -> str:
    command = context.command
    pieces = " ".join(command.collect_usage_pieces(context))
    parts = [f"## {context.command_path}\n\n`{context.command_path} {pieces}`\n"]
    parts.append(inspect.cleandoc(command.help or "") + "\n")
    options = [each for each in command.params if isinstance(each, click.Option)]
    own = [each for each in options if not isinstance(each, SettingOption)]
    settings = [each for each in options if isinstance(each, SettingOption)]
    if own:
        parts.append(_table(own))
    if settings:
        parts.append(_settings(settings))
    if command.epilog:
        lines = inspect.cleandoc(command.epilog).splitlines()
        text = "\n".join(line for line in lines if line != "\b")  # click's "keep these lines"
        parts.append(f"```text\n{text}\n```\n")
    return "\n".join(parts)


def _table(parameters: Sequence[click.Parameter]) -> str:
    rows = [
        (_names(option), (option.help or "").replace("|", "\\|"))
        for option in parameters
        if isinstance(option, click.Option)
    ]
    lines = ["| option | meaning |", "|---|---|", *(f"| {name} | {help} |" for name, help in rows)]
    return "\n".join(lines) + "\n"


def _names(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    if option.is_flag:
        return names
    if isinstance(option.type, click.Choice) and option.metavar is None:
        return f"{names} `{'`, `'.join(map(str, option.type.choices))}`"
    return f"{names} {option.metavar or ''}".rstrip()


def _settings(settings: Sequence[click.Option]) -> str:
    # Long flags only: what each means stands in docs/settings.md, once.
    flags = ", ".join(", ".join(f"`{name}`" for name in each.opts) for each in settings)
    names = {str(each.name).removeprefix("setting_") for each in settings}
    is_of_store = names.issuperset(STORE) and len(names) <= len(STORE) + 2
    beside = " of the store" if is_of_store else ""
    return f"Flags of [settings](settings.md){beside}: {flags}.\n"
