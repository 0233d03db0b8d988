"""Declaring tasks, their options, and what a request becomes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, TypeVar

import pytest

from jobpipe.errors import ConfigError, InvalidArguments, PayloadTooLarge, UnknownTask
from jobpipe.model.job import JobRecord, NewJob
from jobpipe.model.state import State
from jobpipe.policy.retry import ExponentialDelays, ListDelays
from jobpipe.tasks.job import Job
from jobpipe.tasks.limits import Limits
from jobpipe.tasks.registry import Registry, TaskDeclarations, Tasks
from jobpipe.tasks.task import AsyncTask, Call, Defaults, Task

R = TypeVar("R")
HERE = __name__
HOUR = timedelta(hours=1)


class Application(TaskDeclarations):
    """An application that keeps what it is asked to store."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.defaults = Defaults(max_attempts=7, timeout_seconds=9.0, max_payload=100)
        self.stored: list[tuple[NewJob, object | None]] = []

    def _enqueuer(self) -> Application:
        return self

    def enqueue_call(self, call: Call[R], on: object | None) -> Job[R]:
        self.stored.append((call.new_job(self.defaults), on))
        return Job(self, len(self.stored), State.QUEUED, signature=call.signature)

    async def aenqueue_call(self, call: Call[R], on: object | None) -> Job[R]:
        return self.enqueue_call(call, on)

    def job_result(self, job: Job[R], timeout: float | None) -> R:
        return job.decode("[1,2]")

    async def job_aresult(self, job: Job[R], timeout: float | None) -> R:  # noqa: ASYNC109
        return job.decode("[1,2]")

    def job_refresh(self, job: Job[Any]) -> JobRecord:
        return record(job.id, State.RUNNING)

    async def job_arefresh(self, job: Job[Any]) -> JobRecord:
        return record(job.id, State.RUNNING)

    def job_cancel(self, job: Job[Any]) -> JobRecord:
        return record(job.id, State.CANCELLED)

    async def job_acancel(self, job: Job[Any]) -> JobRecord:
        return record(job.id, State.CANCELLED)

    def job_rerun(self, job: Job[Any]) -> JobRecord:
        return record(job.id, State.QUEUED)

    async def job_arerun(self, job: Job[Any]) -> JobRecord:
        return record(job.id, State.QUEUED)


def record(id: int, state: State) -> JobRecord:
    nothing: dict[str, Any] = dict.fromkeys(JobRecord.__struct_fields__)
    return JobRecord(
        **nothing
        | {
            "id": id,
            "state": state,
            "attempt": 2,
            "tags": '["a"]',
            "meta": '{"k":1}',
            "error": '{"type":"ValueError","message":"\\ud800"}',
        }
    )


def add(a: int, b: int = 1) -> int:
    return a + b


async def welcome(user_id: int) -> tuple[int, int]:
    return user_id, 2


@pytest.fixture
def app() -> Application:
    return Application()


def test_a_bare_declaration_takes_the_defaults(app: Application) -> None:
    task = app.task(add)
    assert type(task) is Task
    assert task.name == f"{HERE}.add"
    assert task(1, b=2) == 3
    assert (task.__name__, task.__doc__, inspect.unwrap(task)) == ("add", None, add)
    spec = task.spec
    assert (spec.queue, spec.priority, spec.executor, spec.on_loss) == (
        "default",
        0,
        "thread",
        "retry",
    )
    assert (spec.max_attempts, spec.retry_delays, spec.timeout_seconds) == (None, None, None)
    assert (spec.store_result, spec.version, spec.retry_on, spec.give_up_on) == (True, 1, (), ())


def test_a_declaration_with_options_keeps_them(app: Application) -> None:
    task = app.task(
        name="mail.welcome",
        queue_name="mail/eu",
        priority=-100,
        max_attempts=3,
        retry_delays=(1, 5.5),
        timeout=timedelta(seconds=30),
        executor="async",
        version=2,
        retry_on=OSError,
        give_up_on=[ValueError, KeyError],
        on_loss="fail",
        store_result=False,
    )(welcome)
    assert type(task) is AsyncTask
    spec = task.spec
    assert (spec.name, spec.queue, spec.priority, spec.max_attempts) == (
        "mail.welcome",
        "mail/eu",
        -100,
        3,
    )
    assert (spec.retry_delays, spec.timeout_seconds) == (ListDelays((1.0, 5.5)), 30.0)
    assert (spec.executor, spec.version, spec.on_loss, spec.store_result) == (
        "async",
        2,
        "fail",
        False,
    )
    assert (spec.retry_on, spec.give_up_on) == ((OSError,), (ValueError, KeyError))


@pytest.mark.parametrize("delays", ["exponential:1:60", ExponentialDelays(1.0, 60.0)])
def test_retry_delays_may_be_a_text_or_ready_made(app: Application, delays: Any) -> None:
    assert app.task(retry_delays=delays)(add).spec.retry_delays == ExponentialDelays(1.0, 60.0)


def drive(coroutine: Any) -> Any:
    """Run a coroutine that never waits."""
    with pytest.raises(StopIteration) as caught:
        coroutine.send(None)
    return caught.value.value


def generates() -> Any:
    yield 1


async def streams() -> Any:
    yield 1


@pytest.mark.parametrize(
    "function,options,trouble",
    [
        (add, {"name": ""}, "name=''"),
        (add, {"name": "a\nb"}, "name='a\\\\nb'"),
        (add, {"name": "x" * 201}, "1 to 200 characters"),
        (add, {"name": "\ud800"}, "name="),
        (add, {"name": 5}, "name=5"),
        (add, {"queue_name": "two words"}, "queue_name='two words'"),
        (add, {"queue_name": "-x"}, "queue_name='-x'"),
        (add, {"queue_name": "mail\n"}, "queue_name="),
        (add, {"queue_name": None}, "queue_name=None"),
        (add, {"priority": 101}, "priority=101 .* from -100 to 100"),
        (add, {"priority": True}, "priority=True"),
        (add, {"priority": 1.0}, "priority=1.0"),
        (add, {"max_attempts": 0}, "max_attempts=0"),
        (add, {"max_attempts": "3"}, "max_attempts='3'"),
        (add, {"timeout": 0}, "timeout=0"),
        (add, {"timeout": -1.5}, "timeout=-1.5"),
        (add, {"timeout": float("inf")}, "timeout=inf"),
        (add, {"timeout": float("nan")}, "timeout=nan"),
        (add, {"timeout": True}, "timeout=True"),
        (add, {"timeout": "30"}, "timeout='30'"),
        (add, {"timeout": 10**400}, "timeout=1000"),
        (add, {"retry_delays": ()}, "retry_delays="),
        (add, {"retry_delays": (1, -1)}, "retry_delays="),
        (add, {"retry_delays": 5}, "retry_delays=5"),
        (add, {"retry_delays": "sometimes"}, "retry_delays='sometimes'"),
        (add, {"executor": "async"}, "executor='async' .*a `def` runs in a thread"),
        (welcome, {"executor": "thread"}, "executor='thread' .* on the event loop"),
        (add, {"limits": Limits()}, "only with executor=.process."),
        (add, {"executor": "process", "limits": 512}, "limits=512"),
        (add, {"executor": "fiber"}, "executor='fiber'"),
        (add, {"retry_on": ("ValueError",)}, "retry_on="),
        (add, {"retry_on": int}, "retry_on="),
        (add, {"give_up_on": ValueError()}, "give_up_on="),
        (add, {"on_loss": "shrug"}, "on_loss='shrug'"),
        (add, {"on_loss": []}, "on_loss="),
        (add, {"store_result": 1}, "store_result=1"),
        (add, {"version": 0}, "version=0"),
        (generates, {}, "this one yields"),
        (streams, {}, "this one yields"),
        (len, {}, "a function made by"),
        (Tasks, {}, "a function made by"),
    ],
)
def test_a_wrong_declaration_is_refused_and_named(
    app: Application, function: Callable[..., Any], options: dict[str, Any], trouble: str
) -> None:
    with pytest.raises(ConfigError, match=trouble) as caught:
        app.task(**options)(function)
    assert str(caught.value).startswith("task ")
    assert len(app.registry) == 0


def test_an_unknown_option_is_answered_with_the_nearest(app: Application) -> None:
    declare: Any = app.task
    with pytest.raises(ConfigError, match=r"no option 'prioriti'; did you mean priority\?"):
        declare(prioriti=1)
    with pytest.raises(ConfigError, match=r"no option 'zzz'$"):
        declare(zzz=1)


def test_nested_functions_and_lambdas_may_be_tasks(app: Application) -> None:
    def inner(a: int) -> int:
        return a

    assert app.task(inner).name.endswith("<locals>.inner")
    assert app.task(name="double")(lambda a: 2 * a)(4) == 8


def test_a_script_is_named_by_its_file(app: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    import __main__

    monkeypatch.setattr(__main__, "__file__", "/somewhere/nightly.py", raising=False)
    monkeypatch.setattr(add, "__module__", "__main__")
    assert app.task(add).name == "nightly.add"


def test_a_request_is_filled_from_options_then_task_then_defaults(app: Application) -> None:
    bare = app.task(name="bare")(add)
    own = app.task(
        name="own", queue_name="q", priority=3, max_attempts=2, timeout=1.5, on_loss="fail"
    )(add)
    given = own.using(queue_name="z", priority=0, max_attempts=1, timeout=0.25)
    for task in (bare, own, given):
        task.enqueue(1, b=2)
    bare_job, own_job, given_job = (job for job, _ in app.stored)
    assert bare_job == NewJob(
        task="bare", args='{"a":1,"b":2}', max_attempts=7, timeout_us=9_000_000, max_losses=3
    )
    assert own_job == NewJob(
        task="own",
        args='{"a":1,"b":2}',
        queue="q",
        priority=3,
        max_attempts=2,
        timeout_us=1_500_000,
        max_losses=1,
    )
    assert (given_job.queue, given_job.priority, given_job.max_attempts, given_job.timeout_us) == (
        "z",
        0,
        1,
        250_000,
    )


def test_every_option_of_a_request_is_stored_in_its_unit(app: Application) -> None:
    connection = object()
    task = app.task(add).using(
        run_after=timedelta(minutes=5),
        idempotency_key="order-7",
        tags=("a", "b"),
        meta={"k": [1, None]},
        expires_in=60,
        on=connection,
    )
    task.enqueue(1)
    ((job, on),) = app.stored
    assert on is connection
    assert (job.delay_us, job.run_at, job.expires_in_us) == (300_000_000, None, 60_000_000)
    assert (job.idempotency_key, job.tags, job.meta) == ("order-7", '["a","b"]', '{"k":[1,null]}')


def test_using_makes_a_new_task_and_later_options_win(app: Application) -> None:
    task = app.task(add)
    first = task.using(priority=5, run_after=timedelta(seconds=-1))
    second = first.using(run_after=datetime(1970, 1, 2, tzinfo=UTC), expires_in=0.5)
    third = second.using(run_after=timedelta(seconds=2))
    assert task.options.priority is None
    assert (first.options.priority, first.options.delay_us) == (5, 0)
    assert (second.options.priority, second.options.delay_us) == (5, None)
    assert (second.options.run_at, second.options.expires_in_us) == (86_400_000_000, 500_000)
    assert (third.options.run_at, third.options.delay_us) == (None, 2_000_000)
    assert third(1, 1) == 2


@pytest.mark.parametrize(
    "options,trouble",
    [
        ({"priority": -101}, "priority=-101"),
        ({"priority": False}, "priority=False"),
        ({"run_after": 5}, "run_after=5"),
        ({"run_after": datetime(2026, 1, 1)}, "naive"),  # noqa: DTZ001
        ({"run_after": timedelta.max}, "run_after="),
        ({"run_after": datetime(9999, 12, 31, 23, tzinfo=timezone(-HOUR))}, "year 9999"),
        ({"run_after": datetime(1, 1, 1, tzinfo=timezone(HOUR))}, "from year 1"),
        ({"queue_name": ""}, "queue_name=''"),
        ({"max_attempts": 0}, "max_attempts=0"),
        ({"idempotency_key": ""}, "idempotency_key=''"),
        ({"idempotency_key": "k" * 201}, "idempotency_key="),
        ({"idempotency_key": "a\x00"}, "idempotency_key="),
        ({"idempotency_key": 7}, "idempotency_key=7"),
        ({"tags": "abc"}, "tags='abc'"),
        ({"tags": ["a", 1]}, "tags="),
        ({"tags": [""]}, "tags="),
        ({"tags": ["t"] * 101}, "tags="),
        ({"meta": [1]}, "meta="),
        ({"meta": {"a": {1}}}, "option meta: it would come back"),
        ({"meta": {1: "a"}}, "option meta"),
        ({"meta": {"a": float("nan")}}, "option meta"),
        ({"expires_in": 0}, "expires_in=0"),
        ({"expires_in": timedelta(seconds=-1)}, "expires_in="),
        ({"timeout": float("nan")}, "timeout=nan"),
    ],
)
def test_a_wrong_option_of_a_request_is_refused_and_named(
    app: Application, options: dict[str, Any], trouble: str
) -> None:
    task = app.task(add)
    with pytest.raises(InvalidArguments, match=trouble):
        task.using(**options)


def test_wrong_arguments_are_refused_before_anything_is_stored(app: Application) -> None:
    task: Any = app.task(add)
    for args in ((), ("x",), (1, 2, 3)):
        with pytest.raises(InvalidArguments):
            task.enqueue(*args)
        with pytest.raises(InvalidArguments):
            drive(task.aenqueue(*args))
    assert app.stored == []


def test_too_large_a_request_is_refused(app: Application) -> None:
    def keep(text: str) -> None: ...

    task = app.task(keep)
    task.enqueue("x" * 89)
    with pytest.raises(PayloadTooLarge, match="arguments need 101 bytes; at most 100"):
        task.enqueue("x" * 90)
    with pytest.raises(PayloadTooLarge, match="metadata need 101 bytes"):
        task.using(meta={"k": "x" * 93}).enqueue("")
    assert len(app.stored) == 1


def test_a_handle_tells_what_it_read_last(app: Application) -> None:
    job = app.task(welcome).enqueue(1)
    assert (job.id, job.state, job.record) == (1, State.QUEUED, None)
    assert (job.attempt, job.error, job.tags, job.meta) == (0, None, [], {})
    assert repr(job) == "<Job 1 queued>"
    assert job.result(timeout=1) == (1, 2)
    assert job.refresh() is job
    assert (job.state, job.attempt, job.tags, job.meta) == (State.RUNNING, 2, ["a"], {"k": 1})
    assert job.error == {"type": "ValueError", "message": "\ud800"}
    assert job.cancel().state == State.CANCELLED
    assert job.rerun().state == State.QUEUED


def test_the_async_verbs_do_the_same(app: Application) -> None:
    task = app.task(welcome)
    assert drive(task(3)) == (3, 2)
    job = drive(task.aenqueue(1))
    assert drive(job.aresult()) == (1, 2)
    assert drive(job.arefresh()).state == State.RUNNING
    assert drive(job.acancel()).state == State.CANCELLED
    assert drive(job.arerun()).state == State.QUEUED


def test_tasks_without_an_application_cannot_enqueue() -> None:
    task = Tasks().task(add)
    assert task(1) == 2
    with pytest.raises(ConfigError, match="no application") as caught:
        task.enqueue(1)
    assert "jp.include(tasks)" in caught.value.help


def test_included_tasks_enqueue_through_the_application(app: Application) -> None:
    tasks = Tasks()
    before = tasks.task(name="before")(add)
    copied = before.using(priority=9)
    app.include(tasks)
    after = tasks.task(name="after")(add)
    for task in (before, copied, after):
        task.enqueue(1)
    assert [(job.task, job.priority) for job, _ in app.stored] == [
        ("before", 0),
        ("before", 9),
        ("after", 0),
    ]
    assert list(app.registry) == [after, before]
    app.include(tasks)


def test_tasks_may_include_tasks(app: Application) -> None:
    outer, inner = Tasks(), Tasks()
    task = inner.task(add)
    outer.include(inner)
    app.include(outer)
    task.enqueue(1)
    assert app.registry.get(task.name) is task


def test_tasks_cannot_include_themselves() -> None:
    outer, inner = Tasks(), Tasks()
    outer.include(inner)
    for tasks in (outer, inner):
        with pytest.raises(ConfigError, match="themselves"):
            inner.include(tasks)


def test_only_tasks_are_included(app: Application) -> None:
    wrong: Any = 5
    with pytest.raises(ConfigError, match="a Tasks object, not int"):
        app.include(wrong)


def test_tasks_belong_to_one_application(app: Application) -> None:
    tasks = Tasks()
    app.include(tasks)
    with pytest.raises(ConfigError, match="another application"):
        Application().include(tasks)


def test_a_name_belongs_to_one_task(app: Application) -> None:
    app.task(name="same")(add)
    with pytest.raises(ConfigError, match=rf"named same: {HERE} line \d+ and {HERE} line \d+"):
        app.task(name="same")(welcome)


def test_an_inclusion_with_a_taken_name_includes_nothing(app: Application) -> None:
    app.task(name="same")(add)
    tasks = Tasks()
    tasks.task(name="other")(add)
    tasks.task(name="same")(add)
    with pytest.raises(ConfigError, match="named same"):
        app.include(tasks)
    assert [task.name for task in app.registry] == ["same"]
    with pytest.raises(ConfigError, match="no application"):
        tasks.registry.get("other").enqueue(1)


def test_an_unknown_name_is_answered_with_the_nearest(app: Application) -> None:
    task = app.task(name="mail.welcome")(add)
    assert app.registry.get("mail.welcome") is task
    assert "mail.welcome" in app.registry
    with pytest.raises(UnknownTask, match=r"named 'mail.welcom'; did you mean mail.welcome\?"):
        app.registry.get("mail.welcom")
    with pytest.raises(UnknownTask, match=r"named 'zzz'$"):
        app.registry.get("zzz")
