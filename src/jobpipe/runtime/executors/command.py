"""Runs a command: a program in a group of its own, whose output becomes the log of its job.

A helper of ours stands between (``confine``): it sets the limits, sees to it that the program does
not outlive this process, and becomes the program.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import IO, Any

from jobpipe.config.environment import command_environment
from jobpipe.errors import CommandFailed
from jobpipe.model.signals import Fail
from jobpipe.runtime.context import current_job
from jobpipe.runtime.executors import confine
from jobpipe.runtime.executors.group import Exit, Group
from jobpipe.runtime.executors.output import Output
from jobpipe.tasks.command import Command, CommandResult

KEPT_BYTES = 16 * 1024
"""How much of the end of its output the result keeps."""


async def run_command(command: Command, **values: Any) -> CommandResult:
    """Return what the command came to; raises CommandFailed, and Fail where it cannot be run.

    Cancelled, it ends the whole group before it goes on.
    """
    arguments = command.arguments(values)
    environment = {**command_environment(), **command.env}
    arguments[0] = _find(arguments[0], command, environment)
    speech = current_job().speech
    with closing(Output(KEPT_BYTES)) as out, closing(Output(KEPT_BYTES)) as err:
        out.begin(lambda line: speech.line(logging.INFO, "stdout", line))
        err.begin(lambda line: speech.line(logging.WARNING, "stderr", line))
        with _stdin(command, values) as stdin:
            group = Group(
                [*_confined(command), *arguments],
                environment=environment,
                stdin=stdin.fileno(),
                output=(out.write, err.write),
                cwd=command.cwd,
            )
        out.close_write()
        err.close_write()
        end = await _ended(group)
        out.end()
        err.end()
        return _result(command, arguments[0], end, out.tail, err.tail)


async def _ended(group: Group) -> Exit:
    try:
        await asyncio.wait([group.ended])
    except asyncio.CancelledError:
        ending = asyncio.create_task(group.end())
        while not ending.done():
            try:
                await asyncio.wait([ending])
            except asyncio.CancelledError:  # it is urgent now
                group.kill()
        raise
    return group.ended.result()


def _result(command: Command, program: str, end: Exit, out: str, err: str) -> CommandResult:
    if end.code in command.ok_codes:
        return CommandResult(exit_code=end.code or 0, stdout=out, stderr=err)
    if end.code == confine.CANNOT_RUN and err.startswith(f"cannot run {program}:"):
        raise Fail(err.strip())
    failed = CommandFailed(str(end))
    if err.strip():
        failed.add_note(f"\nIt wrote last:\n{err}")
    raise failed


def _confined(command: Command) -> list[str]:
    limits = command.limits
    memory, cpu, files = (
        (limits.memory_bytes, limits.cpu_seconds, limits.open_files) if limits else (0, 0, 0)
    )
    bounds = [str(os.getpid()), str(memory or 0), str(cpu or 0), str(files or 0)]
    # Without site packages and the user's environment the helper starts quickly and as it is.
    return [sys.executable, "-I", "-S", confine.__file__, *bounds]


def _find(program: str, command: Command, environment: dict[str, str]) -> str:
    """Return the program's path; raises Fail, since another attempt would not find it either."""
    if command.cwd is not None and not Path(command.cwd).is_dir():
        raise Fail(f"there is no directory {command.cwd!r} to run the command in")
    if os.sep in program and command.cwd is not None:
        program = str(Path(command.cwd, program))
    found = shutil.which(program, path=environment.get("PATH", os.defpath))
    if found is None:
        raise Fail(f"there is no program {program!r} on this worker that may be run")
    return found


def _stdin(command: Command, values: dict[str, Any]) -> IO[bytes]:
    """Return what the command reads: a file, since a pipe would have to be filled beside it."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  # whoever asks for it closes it
    if command.stdin is not None:
        file.write(str(values[command.stdin]).encode())
    file.seek(0)
    return file
