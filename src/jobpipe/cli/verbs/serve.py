"""``jobpipe serve`` runs the HTTP service; ``jobpipe dev`` begins it anew on every change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import Verb, setting_flags
from jobpipe.cli.verbs.config import ALL
from jobpipe.errors import ConfigError

LINKS = ("/", "/api/docs", "/metrics", "/api/v1/jobs")
"""What ``dev`` points at."""
SHORT = [("queues", "-q"), ("concurrency", "-c")]


@click.command(
    cls=Verb,
    epilog="""\b
    Examples:
      jobpipe serve                        calls about jobs, at http://127.0.0.1:8000
      jobpipe serve app:jp --worker        run the jobs in this process too
      jobpipe serve app:jp --host 0.0.0.0 --tokens-file /etc/jobpipe/tokens

    \b
    SIGTERM or Ctrl-C refuses new work, answers what has been asked, lets running jobs end within
    the grace (--shutdown-seconds), and exits 0; a second one stops at once.
    """,
)
@click.argument("place", metavar="[APP]", required=False)
@click.option("--worker", is_flag=True, help="Run jobs in this process too.")
@setting_flags(*ALL, short=SHORT)
@pass_choices
def serve(choices: Choices, place: str | None, worker: bool) -> int:
    """Serve the HTTP API, its documentation and metrics until stopped.

    APP is module:attribute, or a path such as app.py; without it only the commands of jobpipe.toml
    can be enqueued by name. Writes the URL when it listens. Without tokens only this machine is
    served.
    """
    choices.name_application(place)
    return _serve(choices, worker=worker, links=())


@click.command(
    cls=Verb,
    epilog="""\b
    Examples:
      jobpipe dev app.py
      jobpipe dev app:jp --port 9000
    """,
)
@click.argument("place", metavar="[APP]", required=False)
@setting_flags(*ALL, short=SHORT)
@pass_choices
def dev(choices: Choices, place: str | None) -> int:
    """Serve the HTTP API and run jobs in one process, anew whenever a file changes.

    Watches .py and .toml files below the application's folder. Running jobs end first. A file that
    cannot be loaded is told, and the next change is waited for.
    """
    choices.name_application(place)
    if choices.child_of is not None:
        from jobpipe.runtime.executors.confine import die_with

        die_with(int(choices.child_of))
        return _serve(choices, worker=True, links=LINKS)
    from jobpipe.config.load import load_settings

    settings = load_settings(choices.flags)
    with needing_the_extra():
        from jobpipe.http.reloading import Reloading
        from jobpipe.http.server import listening
    listening(settings.host, settings.port).close()  # a taken port is told before anything begins
    return Reloading(choices.arguments, _folder(settings.app if place is None else place)).run()


def _serve(choices: Choices, *, worker: bool, links: tuple[str, ...]) -> int:
    application = choices.application()
    with needing_the_extra():
        from jobpipe.http.server import serve as run

    out = choices.out()

    def greet(url: str) -> None:
        if not out.is_text:
            out.json({"url": url})
            return
        out.line(f"Jobpipe serves {url}")
        for link in links:
            out.line(f"  {url}{link}")

    return run(application, worker=worker, greet=greet)


def _folder(place: str | None) -> Path:
    """Return the folder of the application's file, or this one."""
    file = Path((place or "").partition(":")[0])
    return file.resolve().parent if file.suffix == ".py" else Path.cwd()


@contextmanager
def needing_the_extra() -> Iterator[None]:
    """Tell how to install what an import misses."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("jobpipe"):
            raise
        raise ConfigError(
            f"the HTTP service needs {error.name}, which is not installed",
            help='Install it: pip install "jobpipe[server]"',
        ) from error
