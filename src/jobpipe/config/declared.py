"""The one table of settings: names, readers, defaults, what is allowed, what each means.

Loading, the names of variables and of keys in files, and the rows of the docs are all made from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jobpipe.config import urls, values
from jobpipe.config.values import Reader
from jobpipe.policy.duration import format_number
from jobpipe.policy.retention import RETENTION_ALLOWED
from jobpipe.policy.retry import DELAYS_ALLOWED

PREFIX = "JOBPIPE_"


def _plain(value: object) -> str:
    return format_number(value) if isinstance(value, float) else str(value)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting; ``default`` is written as a user would write it, None where there is none."""

    field: str
    env: str
    read: Reader
    default: str | None
    allowed: str
    doc: str
    secret: bool = False
    fallback_env: str | None = None
    show: Callable[[object], str] = _plain

    @property
    def key(self) -> str:
        """The key in jobpipe.toml and in [tool.jobpipe]."""
        return self.env.removeprefix(PREFIX).lower()

    def default_value(self) -> object:
        """The default as a checked value."""
        return None if self.default is None else self.read(self.default)


_POSTGRES_URL = "`postgresql://user:password@host:port/database`"
_IDENTIFIER = "1 to 41 of `a-z`, `0-9` and `_`, not beginning with a digit"

SETTINGS: tuple[Setting, ...] = (
    Setting(
        field="url",
        env="JOBPIPE_URL",
        read=urls.read_store_url,
        default="sqlite:///jobpipe.db",
        allowed="`sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite:///:memory:` or "
        + _POSTGRES_URL,
        doc="The store that holds the jobs.",
        secret=True,
        fallback_env="DATABASE_URL",
    ),
    Setting(
        field="pooler",
        env="JOBPIPE_POOLER",
        read=values.choice("none", "transaction"),
        default="none",
        allowed="`none` or `transaction`",
        doc="`transaction` when the URL leads through a transaction-mode pooler.",
    ),
    Setting(
        field="listen_url",
        env="JOBPIPE_LISTEN_URL",
        read=values.optional(urls.read_listen_url),
        default=None,
        allowed=_POSTGRES_URL + " or `none`",
        doc="A direct URL for LISTEN when the store's URL leads through a pooler.",
        secret=True,
    ),
    Setting(
        field="schema",
        env="JOBPIPE_SCHEMA",
        read=values.read_identifier,
        default="jobpipe",
        allowed=_IDENTIFIER,
        doc="The schema of the tables on PostgreSQL.",
    ),
    Setting(
        field="table_prefix",
        env="JOBPIPE_TABLE_PREFIX",
        read=values.read_identifier,
        default="jobpipe_",
        allowed=_IDENTIFIER,
        doc="What the names of the tables begin with on SQLite.",
    ),
    Setting(
        field="app",
        env="JOBPIPE_APP",
        read=values.optional(values.read_app),
        default=None,
        allowed="`module:attribute`, `module`, `path/app.py`, `path/app.py:attribute` or `none`",
        doc="The application that holds the tasks.",
    ),
    Setting(
        field="queues",
        env="JOBPIPE_QUEUES",
        read=values.read_queues,
        default="*",
        allowed=f"queues in order (`mail:10,reports`), `:n` for 1 to {values.MAX_SLOTS} slots; "
        "a name has 1 to 200 of `A-Z a-z 0-9 _ . - /`; `*` is every queue",
        doc="The queues a worker takes, and how many of its slots each may fill.",
        show=values.format_queues,
    ),
    Setting(
        field="concurrency",
        env="JOBPIPE_CONCURRENCY",
        read=values.whole(1, values.MAX_SLOTS),
        default="10",
        allowed=f"a whole number from 1 to {values.MAX_SLOTS}",
        doc="The slots of a worker.",
    ),
    Setting(
        field="processes",
        env="JOBPIPE_PROCESSES",
        read=values.whole(1, 64),
        default="1",
        allowed="a whole number from 1 to 64",
        doc="The worker processes under one `jobpipe worker`.",
    ),
    Setting(
        field="max_queued",
        env="JOBPIPE_MAX_QUEUED",
        read=values.optional(values.whole(1, 1_000_000_000)),
        default=None,
        allowed="a whole number from 1 to 1000000000, or `none`",
        doc="The bound on the blocked, scheduled, queued and retrying jobs of each queue; "
        "above it enqueue is refused.",
    ),
    Setting(
        field="max_attempts",
        env="JOBPIPE_MAX_ATTEMPTS",
        read=values.whole(1, 10_000),
        default="5",
        allowed="a whole number from 1 to 10000",
        doc="How many attempts a job has.",
    ),
    Setting(
        field="retry_delays",
        env="JOBPIPE_RETRY_DELAYS",
        read=values.read_delays,
        default="exponential:1:600",
        allowed=DELAYS_ALLOWED,
        doc="How long a failed job waits before its next attempt.",
    ),
    Setting(
        field="timeout_seconds",
        env="JOBPIPE_TIMEOUT",
        read=values.optional(values.seconds(0.001, 31_536_000)),
        default=None,
        allowed="seconds from 0.001 to 31536000, or `none`",
        doc="The time-out of an attempt whose task names none.",
    ),
    Setting(
        field="poll_seconds",
        env="JOBPIPE_POLL_SECONDS",
        read=values.seconds(0.01, 3600),
        default="1",
        allowed="seconds from 0.01 to 3600",
        doc="The longest wait of a job enqueued on a connection that cannot tell of its commit.",
    ),
    Setting(
        field="lease_seconds",
        env="JOBPIPE_LEASE_SECONDS",
        read=values.seconds(0.2, 3600),
        default="15",
        allowed="seconds from 0.2 to 3600",
        doc="How long a silent worker keeps its jobs.",
    ),
    Setting(
        field="pulse_seconds",
        env="JOBPIPE_PULSE_SECONDS",
        read=values.seconds(0.5, 86_400),
        default="60",
        allowed="seconds from 0.5 to 86400",
        doc="How long the event loop of a worker may stand still before the worker is ended.",
    ),
    Setting(
        field="shutdown_seconds",
        env="JOBPIPE_SHUTDOWN_SECONDS",
        read=values.seconds(0, 86_400),
        default="30",
        allowed="seconds from 0 to 86400",
        doc="The grace for running jobs when a worker stops.",
    ),
    Setting(
        field="max_jobs",
        env="JOBPIPE_MAX_JOBS",
        read=values.optional(values.whole(1, 1_000_000_000)),
        default=None,
        allowed="a whole number from 1 to 1000000000, or `none`",
        doc="A worker process is replaced when it has taken so many jobs.",
    ),
    Setting(
        field="max_seconds",
        env="JOBPIPE_MAX_SECONDS",
        read=values.optional(values.seconds(1, 31_536_000)),
        default=None,
        allowed="seconds from 1 to 31536000, or `none`",
        doc="A worker process is replaced when it is so old.",
    ),
    Setting(
        field="max_memory",
        env="JOBPIPE_MAX_MEMORY",
        read=values.optional(values.whole(16, 1_048_576)),
        default=None,
        allowed="megabytes from 16 to 1048576, or `none`",
        doc="A worker process is replaced when it holds so much memory (MB).",
    ),
    Setting(
        field="health_port",
        env="JOBPIPE_HEALTH_PORT",
        read=values.optional(values.read_address),
        default=None,
        allowed="a port from 1 to 65535, alone (on 127.0.0.1) or as `host:port`, or `none`",
        doc="Where `jobpipe worker` answers `GET /health` and `GET /readyz`.",
    ),
    Setting(
        field="retention",
        env="JOBPIPE_RETENTION",
        read=values.read_retention,
        default="succeeded=7d,cancelled=7d,failed=90d",
        allowed=RETENTION_ALLOWED,
        doc="When final jobs are pruned.",
    ),
    Setting(
        field="max_payload",
        env="JOBPIPE_MAX_PAYLOAD",
        read=values.size(1024, 256 * 1024 * 1024),
        default="1MiB",
        allowed="bytes from 1KiB to 256MiB, plain or with the unit `KiB` or `MiB`",
        doc="The most bytes of a job's args, of its result, and of each error.",
        show=values.format_size,
    ),
    Setting(
        field="log_level",
        env="JOBPIPE_LOG_LEVEL",
        read=values.choice("debug", "info", "warning", "error", "critical"),
        default="info",
        allowed="`debug`, `info`, `warning`, `error` or `critical`",
        doc="The least grave event that is logged.",
    ),
    Setting(
        field="log_format",
        env="JOBPIPE_LOG_FORMAT",
        read=values.choice("auto", "text", "json"),
        default="auto",
        allowed="`auto`, `text` or `json`",
        doc="How events are logged; `auto` is text on a terminal, JSON lines otherwise.",
    ),
    Setting(
        field="job_log_level",
        env="JOBPIPE_JOB_LOG_LEVEL",
        read=values.choice("debug", "info", "warning", "error", "critical"),
        default="info",
        allowed="`debug`, `info`, `warning`, `error` or `critical`",
        doc="The least grave line that is kept in the log of a job.",
    ),
    Setting(
        field="job_log_lines",
        env="JOBPIPE_JOB_LOG_LINES",
        read=values.whole(0, 1_000_000),
        default="1000",
        allowed="a whole number from 0 (none is kept) to 1000000",
        doc="The most lines of an attempt's log.",
    ),
    Setting(
        field="job_log_bytes",
        env="JOBPIPE_JOB_LOG_BYTES",
        read=values.size(1024, 256 * 1024 * 1024),
        default="1MiB",
        allowed="bytes from 1KiB to 256MiB, plain or with the unit `KiB` or `MiB`",
        doc="The most bytes of an attempt's log.",
        show=values.format_size,
    ),
    Setting(
        field="capture_print",
        env="JOBPIPE_CAPTURE_PRINT",
        read=values.read_switch,
        default="off",
        allowed="`on` or `off`",
        doc="Whether what a job prints is kept in its log too.",
        show=values.format_switch,
    ),
    Setting(
        field="process_env",
        env="JOBPIPE_PROCESS_ENV",
        read=values.read_variables,
        default="",
        allowed="names of variables, such as `DATABASE_URL,JOBPIPE_URL`, `*` for all, or nothing",
        doc="Variables passed on to the processes of tasks though they hold secret settings.",
        show=values.format_variables,
    ),
    Setting(
        field="failpoints",
        env="JOBPIPE_FAILPOINTS",
        read=values.read_text,
        default="",
        allowed="text like `claim.after_commit=kill`, or nothing",
        doc="For tests: places in the code that fail on purpose.",
    ),
)
