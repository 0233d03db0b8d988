"""The settings as the rest of Jobpipe sees them: one frozen value, complete and checked."""

from __future__ import annotations

from dataclasses import dataclass, field

from jobpipe.config.tokens import TokenEntry
from jobpipe.policy.retention import Retention
from jobpipe.policy.retry import RetryDelays


@dataclass(frozen=True, slots=True)
class QueueSlots:
    """A queue that a worker takes, and how many of its slots that queue may fill (None: all)."""

    name: str
    slots: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of one process; ``config/declared.py`` says what each means."""

    url: str = field(repr=False)
    token: str | None = field(repr=False)
    plain_http: bool
    pooler: str
    listen_url: str | None = field(repr=False)
    schema: str
    table_prefix: str
    app: str | None
    queues: tuple[QueueSlots, ...]
    concurrency: int
    processes: int
    max_queued: int | None
    max_attempts: int
    retry_delays: RetryDelays
    timeout_seconds: float | None
    poll_seconds: float
    ageing_seconds: float
    lease_seconds: float
    pulse_seconds: float
    shutdown_seconds: float
    max_jobs: int | None
    max_seconds: float | None
    max_memory: int | None
    health_port: str | None
    host: str
    port: int
    tokens: tuple[TokenEntry, ...] | None = field(repr=False)
    tokens_file: str | None
    cors_origins: tuple[str, ...]
    allowed_hosts: tuple[str, ...]
    trusted_proxies: tuple[str, ...]
    access_log: bool
    retention: Retention
    max_payload: int
    log_level: str
    log_format: str
    job_log_level: str
    job_log_lines: int
    job_log_bytes: int
    capture_print: bool
    process_env: tuple[str, ...]
    failpoints: str
