"""Background jobs that are never lost: a library and a service on SQLite or PostgreSQL.

from jobpipe import Jobpipe

jp = Jobpipe("sqlite:///jobs.db")

@jp.task
def add(a: int, b: int = 1) -> int:
    return a + b

job = add.enqueue(1, b=2)
with jp.running():
    print(job.result(timeout=5))
"""

from jobpipe.application import Jobpipe
from jobpipe.errors import JobpipeError
from jobpipe.model.signals import Cancel, Fail, Retry, Snooze
from jobpipe.model.state import Reason, State
from jobpipe.runtime.context import RunningJob, current_job
from jobpipe.tasks.command import CommandResult, CommandTask
from jobpipe.tasks.depends import Depends
from jobpipe.tasks.hooks import AsyncCallNext, CallNext
from jobpipe.tasks.job import Job
from jobpipe.tasks.limits import Limits
from jobpipe.tasks.registry import Tasks
from jobpipe.tasks.task import AsyncTask, Task

__version__ = "0.1.0"

__all__ = [
    "AsyncCallNext",
    "AsyncTask",
    "CallNext",
    "Cancel",
    "CommandResult",
    "CommandTask",
    "Depends",
    "Fail",
    "Job",
    "Jobpipe",
    "JobpipeError",
    "Limits",
    "Reason",
    "Retry",
    "RunningJob",
    "Snooze",
    "State",
    "Task",
    "Tasks",
    "__version__",
    "current_job",
]
