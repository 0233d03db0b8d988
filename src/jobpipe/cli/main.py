"""Runs the command line: whatever happens becomes a clear line and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

import click

from jobpipe.cli import exits
from jobpipe.cli.choices import Choices
from jobpipe.cli.root import PROGRAM, jobpipe
from jobpipe.config.completion import asked_for_completion
from jobpipe.errors import InvalidArguments, JobpipeError
from jobpipe.telemetry.escape import escape, escape_block

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What writing to standard output may meet; errors of the store are not told like this."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a narrow locale must not break a listing
            stream.reconfigure(errors="backslashreplace")
    if asked := asked_for_completion():
        from jobpipe.cli.completing import answer

        sys.exit(_flushed(answer(jobpipe, PROGRAM, asked)))
    code = run(sys.argv[1:] if arguments is None else arguments)
    sys.exit(_flushed(code))


def _flushed(code: int) -> int:
    """Write out what waits in standard output; return the exit code that then holds."""
    if sys.stdout is None:  # closed by whoever started us
        return code
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = exits.PIPE_CLOSED
    except OSError as error:
        if code == exits.OK:
            click.echo(f"Error: standard output cannot be written: {error.strerror}", err=True)
        code = code or exits.FAILED
    else:
        if code != exits.PIPE_CLOSED:
            return code
    # The interpreter flushes once more at its end, and must find somebody who listens.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    try:
        choices = Choices(arguments=tuple(arguments))
        with jobpipe.make_context(PROGRAM, list(arguments), obj=choices) as context:
            returned = jobpipe.invoke(context)
            return returned if isinstance(returned, int) else exits.OK
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        return exits.INTERRUPTED
    except BrokenPipeError:
        return exits.PIPE_CLOSED
    except JobpipeError as error:
        _tell(error, "--debug" in arguments)
        return exits.exit_code(error)
    except Exception as error:
        _tell(error, "--debug" in arguments)
        return exits.FAILED


def _tell(error: Exception, debug: bool) -> None:
    if debug:
        import traceback

        click.echo("\n".join(escape_block("".join(traceback.format_exception(error)))), err=True)
    if isinstance(error, JobpipeError):
        tell_error(error)
    else:
        what = escape(f"{type(error).__qualname__}: {error}")
        if isinstance(error, OSError) and error.errno in NO_ROOM and error.filename is None:
            what = f"the output cannot be written: {error.strerror}"
        click.echo(f"Error: {what}", err=True)
        if not debug and not isinstance(error, OSError):
            click.echo("This is not meant to happen; --debug shows where it did.", err=True)


def tell_error(error: JobpipeError) -> None:
    """Write an error and what to do about it to standard error."""
    click.echo("Error: " + "\n  ".join(escape_block(str(error))), err=True)
    if isinstance(error, InvalidArguments) and error.place is not None:
        text, at = error.place
        click.echo(f"  {escape(text)}\n  {' ' * len(escape(text[:at]))}^", err=True)
    if error.help and error.help != str(error):
        click.echo("\n".join(escape_block(error.help)), err=True)
