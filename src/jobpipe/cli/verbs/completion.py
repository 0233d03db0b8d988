"""``jobpipe completion``: the script that teaches a shell to complete our words."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

from jobpipe.cli.choices import Choices, pass_choices
from jobpipe.cli.options import Verb
from jobpipe.config.completion import VARIABLE


@click.command(
    cls=Verb,
    epilog="""\b
    Examples:
      eval "$(jobpipe completion bash)"      in ~/.bashrc
      eval "$(jobpipe completion zsh)"       in ~/.zshrc
      jobpipe completion fish > ~/.config/fish/completions/jobpipe.fish
    """,
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@pass_choices
def completion(choices: Choices, shell: str) -> None:
    """Print what makes a shell complete verbs, options, tasks, queues and ids of jobs.

    Names come from the application (JOBPIPE_APP, --app) and from the store; when these do not
    answer at once, nothing is offered.
    """
    from jobpipe.cli.root import PROGRAM, jobpipe

    kind = get_completion_class(shell)
    assert kind is not None
    # Not the class's own way, which looks for the shell first and may warn that it is not here.
    script = ShellComplete.source(kind(jobpipe, {}, PROGRAM, VARIABLE))
    out = choices.out()
    if out.is_text:
        click.echo(script)
    else:
        out.json({"shell": shell, "script": script})
