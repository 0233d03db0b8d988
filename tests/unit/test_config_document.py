"""Settings as people read them: what ``config show`` tells, and the page in the docs."""

from __future__ import annotations

from pathlib import Path

from jobpipe.config.declared import SETTINGS
from jobpipe.config.document import SettingRow, describe, settings_table
from jobpipe.config.load import load_effective

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_holds_the_table_made_from_the_declarations() -> None:
    page = PAGE.read_text(encoding="utf-8")
    _, _, rest = page.partition("<!-- settings: made by scripts/write_settings_docs.py -->\n")
    assert rest.partition("<!-- /settings -->\n")[0] == settings_table(), (
        "run `python scripts/write_settings_docs.py`"
    )


def test_the_table_has_one_well_formed_row_for_each_setting() -> None:
    rows = settings_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == [setting.env for setting in SETTINGS]
    assert {row.count("|") for row in rows} == {6}


def test_the_defaults_are_shown_as_a_user_would_write_them(tmp_path: Path) -> None:
    rows = describe(load_effective(environ={}, directory=tmp_path))
    assert [(row.env, row.value) for row in rows] == [
        ("JOBPIPE_URL", "sqlite:///jobpipe.db"),
        ("JOBPIPE_TOKEN", "none"),
        ("JOBPIPE_PLAIN_HTTP", "off"),
        ("JOBPIPE_POOLER", "none"),
        ("JOBPIPE_LISTEN_URL", "none"),
        ("JOBPIPE_SCHEMA", "jobpipe"),
        ("JOBPIPE_TABLE_PREFIX", "jobpipe_"),
        ("JOBPIPE_APP", "none"),
        ("JOBPIPE_QUEUES", "*"),
        ("JOBPIPE_CONCURRENCY", "10"),
        ("JOBPIPE_PROCESSES", "1"),
        ("JOBPIPE_MAX_QUEUED", "none"),
        ("JOBPIPE_MAX_ATTEMPTS", "5"),
        ("JOBPIPE_RETRY_DELAYS", "exponential:1:600"),
        ("JOBPIPE_TIMEOUT", "none"),
        ("JOBPIPE_POLL_SECONDS", "1"),
        ("JOBPIPE_AGEING_SECONDS", "1"),
        ("JOBPIPE_LEASE_SECONDS", "15"),
        ("JOBPIPE_PULSE_SECONDS", "60"),
        ("JOBPIPE_SHUTDOWN_SECONDS", "30"),
        ("JOBPIPE_MAX_JOBS", "none"),
        ("JOBPIPE_MAX_SECONDS", "none"),
        ("JOBPIPE_MAX_MEMORY", "none"),
        ("JOBPIPE_HEALTH_PORT", "none"),
        ("JOBPIPE_HOST", "127.0.0.1"),
        ("JOBPIPE_PORT", "8000"),
        ("JOBPIPE_TOKENS", "none"),
        ("JOBPIPE_TOKENS_FILE", "none"),
        ("JOBPIPE_CORS_ORIGINS", ""),
        ("JOBPIPE_ALLOWED_HOSTS", ""),
        ("JOBPIPE_TRUSTED_PROXIES", ""),
        ("JOBPIPE_ACCESS_LOG", "off"),
        ("JOBPIPE_RETENTION", "succeeded=7d,cancelled=7d,failed=90d"),
        ("JOBPIPE_MAX_PAYLOAD", "1MiB"),
        ("JOBPIPE_LOG_LEVEL", "info"),
        ("JOBPIPE_LOG_FORMAT", "auto"),
        ("JOBPIPE_JOB_LOG_LEVEL", "info"),
        ("JOBPIPE_JOB_LOG_LINES", "1000"),
        ("JOBPIPE_JOB_LOG_BYTES", "1MiB"),
        ("JOBPIPE_CAPTURE_PRINT", "off"),
        ("JOBPIPE_PROCESS_ENV", ""),
        ("JOBPIPE_FAILPOINTS", ""),
    ]
    assert {row.origin for row in rows} == {"default"}


def test_rows_tell_the_origin_and_mask_passwords(tmp_path: Path) -> None:
    environ = {
        "DATABASE_URL": "postgresql://ann:s3cret@host/db",
        "JOBPIPE_LISTEN_URL": "postgresql://host/db?password=s3cret",
        "JOBPIPE_QUEUES": "mail:10, reports",
        "JOBPIPE_MAX_PAYLOAD": "1536",
    }
    rows = describe(load_effective({"timeout_seconds": 90}, environ=environ, directory=tmp_path))
    assert [row for row in rows if row.origin != "default"] == [
        SettingRow("JOBPIPE_URL", "postgresql://ann:***@host/db", "fallback env DATABASE_URL"),
        SettingRow(
            "JOBPIPE_LISTEN_URL", "postgresql://host/db?password=***", "env JOBPIPE_LISTEN_URL"
        ),
        SettingRow("JOBPIPE_QUEUES", "mail:10,reports", "env JOBPIPE_QUEUES"),
        SettingRow("JOBPIPE_TIMEOUT", "90", "flag timeout_seconds"),
        SettingRow("JOBPIPE_MAX_PAYLOAD", "1536", "env JOBPIPE_MAX_PAYLOAD"),
    ]
