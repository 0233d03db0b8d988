"""The exit codes: one table from the codes of errors; the rest by name."""

from __future__ import annotations

import signal

import click

from jobpipe import errors

OK = 0
FAILED = 1
USAGE = 2
UNHEALTHY = 3
NOT_FOUND = 4
CONFLICT = 5
JOB_FAILED = 10
JOB_CANCELLED = 11
WAIT_TIMED_OUT = 12
UNREACHABLE = 75
NOT_ALLOWED = 77
INTERRUPTED = 130
"""128 + SIGINT."""
PIPE_CLOSED = 141
"""128 + SIGPIPE."""

BY_CODE: dict[str, int] = {
    errors.JobpipeError.code: FAILED,
    errors.ConfigError.code: USAGE,
    errors.InvalidArguments.code: USAGE,
    errors.PayloadTooLarge.code: USAGE,
    errors.UnknownTask.code: NOT_FOUND,
    errors.JobNotFound.code: NOT_FOUND,
    errors.OperationNotFound.code: NOT_FOUND,
    errors.FlowNotFound.code: NOT_FOUND,
    errors.QueueFull.code: CONFLICT,
    errors.DuplicateKey.code: CONFLICT,
    errors.InvalidTransition.code: CONFLICT,
    errors.PreconditionFailed.code: CONFLICT,
    errors.LeaseLost.code: CONFLICT,
    errors.JobFailed.code: JOB_FAILED,
    errors.JobCancelled.code: JOB_CANCELLED,
    errors.WaitTimeout.code: WAIT_TIMED_OUT,
    errors.Unauthorized.code: NOT_ALLOWED,
    errors.Forbidden.code: NOT_ALLOWED,
    errors.ProcessDied.code: FAILED,
    errors.CommandFailed.code: FAILED,
    errors.StoreUnavailable.code: UNREACHABLE,
}

MEANINGS: dict[int, str] = {
    OK: "done",
    FAILED: "failed",
    USAGE: "usage: a wrong option, argument or setting",
    UNHEALTHY: "unhealthy (`health`, `doctor`, `db check`)",
    NOT_FOUND: "no such job or task",
    CONFLICT: "conflict: the job's state forbids it, the key is taken, the queue is full,"
    " or files of `init` are there",
    JOB_FAILED: "the job failed (`enqueue --wait`, `job watch`, `job logs -f`)",
    JOB_CANCELLED: "the job was cancelled (`enqueue --wait`, `job watch`, `job logs -f`)",
    WAIT_TIMED_OUT: "the wait timed out (`enqueue --wait`)",
    UNREACHABLE: "the store or the service cannot be reached",
    NOT_ALLOWED: "the service does not know the token, or its role may not do this",
    INTERRUPTED: "interrupted by Ctrl-C (128 + n for signal n)",
}


def exit_code(error: errors.JobpipeError) -> int:
    """Return the exit code for an error."""
    return BY_CODE.get(error.code, FAILED)


def leave_on_sigterm() -> None:
    """Let SIGTERM unwind the program, so that what was made for a while is undone."""
    signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, _frame: object) -> None:
    raise click.exceptions.Exit(128 + number)
