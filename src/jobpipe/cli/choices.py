"""What the user chose before or after the verb, and the application that follows from it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from jobpipe.cli.output import Output

if TYPE_CHECKING:
    from jobpipe.application import Jobpipe


@dataclass
class Choices:
    """The global options and the settings given as flags; what stands later counts."""

    output: str = "text"
    colour: bool = True
    debug: bool = False
    app: str | None = None
    arguments: tuple[str, ...] = ()
    """All that was typed after the name of the program."""
    child_of: str | None = None
    """Set in a process that a supervisor started: how to reach it."""
    flags: dict[str, str] = field(default_factory=dict)
    """Settings by field name, as they were typed."""

    def out(self) -> Output:
        """Return the way to show things."""
        return Output(self.output, self.colour)

    def name_application(self, place: str | None) -> None:
        """Take the APP that stands after a verb; raises UsageError when --app names another."""
        if place is not None:
            if self.app not in (None, place):
                raise click.UsageError("The application is named twice: as APP and by --app.")
            self.app = place

    def application(self, *, tasks: bool = False, acts: bool = False) -> Jobpipe:
        """Return the application; it is closed when the verb has ended.

        An application that is named (``--app``, ``JOBPIPE_APP``) is loaded, since its store may
        be its own; without one the settings alone make an application, unless ``tasks`` are needed
        that no service knows. ``acts`` says that the verb changes something: the audit then names
        the user.
        """
        from jobpipe.application import Jobpipe
        from jobpipe.cli.locate import load_application
        from jobpipe.config.load import load_settings
        from jobpipe.errors import ConfigError
        from jobpipe.runtime.context import belonging
        from jobpipe.telemetry.log import set_up_logging

        settings = load_settings(self.flags)
        place = settings.app if self.app is None else self.app
        if place is None or place.strip().lower() in ("", "none"):
            given: dict[str, Any] = dict(self.flags)
            application = Jobpipe(**given)
            if tasks and not (application.is_service or len(application.registry)):
                raise ConfigError(
                    "no application is named, and only an application knows its tasks",
                    help="Name it: --app module:attribute, --app app.py, or JOBPIPE_APP; or"
                    " declare commands in jobpipe.toml.",
                )
        else:
            application = load_application(place).configured(**self.flags)
        settings = application.settings
        set_up_logging(
            settings.log_level,
            settings.log_format,
            belonging=belonging,
            job_level=settings.job_log_level,
        )
        context = click.get_current_context()
        if acts:
            _act(context)
        context.call_on_close(application.close)
        return application


def _act(context: click.Context) -> None:
    """Say who acts until the verb has ended."""
    from jobpipe.app.actor import acting
    from jobpipe.model.audit import Actor

    context.with_resource(acting(Actor(f"cli:{_login()}", "cli")))


def _login() -> str:
    """Return the name of the user who runs the program, or its number when it has none."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


pass_choices = click.make_pass_decorator(Choices, ensure=True)
