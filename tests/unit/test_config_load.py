"""Where settings come from: every source, their precedence, and the origins that are told."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from jobpipe.config.declared import SETTINGS
from jobpipe.config.load import load_effective, load_settings
from jobpipe.config.settings import QueueSlots, Settings
from jobpipe.config.sources import Origin, OriginKind
from jobpipe.config.tokens import TokenEntry
from jobpipe.model.role import Role
from jobpipe.policy.retention import Retention
from jobpipe.policy.retry import ExponentialDelays, ListDelays

DAY = 86_400_000_000
SHA256_OF_ABC = bytes.fromhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
DEFAULTS = Settings(
    url="sqlite:///jobpipe.db",
    token=None,
    plain_http=False,
    pooler="none",
    listen_url=None,
    schema="jobpipe",
    table_prefix="jobpipe_",
    app=None,
    queues=(QueueSlots("*", None),),
    concurrency=10,
    processes=1,
    max_queued=None,
    max_attempts=5,
    retry_delays=ExponentialDelays(1.0, 600.0),
    timeout_seconds=None,
    poll_seconds=1.0,
    ageing_seconds=1.0,
    lease_seconds=15.0,
    pulse_seconds=60.0,
    shutdown_seconds=30.0,
    max_jobs=None,
    max_seconds=None,
    max_memory=None,
    health_port=None,
    host="127.0.0.1",
    port=8000,
    tokens=None,
    tokens_file=None,
    cors_origins=(),
    allowed_hosts=(),
    trusted_proxies=(),
    access_log=False,
    retention=Retention(7 * DAY, 7 * DAY, 90 * DAY),
    max_payload=1_048_576,
    log_level="info",
    log_format="auto",
    job_log_level="info",
    job_log_lines=1000,
    job_log_bytes=1_048_576,
    capture_print=False,
    process_env=(),
    failpoints="",
)
CUSTOM = Settings(
    url="postgresql://ann:pw@db:5432/jobs",
    token="t0ken",
    plain_http=True,
    pooler="transaction",
    listen_url="postgres://ann:pw@direct/jobs",
    schema="work",
    table_prefix="w_",
    app="shop.jobs:jp",
    queues=(QueueSlots("mail", 10), QueueSlots("reports", None)),
    concurrency=4,
    processes=8,
    max_queued=1000,
    max_attempts=3,
    retry_delays=ListDelays((1.0, 5.0, 30.0)),
    timeout_seconds=2.5,
    poll_seconds=0.5,
    ageing_seconds=0.0,
    lease_seconds=1.0,
    pulse_seconds=20.0,
    max_jobs=500,
    max_seconds=3600.0,
    max_memory=512,
    health_port="0.0.0.0:9000",
    shutdown_seconds=0.0,
    host="::",
    port=80,
    tokens=(TokenEntry("ci", Role.PRODUCER, SHA256_OF_ABC),),
    tokens_file="tokens.txt",
    cors_origins=("https://a.example", "http://b.example:81"),
    allowed_hosts=("jobs.example", "10.0.0.1"),
    trusted_proxies=("10.0.0.1/32", "10.1.0.0/16"),
    access_log=True,
    retention=Retention(0, 7 * DAY, None),
    max_payload=524_288,
    log_level="debug",
    log_format="json",
    job_log_level="debug",
    job_log_lines=0,
    job_log_bytes=65_536,
    capture_print=True,
    process_env=("DATABASE_URL", "JOBPIPE_URL"),
    failpoints="claim.after_commit=kill",
)
CUSTOM_TEXTS = {
    "JOBPIPE_URL": "postgresql://ann:pw@db:5432/jobs",
    "JOBPIPE_TOKEN": "t0ken",
    "JOBPIPE_PLAIN_HTTP": "on",
    "JOBPIPE_POOLER": "transaction",
    "JOBPIPE_LISTEN_URL": "postgres://ann:pw@direct/jobs",
    "JOBPIPE_SCHEMA": "work",
    "JOBPIPE_TABLE_PREFIX": "w_",
    "JOBPIPE_APP": "shop.jobs:jp",
    "JOBPIPE_QUEUES": "mail:10, reports",
    "JOBPIPE_CONCURRENCY": "4",
    "JOBPIPE_PROCESSES": "8",
    "JOBPIPE_MAX_QUEUED": "1000",
    "JOBPIPE_MAX_ATTEMPTS": "3",
    "JOBPIPE_RETRY_DELAYS": "1,5,30",
    "JOBPIPE_TIMEOUT": "2.5",
    "JOBPIPE_POLL_SECONDS": "0.5",
    "JOBPIPE_AGEING_SECONDS": "0",
    "JOBPIPE_LEASE_SECONDS": "1",
    "JOBPIPE_PULSE_SECONDS": "20",
    "JOBPIPE_SHUTDOWN_SECONDS": "0",
    "JOBPIPE_MAX_JOBS": "500",
    "JOBPIPE_MAX_SECONDS": "3600",
    "JOBPIPE_MAX_MEMORY": "512",
    "JOBPIPE_HEALTH_PORT": "0.0.0.0:9000",
    "JOBPIPE_HOST": "[::]",
    "JOBPIPE_PORT": "80",
    "JOBPIPE_TOKENS": "ci:producer:abc",
    "JOBPIPE_TOKENS_FILE": "tokens.txt",
    "JOBPIPE_CORS_ORIGINS": "https://a.example, http://B.example:81",
    "JOBPIPE_ALLOWED_HOSTS": "jobs.example,10.0.0.1",
    "JOBPIPE_TRUSTED_PROXIES": "10.0.0.1 10.1.0.0/16",
    "JOBPIPE_ACCESS_LOG": "on",
    "JOBPIPE_RETENTION": "succeeded=0,failed=never",
    "JOBPIPE_MAX_PAYLOAD": "512KiB",
    "JOBPIPE_LOG_LEVEL": "DEBUG",
    "JOBPIPE_LOG_FORMAT": "json",
    "JOBPIPE_JOB_LOG_LEVEL": "Debug",
    "JOBPIPE_JOB_LOG_LINES": "0",
    "JOBPIPE_JOB_LOG_BYTES": "64KiB",
    "JOBPIPE_CAPTURE_PRINT": "on",
    "JOBPIPE_PROCESS_ENV": "DATABASE_URL,JOBPIPE_URL",
    "JOBPIPE_FAILPOINTS": "claim.after_commit=kill",
}
CUSTOM_TOML = """
url = "postgresql://ann:pw@db:5432/jobs"
token = "t0ken"
plain_http = true
pooler = "transaction"
listen_url = "postgres://ann:pw@direct/jobs"
schema = "work"
table_prefix = "w_"
app = "shop.jobs:jp"
queues = ["mail:10", "reports"]
concurrency = 4
processes = 8
max_queued = 1000
max_attempts = 3
retry_delays = [1, 5, 30]
timeout = 2.5
poll_seconds = 0.5
ageing_seconds = 0
lease_seconds = 1
pulse_seconds = 20
shutdown_seconds = 0
max_jobs = 500
max_seconds = 3600
max_memory = 512
health_port = "0.0.0.0:9000"
host = "::"
port = 80
tokens = ["ci:producer:abc"]
tokens_file = "tokens.txt"
cors_origins = ["https://a.example", "http://b.example:81"]
allowed_hosts = ["jobs.example", "10.0.0.1"]
trusted_proxies = ["10.0.0.1", "10.1.0.0/16"]
access_log = true
retention = {succeeded = 0, failed = "never"}
max_payload = 524288
log_level = "debug"
log_format = "json"
job_log_level = "debug"
job_log_lines = 0
job_log_bytes = 65536
capture_print = true
process_env = "DATABASE_URL,JOBPIPE_URL"
failpoints = "claim.after_commit=kill"
"""


def test_every_field_is_declared_once_and_in_order() -> None:
    assert [setting.field for setting in SETTINGS] == [field.name for field in fields(Settings)]
    assert len({setting.env for setting in SETTINGS}) == len(SETTINGS)


def test_nothing_given_means_the_defaults(tmp_path: Path) -> None:
    effective = load_effective(environ={"PATH": "/bin"}, directory=tmp_path)
    assert effective.settings == DEFAULTS
    assert set(effective.origins.values()) == {Origin(OriginKind.DEFAULT)}


def test_every_setting_is_read_from_the_environment(tmp_path: Path) -> None:
    assert load_settings(environ=CUSTOM_TEXTS, directory=tmp_path) == CUSTOM


def test_every_setting_is_read_from_dotenv(tmp_path: Path) -> None:
    lines = [f"export {name}='{text}'\n" for name, text in CUSTOM_TEXTS.items()]
    (tmp_path / ".env").write_text("".join(lines))
    assert load_settings(environ={}, directory=tmp_path) == CUSTOM


def test_every_setting_is_read_from_jobpipe_toml(tmp_path: Path) -> None:
    (tmp_path / "jobpipe.toml").write_text(CUSTOM_TOML)
    assert load_settings(environ={}, directory=tmp_path) == CUSTOM


def test_every_setting_is_read_from_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.jobpipe]\n" + CUSTOM_TOML)
    assert load_settings(environ={}, directory=tmp_path) == CUSTOM


def test_every_setting_is_taken_typed_from_the_caller(tmp_path: Path) -> None:
    typed = {field.name: getattr(CUSTOM, field.name) for field in fields(Settings)}
    assert load_settings(typed, environ={}, directory=tmp_path) == CUSTOM


def test_every_default_is_taken_typed_from_the_caller(tmp_path: Path) -> None:
    typed = {field.name: getattr(DEFAULTS, field.name) for field in fields(Settings)}
    assert load_settings(typed, environ={}, directory=tmp_path) == DEFAULTS


def test_each_source_gives_way_to_the_one_above(tmp_path: Path) -> None:
    environ = {"JOBPIPE_CONCURRENCY": "2"}
    dotenv, toml = tmp_path / ".env", tmp_path / "jobpipe.toml"
    pyproject = tmp_path / "pyproject.toml"
    dotenv.write_text("# mine\nJOBPIPE_CONCURRENCY=3\n")
    toml.write_text("concurrency = 4\n")
    pyproject.write_text("[tool.jobpipe]\nconcurrency = 5\n")

    def effective(flag: int | None, env: dict[str, str]) -> tuple[int, str]:
        found = load_effective({"concurrency": flag}, environ=env, directory=tmp_path)
        return found.settings.concurrency, str(found.origins["concurrency"])

    assert effective(1, environ) == (1, "flag concurrency")
    assert effective(None, environ) == (2, "env JOBPIPE_CONCURRENCY")
    assert effective(None, {}) == (3, ".env file line 2 JOBPIPE_CONCURRENCY")
    dotenv.unlink()
    assert effective(None, {}) == (4, "jobpipe.toml concurrency")
    toml.unlink()
    assert effective(None, {}) == (5, "pyproject tool.jobpipe.concurrency")
    pyproject.unlink()
    assert effective(None, {}) == (10, "default")


def test_a_default_given_outright_tells_where(tmp_path: Path) -> None:
    environ = {"JOBPIPE_TIMEOUT": "none", "JOBPIPE_CONCURRENCY": "10"}
    effective = load_effective(environ=environ, directory=tmp_path)
    assert effective.settings == DEFAULTS
    assert effective.origins["timeout_seconds"] == Origin(OriginKind.ENV, "JOBPIPE_TIMEOUT")
    assert effective.origins["concurrency"] == Origin(OriginKind.ENV, "JOBPIPE_CONCURRENCY")
    assert effective.origins["max_attempts"] == Origin(OriginKind.DEFAULT)


def test_none_above_hides_a_value_below(tmp_path: Path) -> None:
    (tmp_path / "jobpipe.toml").write_text("timeout = 5\n")
    environ = {"JOBPIPE_TIMEOUT": ""}
    assert load_settings(environ=environ, directory=tmp_path).timeout_seconds is None


def test_the_fallback_counts_only_when_the_url_is_given_nowhere(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=sqlite:///from-dotenv.db\n")
    environ = {"DATABASE_URL": "sqlite:///from-env.db"}

    def effective(env: dict[str, str]) -> tuple[str, str]:
        found = load_effective(environ=env, directory=tmp_path)
        return found.settings.url, str(found.origins["url"])

    assert effective(environ) == ("sqlite:///from-env.db", "fallback env DATABASE_URL")
    assert effective({}) == ("sqlite:///from-dotenv.db", "fallback env DATABASE_URL in .env line 1")
    (tmp_path / "jobpipe.toml").write_text('url = "sqlite:///mine.db"\n')
    assert effective(environ) == ("sqlite:///mine.db", "jobpipe.toml url")


def test_a_fallback_that_is_not_needed_is_not_judged(tmp_path: Path) -> None:
    environ = {"DATABASE_URL": "mysql://db", "JOBPIPE_URL": "sqlite:///mine.db"}
    assert load_settings(environ=environ, directory=tmp_path).url == "sqlite:///mine.db"


def test_the_process_environment_and_directory_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobpipe.toml").write_text("max_attempts = 7\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOBPIPE_CONCURRENCY", "3")
    settings = load_settings()
    assert (settings.concurrency, settings.max_attempts) == (3, 7)


def test_files_of_a_parent_directory_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "jobpipe.toml").write_text("concurrency = 4\n")
    inner = tmp_path / "inner"
    inner.mkdir()
    assert load_settings(environ={}, directory=inner) == DEFAULTS


def test_pyproject_without_our_table_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n[tool.other]\nurl = 1\n")
    assert load_settings(environ={}, directory=tmp_path) == DEFAULTS


def test_a_virtual_environment_named_dotenv_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert load_settings(environ={}, directory=tmp_path) == DEFAULTS


def test_files_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfJOBPIPE_CONCURRENCY=3\r\n")
    assert load_settings(environ={}, directory=tmp_path).concurrency == 3


def test_settings_never_print_their_urls() -> None:
    assert "pw" not in repr(CUSTOM)
