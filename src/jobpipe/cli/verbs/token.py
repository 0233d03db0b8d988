"""``jobpipe token``: who may call the HTTP service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli import exits
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.main import tell_error
from jobpipe.cli.options import Noun, setting_flags
from jobpipe.cli.output import Column
from jobpipe.errors import ConfigError, JobpipeError
from jobpipe.model.role import Role
from jobpipe.telemetry.escape import escape

if TYPE_CHECKING:
    from jobpipe.config.tokens import TokenEntry

COLUMNS: list[Column[TokenEntry]] = [
    Column("NAME", lambda entry: entry.name),
    Column("ROLE", lambda entry: str(entry.role)),
]


@click.group(cls=Noun)
def token(**_: Any) -> None:
    """Make, list and revoke tokens of the HTTP service (JOBPIPE_TOKENS_FILE)."""


@token.command("create", epilog="Example: jobpipe token create ci --role producer")
@click.argument("name")
@click.option(
    "--role",
    required=True,
    type=click.Choice([str(role) for role in Role]),
    help="What it allows: viewer reads; producer also enqueues; worker claims and finishes;"
    " operator also cancels, re-runs and pauses; admin everything.",
)
@setting_flags("tokens_file")
@pass_choices
def create_token(choices: Choices, name: str, role: str) -> None:
    """Make a token and write it once; the file keeps only its hash.

    Running services know it within a second.
    """
    from jobpipe.config.tokens_file import create

    made = create(_file(choices), name, Role(role))
    out = choices.out()
    if out.is_text:
        out.line(made)
    else:
        out.json({"name": name, "role": role, "token": made})


@token.command("list")
@setting_flags("tokens_file")
@pass_choices
def list_tokens(choices: Choices) -> None:
    """List the names and roles in the file."""
    from jobpipe.config.tokens_file import entries

    found = entries(_file(choices))
    out = choices.out()
    items = [{"name": entry.name, "role": str(entry.role)} for entry in found]
    if out.form == "text":
        out.listing(COLUMNS, found, empty="No tokens.")
    else:
        out.listing([], items)


@token.command("revoke")
@click.argument("name")
@setting_flags("tokens_file")
@pass_choices
def revoke_token(choices: Choices, name: str) -> int:
    """Take a token back; running services refuse it within a second."""
    from jobpipe.config.tokens_file import revoke

    file = _file(choices)
    if not revoke(file, name):
        tell_error(
            JobpipeError(
                f"{file} holds no token named {escape(name)!r}",
                help="`jobpipe token list` shows those it holds.",
            )
        )
        return exits.NOT_FOUND
    out = choices.out()
    if out.is_text:
        out.line(f"{name}  revoked")
    else:
        out.json({"name": name, "revoked": True})
    return exits.OK


def _file(choices: Choices) -> Path:
    from jobpipe.config.load import load_settings

    path = load_settings(choices.flags).tokens_file
    if path is None:
        raise ConfigError(
            "no file of tokens is named",
            help="Name it: --tokens-file PATH, or JOBPIPE_TOKENS_FILE for `jobpipe serve` too.",
        )
    return Path(path)
