"""``jobpipe health``: one question to the store, for probes."""

from __future__ import annotations

import click

from jobpipe.cli import exits
from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.main import tell_error
from jobpipe.cli.options import STORE, Verb, setting_flags
from jobpipe.errors import ConfigError


@click.command(cls=Verb)
@setting_flags(*STORE)
@pass_choices
def health(choices: Choices) -> int:
    """Ask the store whether it answers; silent on success, but for a terminal.

    Exit 0 when it does, 3 when it answers but cannot be used (of a newer schema, of the wrong
    kind), 75 when it cannot be reached.
    """
    from jobpipe.app.views import health_view
    from jobpipe.config.mask import mask_url

    application = choices.application()
    try:
        clock = application.health()
    except ConfigError as error:
        tell_error(error)
        return exits.UNHEALTHY
    store = mask_url(application.settings.url)
    out = choices.out()
    if not out.is_text:
        out.json(health_view(store, clock))
    elif out.on_terminal:
        out.line(f"ok  {store}")
    return exits.OK
