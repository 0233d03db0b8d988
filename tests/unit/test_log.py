"""Logging: one record is one line, nothing in it acts on a terminal, no password is written."""

from __future__ import annotations

import io
import json
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from jobpipe.telemetry.escape import escape, escape_block, escape_json
from jobpipe.telemetry.log import JsonLines, TextLines, set_up_logging
from jobpipe.telemetry.record import MAX_MESSAGE, mask_secrets


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.fixture
def _logging_as_it_was() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("jobpipe")
    before = (root.level, list(root.handlers), ours.level)
    yield
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    ours.setLevel(before[2])


def record(message: object, *args: object, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("jobpipe.worker", logging.INFO, "x.py", 1, message, args, None)
    made.created = 1_700_000_000.25
    made.__dict__.update(extra)
    return made


def failing(error: BaseException) -> logging.LogRecord:
    made = record("it failed")
    try:
        raise error
    except BaseException:
        made.exc_info = sys.exc_info()
    return made


def test_a_line_of_text() -> None:
    line = TextLines().format(record("claimed %d", 5, queue="mail", jobs=[1, 2]))
    assert line == ("2023-11-14T22:13:20.250Z info jobpipe.worker: claimed 5 queue=mail jobs=[1,2]")


def test_a_line_of_json() -> None:
    line = JsonLines().format(record("claimed %d", 5, queue="mail", message_id={1: Mute()}))
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "logger": "jobpipe.worker",
        "message": "claimed 5",
        "queue": "mail",
        "message_id": {"1": "<Mute>"},
    }


def test_an_event_is_a_sentence_in_text_and_fields_in_json() -> None:
    event = record("job 7 failed", jobpipe={"event": "JobFailed", "job": 7, "level": "x"})
    assert TextLines().format(event).endswith(" info jobpipe.worker: job 7 failed")
    told = json.loads(JsonLines().format(event))
    assert (told["level"], told["event"], told["job"]) == ("info", "JobFailed", 7)


@pytest.mark.parametrize("formatter", [TextLines(), JsonLines()], ids=["text", "json"])
def test_one_record_is_one_line_and_acts_on_no_terminal(formatter: logging.Formatter) -> None:
    evil = "a\nb\r\x1b[31mred\x9b2J\u202edlrow\u2028\ud800\x00"
    line = formatter.format(record("%s", evil, extra=evil))
    assert line.isprintable()
    line.encode()


@pytest.mark.parametrize("formatter", [TextLines(), JsonLines()], ids=["text", "json"])
@pytest.mark.parametrize(
    "error", [ValueError("a\nb"), KeyError(), Exception(Mute())], ids=["lines", "empty", "mute"]
)
def test_an_error_stays_on_the_line(formatter: logging.Formatter, error: BaseException) -> None:
    line = formatter.format(failing(error))
    assert "\n" not in line
    assert type(error).__name__ in line


def test_an_error_in_json_has_type_message_and_traceback() -> None:
    told = json.loads(JsonLines().format(failing(ValueError("a\nb"))))["error"]
    assert (told["type"], told["message"]) == ("ValueError", "a\nb")
    assert told["traceback"].startswith("Traceback (most recent call last):\n")


def test_wrong_arguments_of_a_call_lose_no_line() -> None:
    assert TextLines().format(record("%d jobs", "many")).endswith("jobpipe.worker: %d jobs")


def test_a_huge_message_is_shortened() -> None:
    huge = "x" * 10_000_000
    assert len(TextLines().format(record(huge))) < MAX_MESSAGE + 200
    assert len(TextLines().format(record("x", more=huge))) < MAX_MESSAGE + 200
    assert len(JsonLines().format(record(huge, more=[huge]))) < 2 * MAX_MESSAGE + 200


@pytest.mark.parametrize("text", ["x" * 20_000 + "://", "a-" * 10_000 + "://=", "x://a:" * 3_000])
def test_masking_is_quick_on_odd_text(text: str) -> None:
    began = time.process_time()
    assert mask_secrets(text) == text
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "text, masked",
    [
        ("at postgresql://me:s3cret@db/jobs now", "at postgresql://me:***@db/jobs now"),
        ("postgresql://me:p@ss/w@db/jobs", "postgresql://me:***@db/jobs"),
        ("postgresql://me@db/jobs", "postgresql://me@db/jobs"),
        ("postgresql://db/jobs?password=s3cret&x=1", "postgresql://db/jobs?password=***&x=1"),
        ("host=db password=s3cret port=1", "host=db password=*** port=1"),
        ("API_TOKEN=abc", "API_TOKEN=***"),
        ("a:b@c", "a:b@c"),
        ("sqlite:///jobs.db", "sqlite:///jobs.db"),
    ],
)
def test_secrets_are_masked(text: str, masked: str) -> None:
    assert mask_secrets(text) == masked
    assert TextLines().format(record("%s", text)).endswith(": " + masked)
    told = json.loads(JsonLines().format(record("x", where=[{"url": text}])))
    assert told["where"] == [{"url": masked}]


@pytest.mark.usefixtures("_logging_as_it_was")
@pytest.mark.parametrize(
    "style, stream, is_json",
    [
        ("auto", io.StringIO, True),
        ("auto", Terminal, False),
        ("text", io.StringIO, False),
        ("json", Terminal, True),
    ],
)
def test_the_style_follows_the_setting_and_the_stream(
    style: str, stream: type[io.StringIO], is_json: bool
) -> None:
    written = stream()
    set_up_logging("info", style, written)
    logging.getLogger("jobpipe.x").info("hello")
    assert written.getvalue().startswith("{") is is_json


@pytest.mark.usefixtures("_logging_as_it_was")
def test_the_level_counts_for_us_and_others_must_warn() -> None:
    first, written = io.StringIO(), io.StringIO()
    set_up_logging("debug", "text", first)
    set_up_logging("info", "text", written)
    logging.getLogger("jobpipe.x").debug("too fine")
    logging.getLogger("jobpipe.x").info("ours")
    logging.getLogger("elsewhere").info("noise")
    logging.getLogger("elsewhere").warning("theirs")
    lines = [line.split(": ", 1)[1] for line in written.getvalue().splitlines()]
    assert lines == ["ours", "theirs"]
    assert first.getvalue() == ""


@pytest.mark.usefixtures("_logging_as_it_was")
@pytest.mark.parametrize("job_level, made", [("debug", 10), ("info", 20), ("error", 30)])
def test_what_jobs_keep_is_made_and_what_they_say_is_shown(job_level: str, made: int) -> None:
    written = io.StringIO()
    job: dict[str, Any] | None = None
    set_up_logging("info", "text", written, belonging=lambda: job, job_level=job_level)
    assert logging.getLogger("elsewhere").getEffectiveLevel() == made
    logging.getLogger("elsewhere").info("noise")
    job = {"job": 42, "attempt": 2}
    logging.getLogger("elsewhere").debug("too fine to be shown")
    logging.getLogger("elsewhere").info("said")
    logging.getLogger("elsewhere").warning("warned")
    lines = [line.split(": ", 1)[1] for line in written.getvalue().splitlines()]
    said = ["said job=42 attempt=2"] if made <= 20 else []
    assert lines == [*said, "warned job=42 attempt=2"]


def test_a_line_of_json_names_its_job() -> None:
    line = JsonLines(lambda: {"job": 42, "attempt": 2}).format(record("said", rows=1))
    told = json.loads(line)
    assert (told["job"], told["attempt"], told["rows"]) == (42, 2, 1)


def test_texts_under_names_for_secrets_are_hidden() -> None:
    line = JsonLines().format(
        record("x", api_key="k", token=7, into={"Password": "p", "user": "u"})
    )
    told = json.loads(line)
    assert (told["token"], told["into"]) == (7, {"Password": "***", "user": "u"})
    assert told["api_key"] == "***"


@pytest.mark.parametrize(
    "text, shown",
    [
        ("plain é 漢 😀", "plain é 漢 😀"),
        ("a\tb\nc\rd", "a\\tb\\nc\\rd"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\x9b\x7f", "\\x9b\\x7f"),
        ("\u202e\u2066\u200b\ufeff\u2029", "\\u202e\\u2066\\u200b\\ufeff\\u2029"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("👩\u200d💻", "👩\u200d💻"),
    ],
)
def test_what_acts_instead_of_being_seen_is_escaped(text: str, shown: str) -> None:
    assert escape(text) == shown


def test_a_block_keeps_its_lines_only() -> None:
    assert escape_block("a\n\tb\x1b\n\n") == ["a", "    b\\x1b"]


@pytest.mark.parametrize("text", ["\x7f\x9b\u202e\u2028", "\U000e0041", "plain"])
def test_escaped_json_says_the_same(text: str) -> None:
    escaped = escape_json(json.dumps({"a": text}, ensure_ascii=False, indent=2))
    assert json.loads(escaped) == {"a": text}
    assert escaped.replace("\n", "").isprintable()
