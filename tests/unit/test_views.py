"""What people and programs are shown: names and order of fields, times, odd rows."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobpipe.app import records, task_views, views
from jobpipe.app.views import JobView
from jobpipe.model.job import AttemptRecord, JobRecord
from jobpipe.model.report import ProgressRecord
from jobpipe.model.state import Reason, State
from jobpipe.model.worker import WorkerRecord
from jobpipe.store.migrations import Migration, SchemaStatus
from jobpipe.store.ops.read import Page, QueueRecord
from jobpipe.tasks.registry import Tasks

CONTRACT_FIELDS = """
    id task args queue priority state reason attempt max_attempts created_at run_at queued_at
    started_at finished_at duration_seconds result error progress worker token group tags meta
    idempotency_key blocked_on expires_at timeout_seconds cancel_requested_at
"""

T0 = 1_700_000_000_000_001
"""2023-11-14 22:13:20.000001 UTC."""

FINISHED = JobRecord(
    id=42,
    task="app.add",
    args='{"a":1}',
    queue="mail",
    priority=10,
    state=State.FAILED,
    reason=Reason.ATTEMPTS_EXHAUSTED,
    attempt=5,
    max_attempts=5,
    losses=1,
    reruns=2,
    token=8,
    created_at=T0,
    run_at=None,
    due_at=None,
    queued_at=T0,
    started_at=T0 + 1_000_000,
    finished_at=T0 + 2_500_000,
    expires_at=None,
    cancel_requested_at=None,
    timeout_us=1_500_000,
    result=None,
    error='{"type":"ValueError","message":"no","traceback":"..."}',
    tags='["a"]',
    meta='{"b":null}',
    idempotency_key="k",
    worker="w1",
    worker_pid=7,
)


def changed(**changes: Any) -> JobView:
    return views.job_view(msgspec.structs.replace(FINISHED, **changes))


def test_a_job_has_the_fields_of_the_contract_in_their_order_then_more() -> None:
    shown = msgspec.json.decode(msgspec.json.encode(views.job_view(FINISHED)))
    assert list(shown) == [
        *CONTRACT_FIELDS.split(),
        *["losses", "reruns", "version", "tenant", "unique_key"],
    ]
    assert shown == {
        "id": 42,
        "task": "app.add",
        "args": {"a": 1},
        "queue": "mail",
        "priority": 10,
        "state": "failed",
        "reason": "attempts_exhausted",
        "attempt": 5,
        "max_attempts": 5,
        "created_at": "2023-11-14T22:13:20.000001Z",
        "run_at": None,
        "queued_at": "2023-11-14T22:13:20.000001Z",
        "started_at": "2023-11-14T22:13:21.000001Z",
        "finished_at": "2023-11-14T22:13:22.500001Z",
        "duration_seconds": 1.5,
        "result": None,
        "error": {"type": "ValueError", "message": "no", "traceback": "..."},
        "progress": None,
        "worker": "w1",
        "token": 8,
        "group": None,
        "tags": ["a"],
        "meta": {"b": None},
        "idempotency_key": "k",
        "blocked_on": None,
        "expires_at": None,
        "timeout_seconds": 1.5,
        "cancel_requested_at": None,
        "losses": 1,
        "reruns": 2,
        "version": 1,
        "tenant": None,
        "unique_key": None,
    }


def test_who_waits_in_a_line_is_shown_with_his_place_there_and_back() -> None:
    waits = msgspec.structs.replace(
        FINISHED, state=State.BLOCKED, reason=None, blocked_on="group:g", position=3
    )
    shown = views.job_view(waits)
    assert (shown.blocked_on, shown.position) == ("group:g", 3)
    told = msgspec.json.decode(msgspec.json.encode(shown), type=JobView)
    assert records.job(told).position == 3


@pytest.mark.parametrize("text", ["", "{", "not json", "[1,", "1" * 5_000, "[" * 100_000])
def test_a_corrupt_payload_is_shown_as_the_text_that_stands_there(text: str) -> None:
    view = changed(args=text, result=text, error=text, tags=text, meta=text)
    assert (view.args, view.result, view.error) == (text, text, text)
    assert (view.tags, view.meta) == (text, text)


def test_a_job_without_tags_and_metadata_has_empty_ones() -> None:
    view = changed(tags=None, meta=None, error=None)
    assert (view.tags, view.meta, view.error) == ([], {}, None)


@pytest.mark.parametrize(
    "moment, text",
    [
        (None, None),
        (0, "1970-01-01T00:00:00.000000Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
        (253_402_300_800_000_000, "253402300800000000 microseconds since 1970"),
        (-(2**63), "-9223372036854775808 microseconds since 1970"),
    ],
)
def test_times_are_utc_with_microseconds(moment: int | None, text: str | None) -> None:
    assert views.time_text(moment) == text


@pytest.mark.parametrize(
    "run_at, due_at, shown",
    [
        (None, None, None),
        (T0, None, "2023-11-14T22:13:20.000001Z"),
        (T0, T0 + 9_000_000, "2023-11-14T22:13:29.000001Z"),  # waits for another attempt
        (T0 + 9_000_000, T0, "2023-11-14T22:13:29.000001Z"),  # expires before it may run
        (None, T0, "2023-11-14T22:13:20.000001Z"),
    ],
)
def test_run_at_is_the_earliest_start(
    run_at: int | None, due_at: int | None, shown: str | None
) -> None:
    assert changed(run_at=run_at, due_at=due_at).run_at == shown


@pytest.mark.parametrize(
    "started, finished, seconds",
    [(None, None, None), (T0, None, None), (T0, T0, 0.0), (T0, T0 - 5, 0.0), (T0, T0 + 1, 1e-6)],
)
def test_a_duration_needs_both_ends_and_is_never_negative(
    started: int | None, finished: int | None, seconds: float | None
) -> None:
    view = changed(started_at=started, finished_at=finished)
    assert view.duration_seconds == seconds


@pytest.mark.parametrize(
    "state, reason, asked_at, error, seconds",
    [
        (State.CANCELLED, Reason.BY_USER, T0 + 2_000_000, None, 1.5),
        (State.CANCELLED, Reason.BY_USER, None, None, None),
        (State.CANCELLED, Reason.BY_USER, None, "ValueError", None),
        (State.CANCELLED, Reason.BY_USER, None, "Cancel", 1.5),
        (State.FAILED, Reason.EXPIRED, None, "ValueError", None),
        (State.FAILED, Reason.TIMED_OUT, None, "ValueError", 1.5),
    ],
)
def test_who_may_have_ended_while_it_waited_has_no_duration(
    state: State, reason: Reason, asked_at: int | None, error: str | None, seconds: float | None
) -> None:
    text = error and f'{{"type":"{error}","message":"","traceback":""}}'
    view = changed(state=state, reason=reason, cancel_requested_at=asked_at, error=text)
    assert view.duration_seconds == seconds


LOST = AttemptRecord(
    job_id=42,
    token=3,
    number=1,
    outcome="lost",
    reason=None,
    worker="w1",
    host="h",
    pid=7,
    started_at=T0,
    finished_at=T0 + 250_000,
    error='"x"',
)


@pytest.mark.parametrize(
    "state, token, shown",
    [
        (State.SUCCEEDED, 8, [(3, "lost"), (8, "succeeded")]),
        (State.RUNNING, 8, [(3, "lost"), (8, "running")]),
        (State.RUNNING, 3, [(3, "lost")]),
        (State.FAILED, 8, [(3, "lost")]),
        (State.QUEUED, 8, [(3, "lost")]),
    ],
)
def test_the_attempt_in_the_row_of_the_job_is_shown_with_the_history(
    state: State, token: int, shown: list[tuple[int, str]]
) -> None:
    job = msgspec.structs.replace(FINISHED, state=state, token=token)
    attempts = views.attempt_views(job, [LOST])
    assert [(each.token, each.outcome) for each in attempts] == shown
    if len(shown) == 2:
        assert (attempts[1].worker, attempts[1].pid, attempts[1].number) == ("w1", 7, 5)
        assert attempts[1].duration_seconds == 1.5


def test_an_attempt() -> None:
    assert msgspec.to_builtins(views.attempt_view(LOST)) == {
        "job_id": 42,
        "token": 3,
        "number": 1,
        "outcome": "lost",
        "reason": None,
        "worker": "w1",
        "host": "h",
        "pid": 7,
        "started_at": "2023-11-14T22:13:20.000001Z",
        "finished_at": "2023-11-14T22:13:20.250001Z",
        "duration_seconds": 0.25,
        "error": "x",
    }


def test_a_page_tells_where_the_next_begins() -> None:
    view = views.page_view(Page([FINISHED], 42, looked_down_to=40))
    assert [job.id for job in view.items] == [42]
    assert (view.next_cursor, view.looked_down_to) == ("42", 40)
    assert msgspec.json.encode(views.page_view(Page([], None))) == (
        b'{"items":[],"next_cursor":null,"looked_down_to":null}'
    )


def test_queues_stand_by_name_with_their_counts() -> None:
    queues = [QueueRecord("mail", T0, "holiday"), QueueRecord("default", None, None)]
    counts = {("mail", State.QUEUED): 3, ("late", State.FAILED): 1}
    shown = views.queue_views(queues, counts)
    assert [queue.name for queue in shown] == ["default", "late", "mail"]
    assert (shown[0].paused, shown[0].queued) == (False, 0)
    assert (shown[1].paused, shown[1].failed) == (False, 1)
    assert (shown[2].paused, shown[2].reason, shown[2].queued) == (True, "holiday", 3)
    assert shown[2].paused_at == "2023-11-14T22:13:20.000001Z"


def test_a_queue_counts_every_state() -> None:
    assert {state.value for state in State} <= set(views.QueueView.__struct_fields__)


@pytest.mark.parametrize(
    "done, total, shown",
    [
        (3.0, 10.0, '{"done":3,"total":10,"note":"x"}'),
        (0.0, None, '{"done":0,"total":null,"note":"x"}'),
        (2.5, 1e15, '{"done":2.5,"total":1000000000000000,"note":"x"}'),
        (1, 10, '{"done":1,"total":10,"note":"x"}'),
        (1e300, -2.0, '{"done":1e300,"total":-2,"note":"x"}'),
    ],
)
def test_progress_shows_whole_numbers_as_such(done: float, total: float | None, shown: str) -> None:
    view = changed(progress=ProgressRecord(done=done, total=total, note="x", at=T0))
    assert msgspec.json.encode(view.progress).decode() == shown


def test_what_a_service_shows_is_shown_by_its_clients_in_the_same_way() -> None:
    view = changed(progress=ProgressRecord(done=3.0, total=10.0, note="x", at=T0))
    heard = msgspec.json.decode(msgspec.json.encode(view), type=JobView)
    assert views.job_view(records.job(heard)) == heard


def test_without_a_word_there_is_no_progress() -> None:
    assert changed(progress=None).progress is None


def test_a_worker() -> None:
    record = WorkerRecord(
        id=1,
        name="w1",
        host="h",
        pid=7,
        pid_started="12",
        slots=10,
        queues='["mail:10","default"]',
        started_at=T0,
        seen_at=T0,
        lease_until=T0 + 15_000_000,
        expired=False,
    )
    view = views.worker_view(record)
    assert view.queues == ["mail:10", "default"]
    assert view.lease_until == "2023-11-14T22:13:35.000001Z"
    assert view.supervisor_pid is None
    watched = msgspec.structs.replace(record, supervisor_pid=6)
    assert views.worker_view(watched).supervisor_pid == 6


class Awkward:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


def plain_function(a, b=1): ...  # type: ignore[no-untyped-def]


def typed(a: int, /, b: str = "x", *rest: float, c: bool = False, **more: int) -> list[str]: ...  # type: ignore[empty-body]


def keyword_only(*, a: dict[str, int] | None = None) -> None: ...


def awkward(a: object = Awkward()) -> None: ...


@pytest.mark.parametrize(
    "function, text",
    [
        (plain_function, "(a, b=1)"),
        (
            typed,
            "(a: int, /, b: str = 'x', *rest: float, c: bool = False, **more: int) -> list[str]",
        ),
        (keyword_only, "(*, a: dict[str, int] | None = None) -> None"),
    ],
)
def test_a_signature_is_written_as_it_was_declared(function: Callable[..., Any], text: str) -> None:
    assert task_views.signature_text(inspect.signature(function)) == text


def test_a_default_that_cannot_be_written_breaks_nothing() -> None:
    text = task_views.signature_text(inspect.signature(awkward))
    assert re.fullmatch(r"\(a: object = <Awkward instance at 0x[0-9a-f]+>\) -> None", text)


def test_a_task() -> None:
    tasks = Tasks()

    @tasks.task(
        name="app.add", queue_name="sums", priority=5, retry_delays=(1, 5), give_up_on=KeyError
    )
    async def add(a: int, b: int = 1) -> int:
        """Add two numbers.

        And say so.
        """
        return a + b

    view = task_views.task_view(add)
    assert msgspec.to_builtins(view) == {
        "name": "app.add",
        "queue": "sums",
        "priority": 5,
        "executor": "async",
        "signature": "(a: int, b: int = 1) -> int",
        "doc": "Add two numbers.",
        "version": 1,
        "upgrades": [],
        "aliases": [],
        "options": {
            "max_attempts": None,
            "retry_delays": "1,5",
            "timeout_seconds": None,
            "retry_on": [],
            "give_up_on": ["builtins.KeyError"],
            "on_loss": "retry",
            "store_result": True,
            "version": 1,
        },
    }


def test_a_task_with_what_it_takes() -> None:
    tasks = Tasks()

    @tasks.task(name="mail", version=3, aliases=["old", "older"])
    def mail(to: Path, names: list[str], retries: int = 1) -> None: ...

    mail.upgrade(from_version=2)(lambda args: args)
    mail.upgrade(from_version=1)(lambda args: args)
    view = task_views.task_detail(mail)
    assert (view.version, view.upgrades, view.aliases) == (3, [1, 2], ["old", "older"])
    assert view.args_schema == {
        "title": "Arguments",
        "type": "object",
        "properties": {
            "to": {"type": "string", "format": "path"},
            "names": {"type": "array", "items": {"type": "string"}},
            "retries": {"type": "integer"},
        },
        "required": ["to", "names"],
        "additionalProperties": False,
    }
    assert task_views.task_detail(tasks.remote_task("there")).args_schema is None


def test_a_schema() -> None:
    status = SchemaStatus(applied=(1,), pending=(Migration(2, "more", ""),), known=2)
    assert msgspec.to_builtins(views.schema_view(status)) == {
        "current": 1,
        "known": 2,
        "newer": False,
        "applied": [1],
        "pending": ["0002 more"],
    }


def test_health() -> None:
    assert msgspec.to_builtins(views.health_view("sqlite:///x.db", T0)) == {
        "status": "ok",
        "store": "sqlite:///x.db",
        "time": "2023-11-14T22:13:20.000001Z",
    }
