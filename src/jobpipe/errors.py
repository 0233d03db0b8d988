"""Every error Jobpipe raises on purpose.

    JobpipeError
    ├── ConfigError            a setting or a wiring is wrong            config_error
    ├── InvalidArguments       also a TypeError                          invalid_arguments
    ├── UnknownTask            also a LookupError                        unknown_task
    ├── PayloadTooLarge        also a ValueError                         payload_too_large
    ├── QueueFull              the queue's bound is reached              queue_full
    ├── DuplicateKey           the key names another request             duplicate_key
    ├── JobNotFound            also a LookupError                        job_not_found
    ├── OperationNotFound      also a LookupError                        operation_not_found
    ├── FlowNotFound           also a LookupError                        flow_not_found
    ├── InvalidTransition      the job's state forbids it                invalid_transition
    ├── PreconditionFailed     the job is no longer the one looked at    precondition_failed
    ├── JobFailed              raised by ``job.result()``                job_failed
    ├── JobCancelled           raised by ``job.result()``                job_cancelled
    ├── WaitTimeout            also a TimeoutError                       wait_timeout
    ├── ProcessDied            a job's own process ended before the job  process_died
    ├── CommandFailed          a command's exit code says so             command_failed
    ├── LeaseLost              this attempt is no longer the current one lease_lost
    ├── Unauthorized           the service does not know the token       unauthorized
    ├── Forbidden              the token's role may not do this          forbidden
    └── StoreUnavailable       the store cannot be reached or written    store_unavailable

``code`` is stable across Python, HTTP, the command line and logs. ``help`` says what to do
about it: the first paragraph of the class's docstring, unless the place that raises knows better.
"""

from __future__ import annotations

import inspect
from typing import ClassVar


class JobpipeError(Exception):
    """Something went wrong in Jobpipe."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str = "", *, help: str | None = None) -> None:
        first_paragraph = (inspect.getdoc(type(self)) or "").split("\n\n", maxsplit=1)[0]
        self.help: str = help or " ".join(first_paragraph.split())
        super().__init__(message or self.help)


class ConfigError(JobpipeError):
    """Correct the setting that the message names, then start again."""

    code = "config_error"


class InvalidArguments(JobpipeError, TypeError):
    """Call the task with arguments that fit its signature and survive JSON."""

    code = "invalid_arguments"
    place: tuple[str, int] | None = None
    """A text that was read, and how many of its characters stand before the wrong one."""


class UnknownTask(JobpipeError, LookupError):
    """Name a task that the application declares; `jobpipe task list` shows them."""

    code = "unknown_task"


class PayloadTooLarge(JobpipeError, ValueError):
    """Store the bytes elsewhere and pass a reference, or raise JOBPIPE_MAX_PAYLOAD."""

    code = "payload_too_large"


class QueueFull(JobpipeError):
    """Try again later, add workers, or raise the bound (`queue limit`, JOBPIPE_MAX_QUEUED)."""

    code = "queue_full"


class DuplicateKey(JobpipeError):
    """Use a new idempotency key: this one belongs to a request with another task or arguments."""

    code = "duplicate_key"


class JobNotFound(JobpipeError, LookupError):
    """Check the id; a finished job is pruned when its retention (JOBPIPE_RETENTION) has passed."""

    code = "job_not_found"


class OperationNotFound(JobpipeError, LookupError):
    """Check the id; `jobpipe operation list` shows them for 90 days after their end."""

    code = "operation_not_found"


class FlowNotFound(JobpipeError, LookupError):
    """Check the id; a finished flow is pruned with the last of its jobs."""

    code = "flow_not_found"


class InvalidTransition(JobpipeError):
    """Look at the job's state first: it does not allow this."""

    code = "invalid_transition"


class PreconditionFailed(JobpipeError):
    """Somebody changed the job since you looked at it: look again, then decide anew."""

    code = "precondition_failed"


class JobFailed(JobpipeError):
    """Read the job's error and its attempts (`jobpipe job show ID`), mend the cause, re-run it."""

    code = "job_failed"


class JobCancelled(JobpipeError):
    """The job was cancelled; re-run it if it is wanted after all."""

    code = "job_cancelled"


class WaitTimeout(JobpipeError, TimeoutError):
    """Wait longer, or look whether a worker takes the job's queue."""

    code = "wait_timeout"


class ProcessDied(JobpipeError):
    """Look at how it died and what it wrote last; the attempt counts like any failed one."""

    code = "process_died"


class CommandFailed(JobpipeError):
    """Look at what the command wrote to its standard error, and run it by hand."""

    code = "command_failed"


class LeaseLost(JobpipeError):
    """Stop working on this job: another attempt has it, or may have it, by now."""

    code = "lease_lost"


class Unauthorized(JobpipeError):
    """Set JOBPIPE_TOKEN to a token that the service knows; `jobpipe token create` makes one."""

    code = "unauthorized"


class Forbidden(JobpipeError):
    """Use a token whose role may do this, or ask who runs the service for one."""

    code = "forbidden"


class StoreUnavailable(JobpipeError):
    """Check that the store runs and can be reached and written; nothing was acknowledged.

    ``outcome_unknown`` is True when the connection broke while the store may have been
    committing: what was asked for may or may not have been stored.
    """

    code = "store_unavailable"

    def __init__(
        self, message: str = "", *, help: str | None = None, outcome_unknown: bool = False
    ) -> None:
        super().__init__(message, help=help)
        self.outcome_unknown = outcome_unknown
