"""``jobpipe config``: the settings that count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import Noun, setting_flags
from jobpipe.cli.output import Column
from jobpipe.config.calling import CALLING
from jobpipe.config.declared import SETTINGS
from jobpipe.config.serving import SERVING

if TYPE_CHECKING:
    from jobpipe.config.document import SettingRow

WITHOUT_FLAG = ("url", "app", "failpoints", "token", "tokens")
"""The URL and the application are global options; whoever lists processes sees their flags."""

ALL = tuple(each.field for each in SETTINGS if each.field not in WITHOUT_FLAG)
"""Every setting that has a flag of its own."""

WORKER = tuple(field for field in ALL if field not in {each.field for each in (*CALLING, *SERVING)})
"""The settings of a worker."""


@click.group(cls=Noun)
def config(**_: Any) -> None:
    """Look at the settings."""


@config.command("show", epilog="Example: JOBPIPE_CONCURRENCY=20 jobpipe config show --origin")
@click.option("--origin", is_flag=True, help="Tell where each value comes from.")
@setting_flags(*ALL)
@pass_choices
def show(choices: Choices, origin: bool) -> None:
    """Show the value of each setting, with passwords hidden.

    With --app or JOBPIPE_APP these are the settings of that application, what it sets itself
    included.
    """
    from jobpipe.config.document import describe

    rows = describe(choices.application().effective)
    columns: list[Column[SettingRow]] = [
        Column("SETTING", lambda row: row.env),
        Column("VALUE", lambda row: row.value),
    ]
    if origin:
        columns.append(Column("ORIGIN", lambda row: row.origin))
    choices.out().listing(columns, rows)
