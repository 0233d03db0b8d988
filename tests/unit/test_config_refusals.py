"""What is refused at start, and that the message says what to mend and keeps secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobpipe.config.load import load_settings
from jobpipe.errors import ConfigError


def refusal(
    directory: Path,
    environ: dict[str, str] | None = None,
    overrides: dict[str, object] | None = None,
) -> str:
    """The message with which these settings are refused."""
    with pytest.raises(ConfigError) as refused:
        load_settings(overrides, environ=environ or {}, directory=directory)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None  # a chained error could repeat a secret
    return str(refused.value)


def test_a_bad_value_names_key_value_and_what_is_allowed(tmp_path: Path) -> None:
    assert refusal(tmp_path, {"JOBPIPE_CONCURRENCY": "0"}) == (
        "env JOBPIPE_CONCURRENCY = '0': out of range; allowed: a whole number from 1 to 10000"
    )


def test_an_unknown_variable_names_the_nearest_known_one(tmp_path: Path) -> None:
    assert refusal(tmp_path, {"JOBPIPE_CONCURENCY": "4"}) == (
        "env JOBPIPE_CONCURENCY = '4': unknown setting; the nearest known one is "
        "JOBPIPE_CONCURRENCY"
    )


@pytest.mark.parametrize(
    "name", ["JOBPIPE_TICKETS", "JOBPIPE_BROKER", "JOBPIPE_URLS", "JOBPIPE_", "JOBPIPE_PASSWORD"]
)
def test_the_value_of_an_unknown_variable_may_be_a_secret(name: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, {name: "s3cret"})
    assert message.startswith(f"env {name} = ***: unknown setting; the nearest known one is JOB")


def test_unknown_names_are_refused_in_every_source(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("JOBPIPE_QUEUE=mail\n")
    (tmp_path / "jobpipe.toml").write_text("timeout_seconds = 5\n")
    (tmp_path / "pyproject.toml").write_text("[tool.jobpipe.log]\nlevel = 'info'\n")
    message = refusal(tmp_path, overrides={"lease": 3})
    assert message.splitlines() == [
        "flag lease = ***: unknown setting; the nearest known one is lease_seconds",
        ".env file line 1 JOBPIPE_QUEUE = 'mail': unknown setting; the nearest known one is "
        "JOBPIPE_QUEUES",
        "jobpipe.toml timeout_seconds = ***: unknown setting; the nearest known one is max_seconds",
        "pyproject tool.jobpipe.log = ***: unknown setting; the nearest known one is log_level",
    ]


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"JOBPIPE_POOLER": "session", "JOBPIPE_LOG_FORMAT": "xml"})
    assert [line.partition(" = ")[0] for line in message.splitlines()] == [
        "env JOBPIPE_POOLER",
        "env JOBPIPE_LOG_FORMAT",
    ]


@pytest.mark.parametrize(
    "name,value,reason",
    [
        ("CONCURRENCY", "", "not a whole number"),
        ("CONCURRENCY", "-1", "not a whole number"),
        ("CONCURRENCY", "4.0", "not a whole number"),
        ("CONCURRENCY", "1_0", "not a whole number"),
        ("CONCURRENCY", "٤", "not a whole number"),
        ("CONCURRENCY", "10001", "out of range"),
        pytest.param("CONCURRENCY", "9" * 5000, "not a whole number", id="huge"),
        ("MAX_ATTEMPTS", "0", "out of range"),
        ("MAX_ATTEMPTS", "10001", "out of range"),
        ("MAX_QUEUED", "0", "out of range"),
        ("TIMEOUT", "0", "out of range"),
        ("TIMEOUT", "nan", "not a plain number"),
        ("POLL_SECONDS", "0.009", "out of range"),
        ("POLL_SECONDS", "3600.1", "out of range"),
        ("LEASE_SECONDS", "0.1", "out of range"),
        ("LEASE_SECONDS", "inf", "not a plain number"),
        ("LEASE_SECONDS", "1e3", "not a plain number"),
        ("SHUTDOWN_SECONDS", "-1", "not a plain number"),
        ("SHUTDOWN_SECONDS", "86401", "out of range"),
        ("MAX_PAYLOAD", "1023", "out of range"),
        ("MAX_PAYLOAD", "257MiB", "out of range"),
        ("MAX_PAYLOAD", "1MB", "not a number of bytes"),
        ("MAX_PAYLOAD", "0.5MiB", "not a number of bytes"),
        ("SCHEMA", "Jobs", "not an identifier"),
        ("SCHEMA", "a" * 42, "not an identifier"),
        ("SCHEMA", 'x"; drop', "not an identifier"),
        ("TABLE_PREFIX", "1st_", "not an identifier"),
        ("TABLE_PREFIX", "", "not an identifier"),
        ("APP", "shop jobs", "not of the form"),
        ("APP", "shop/jobs", "not of the form"),
        ("APP", "jobs.py:", "not of the form"),
        ("APP", ":jp", "not of the form"),
        ("QUEUES", "", "'' is no name of a queue"),
        ("QUEUES", "mail,,x", "'' is no name of a queue"),
        ("QUEUES", "-mail", "'-mail' is no name of a queue"),
        ("QUEUES", "a" * 201, "is no name of a queue"),
        ("QUEUES", "mail:", "the slots of 'mail' are not 1 to 10000"),
        ("QUEUES", "mail:0", "the slots of 'mail' are not 1 to 10000"),
        ("QUEUES", "mail:1:2", "the slots of 'mail' are not 1 to 10000"),
        ("QUEUES", "mail,mail:2", "the queue 'mail' stands there twice"),
        pytest.param("QUEUES", "q," * 1000, "takes 1 to 1000 queues", id="many-queues"),
        ("RETRY_DELAYS", "1,x", "delay 'x' is not a plain number"),
        pytest.param("RETRY_DELAYS", "x" * 5000, "delay 'xxx", id="long-delay"),
        ("RETENTION", "succeded=7d", "'succeded' is no final state"),
        ("LOG_LEVEL", "warn", "the nearest known word is 'warning'"),
        ("POOLER", "transactional", "the nearest known word is 'transaction'"),
        ("TOKEN", "a b", "no blank"),
        ("HOST", "a b", "neither a name nor an address"),
        ("HOST", "http://x", "neither a name nor an address"),
        ("PORT", "65536", "out of range"),
        ("CORS_ORIGINS", "*", "'*' is not of the form"),
        ("CORS_ORIGINS", "https://a/b", "'https://a/b' is not of the form"),
        ("ALLOWED_HOSTS", "a,/", "neither a name nor an address"),
        ("TRUSTED_PROXIES", "10.0.0.1/8", "neither an address nor a network"),
        ("TRUSTED_PROXIES", "proxy", "neither an address nor a network"),
        ("ACCESS_LOG", "full", "neither on nor off"),
        ("FAILPOINTS", "a\x00b", "characters that cannot be printed"),
    ],
)
def test_a_bad_text_is_refused(name: str, value: str, reason: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, {f"JOBPIPE_{name}": value})
    assert message.startswith(f"env JOBPIPE_{name} = ")
    assert reason in message
    assert "; allowed: " in message
    assert len(message) < 1000


@pytest.mark.parametrize(
    "field,value",
    [
        ("concurrency", True),
        ("concurrency", 4.0),
        pytest.param("concurrency", 16**5000, id="concurrency-huge"),
        ("lease_seconds", float("nan")),
        ("lease_seconds", float("inf")),
        ("lease_seconds", -1.0),
        pytest.param("lease_seconds", 16**5000, id="lease-huge"),
        ("timeout_seconds", True),
        ("max_payload", 1.5),
        ("log_level", 3),
        ("queues", 3),
        ("queues", [3]),
        ("queues", []),
        ("retry_delays", 5),
        ("retry_delays", [16**5000]),
        ("retention", 5),
        ("url", 5),
        ("url", ["postgresql://ann:s3cret@host/db"]),
    ],
)
def test_a_bad_typed_value_is_refused(field: str, value: object, tmp_path: Path) -> None:
    message = refusal(tmp_path, overrides={field: value})
    assert message.startswith(f"flag {field} = ")
    assert "s3cret" not in message


@pytest.mark.parametrize(
    "url,shown,reason",
    [
        ("", "''", "not a URL"),
        ("jobs.db", "'jobs.db'", "not a URL"),
        ("ann:s3cret@host/db", "'ann:***@host/db'", "not a URL"),
        ("sqlite://jobs.db", "'sqlite://jobs.db'", "three slashes"),
        ("sqlite:///", "'sqlite:///'", "three slashes"),
        ("http://a:s3cret@host:8000", "'http://a:***@host:8000'", "the token goes apart"),
        ("https://h?token=s3cret", "'https://h?token=***'", "the token goes apart"),
        ("https://:8000", "'https://:8000'", "port is malformed"),
        ("https://h:0/x", "'https://h:0/x'", "port is malformed"),
        ("http:///x", "'http:///x'", "port is malformed"),
        ("postgrsql://a:s3cret@h/d", "'postgrsql://a:***@h/d'", "known one is 'postgresql'"),
        ("sqlite3:///x.db", "'sqlite3:///x.db'", "known one is 'sqlite'"),
        ("postgresql+psycopg://h/d", "'postgresql+psycopg://h/d'", "known one is 'postgresql'"),
        ("postgresql://a:s3cret@h:port/d", "'postgresql://a:***@h:port/d'", "port is malformed"),
        ("postgresql://a:s3cret@h:65536/d", "'postgresql://a:***@h:65536/d'", "port is malformed"),
        ("postgresql://a:s3/cret@h/d", "'postgresql://a:***@h/d'", "port is malformed"),
        ("postgresql://a:s3cret@[::1/d", "'postgresql://a:***@[::1/d'", "port is malformed"),
        ("postgresql://a:s3cret\n@h/d", "'postgresql://a:***@h/d'", "cannot be printed"),
    ],
)
def test_a_bad_url_is_shown_masked(url: str, shown: str, reason: str, tmp_path: Path) -> None:
    message = refusal(tmp_path, {"JOBPIPE_URL": url})
    assert message.startswith(f"env JOBPIPE_URL = {shown}: ")
    assert reason in message
    assert "cret" not in message


def test_a_bad_fallback_is_named(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"DATABASE_URL": "mysql://a:s3cret@host/db"})
    assert message.startswith("fallback env DATABASE_URL = 'mysql://a:***@host/db': unknown scheme")


def test_listen_needs_a_postgresql_server(tmp_path: Path) -> None:
    message = refusal(tmp_path, {"JOBPIPE_LISTEN_URL": "sqlite:///jobs.db"})
    assert "LISTEN needs a PostgreSQL server" in message


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///jobs.db",
        "sqlite:////var/lib/my jobs/jobs.db",
        "sqlite:///:memory:",
        "postgres://host",
        "postgresql:///db?host=/run/postgresql",
        "postgresql://ann:p%40ss@[::1]:5432/db",
        "postgresql://ann:p@ss@host/db",
        "postgresql://ann@a:5432,b:5433/db",
    ],
)
def test_a_good_url_is_taken(url: str, tmp_path: Path) -> None:
    assert load_settings(environ={"JOBPIPE_URL": f" {url} "}, directory=tmp_path).url == url


@pytest.mark.parametrize("name", ["jobpipe.toml", "pyproject.toml"])
def test_a_directory_instead_of_a_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    assert refusal(tmp_path) == f"{name} is a directory; a file is expected"


@pytest.mark.parametrize("name", ["jobpipe.toml", "pyproject.toml"])
@pytest.mark.parametrize(
    "content,reason",
    [
        ("url = ", "Invalid value"),
        ("url = 's3cret\n", "Expected"),
        ("url = postgresql://ann:s3cret@host/db\n", "line 1"),
        ("a = 1\na = 2\n", "line 2"),
        pytest.param("a = " + "9" * 5000, "beyond all bounds", id="huge"),
        pytest.param("a = " + "[" * 20_000, "beyond all bounds", id="deep"),
    ],
)
def test_malformed_toml_is_refused(name: str, content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    message = refusal(tmp_path)
    assert message.startswith(f"{name} is not TOML: ")
    assert reason in message
    assert "s3cret" not in message


@pytest.mark.parametrize("name", [".env", "jobpipe.toml", "pyproject.toml"])
def test_a_file_in_another_encoding_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"# ok\nJOBPIPE_APP='s3cret\xe9'\n")
    assert refusal(tmp_path) == f"{name} is not UTF-8: line 2"


@pytest.mark.parametrize("name", [".env", "jobpipe.toml", "pyproject.toml"])
def test_a_huge_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"#" * (1024 * 1024 + 1))
    assert refusal(tmp_path) == f"{name} is larger than 1048576 bytes"


def test_a_malformed_line_of_dotenv_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("X=1\nJOBPIPE_URL='s3cret\n")
    message = refusal(tmp_path)
    assert message == ".env file: line 2: the quotes do not end where the value ends"


def test_a_link_that_leads_in_a_circle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "jobpipe.toml").symlink_to("jobpipe.toml")
    assert refusal(tmp_path).startswith("jobpipe.toml cannot be read: ")


def test_our_table_in_pyproject_must_be_a_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\njobpipe = 's3cret'\n")
    assert refusal(tmp_path) == "pyproject.toml: tool.jobpipe is not a table; write [tool.jobpipe]"


def test_the_directory_must_be_one(tmp_path: Path) -> None:
    assert "which is no directory" in refusal(tmp_path / "missing")
