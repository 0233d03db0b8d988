"""The command ``jobpipe`` itself: its verbs by name, each loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from jobpipe.cli.options import GlobalOptions, keep_child_of

PROGRAM = "jobpipe"

VERBS = {
    "init": "jobpipe.cli.verbs.init:init",
    "dev": "jobpipe.cli.verbs.serve:dev",
    "serve": "jobpipe.cli.verbs.serve:serve",
    "worker": "jobpipe.cli.verbs.worker:worker",
    "enqueue": "jobpipe.cli.verbs.enqueue:enqueue",
    "job": "jobpipe.cli.verbs.job:job",
    "flow": "jobpipe.cli.verbs.flow:flow",
    "operation": "jobpipe.cli.verbs.operation:operation",
    "queue": "jobpipe.cli.verbs.queue:queue",
    "tenant": "jobpipe.cli.verbs.tenant:tenant",
    "task": "jobpipe.cli.verbs.task:task",
    "gate": "jobpipe.cli.verbs.gate:gate",
    "worker-list": "jobpipe.cli.verbs.worker:worker_list",
    "token": "jobpipe.cli.verbs.token:token",
    "db": "jobpipe.cli.verbs.db:db",
    "config": "jobpipe.cli.verbs.config:config",
    "health": "jobpipe.cli.verbs.health:health",
    "top": "jobpipe.cli.verbs.top:top",
    "check": "jobpipe.cli.verbs.check:check",
    "doctor": "jobpipe.cli.verbs.doctor:doctor",
    "bench": "jobpipe.cli.verbs.bench:bench",
    "completion": "jobpipe.cli.verbs.completion:completion",
}


class Root(GlobalOptions, click.Group):
    """The group of all verbs."""

    full_help = True

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of the verbs, those of daily work first."""
        return list(VERBS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        """Load a verb."""
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; a misspelt one is told the nearest."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], VERBS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


@click.group(
    cls=Root,
    invoke_without_command=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
    Examples:
      jobpipe worker app:jp                          run the jobs of the application in app.py
      jobpipe enqueue --app app:jp app.add a=1 b=2   ask for a job, wait with --wait
      jobpipe job list -s failed                     the newest failed jobs
      jobpipe job show 42                            one job with its attempts
      jobpipe --url postgresql://me@db/jobs health   another store than that of the settings

    \b
    Each setting may also be given as a JOBPIPE_* variable or in jobpipe.toml;
    `jobpipe config show --origin` tells which value counts and where it comes from.
    """,
)
@click.option("--child-of", hidden=True, expose_value=False, callback=keep_child_of)
def jobpipe(**_: Any) -> None:
    """Background jobs that are never lost, on SQLite or PostgreSQL."""
