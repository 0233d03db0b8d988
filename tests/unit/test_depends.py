"""Depends: what is no argument of a job, what may provide it, and how wrong uses are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from jobpipe import Depends, RunningJob, Tasks
from jobpipe.app.task_views import task_view
from jobpipe.errors import ConfigError, InvalidArguments
from jobpipe.tasks.codec import decode_args
from jobpipe.tasks.registry import DeclaredTask

if TYPE_CHECKING:
    from collections import OrderedDict


class Session:
    """Nothing that JSON could say."""


def get_session() -> Session:
    return Session()


@pytest.fixture
def report() -> Any:
    @Tasks().task
    def report(user: int, db: Session = Depends(get_session), days: int = 7) -> object:
        return db

    return report


def test_what_is_provided_is_no_argument_of_the_job(report: Any) -> None:
    call = report.call(1, days=2)
    assert call.args == '{"user":1,"days":2}'
    assert decode_args(report.signature, call.args) == ((), {"user": 1, "days": 2})
    assert task_view(report).signature == "(user: int, *, days: int = 7) -> object"


@pytest.mark.parametrize(
    "args, kwargs, message",
    [
        ((1, Session()), {}, "too many positional arguments"),
        ((1, 7), {}, "too many positional arguments"),
        ((1,), {"db": Session()}, r"db is provided by the worker \(Depends\)"),
    ],
    ids=["by place", "in its place", "by name"],
)
def test_what_is_provided_cannot_be_enqueued(
    report: Any, args: tuple[object, ...], kwargs: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidArguments, match=message):
        report.call(*args, **kwargs)


def test_what_is_provided_is_no_part_of_the_rest() -> None:
    @Tasks().task
    def gather(*names: str, db: Session = Depends(get_session), **more: int) -> None: ...

    with pytest.raises(InvalidArguments, match="db is provided by the worker"):
        gather.call("a", db=1)
    text = gather.call("a", "b", c=1).args
    assert decode_args(gather.signature, text) == (("a", "b"), {"c": 1})


def test_a_plain_call_stays_plain(report: Any) -> None:
    session = Session()
    assert report(1, session) is session
    nothing = report(1)
    with pytest.raises(
        AttributeError, match=r"Depends\(.*get_session\) has no 'execute'.*yourself"
    ):
        nothing.execute("select")


def order(task: DeclaredTask) -> list[Callable[..., Any]]:
    assert task.dependencies is not None
    return [provider.function for provider in task.dependencies.order]


def test_each_provider_comes_once_and_after_what_it_needs() -> None:
    def leaf() -> int:
        return 1

    def left(leaf: int = Depends(leaf)) -> int:
        return leaf

    def right(job: RunningJob, leaf: int = Depends(leaf), other: int = 3) -> int:
        return leaf

    @Tasks().task
    def task(
        one: int = Depends(right), two: int = Depends(left), three: int = Depends(leaf)
    ) -> None: ...

    assert order(task) == [leaf, right, left]
    assert task.dependencies is not None
    assert [(name, each.function) for name, each in task.dependencies.arguments] == [
        ("one", right),
        ("two", left),
        ("three", leaf),
    ]
    assert [each.jobs for each in task.dependencies.order] == [(), ("job",), ()]


class Maker:
    def __call__(self) -> Iterator[int]:
        yield 1

    def method(self) -> int:
        return 1


def test_a_provider_is_whatever_can_be_called() -> None:
    maker = Maker()

    def with_argument(n: int) -> int:
        return n

    @Tasks().task
    def task(
        a: int = Depends(maker),
        b: int = Depends(maker.method),
        c: Session = Depends(Session),
        d: dict[str, int] = Depends(dict),
        e: int = Depends(partial(with_argument, 1)),
    ) -> None: ...

    assert task.dependencies is not None
    kinds = [provider.kind for provider in task.dependencies.order]
    assert kinds == ["generator", "value", "value", "value", "value"]


def test_a_job_is_known_by_its_name_where_types_cannot_be_resolved() -> None:
    def provider(job: RunningJob, other: OrderedDict[str, int] | None = None) -> int:
        return job.id

    @Tasks().task
    def task(a: int = Depends(provider)) -> None: ...

    assert task.dependencies is not None
    assert task.dependencies.order[0].jobs == ("job",)


def lacking(x: int) -> int:
    return x


def circle(a: int = 0) -> int:
    return a


circle.__defaults__ = (Depends(circle),)


@contextmanager
def managed() -> Iterator[int]:
    yield 1


class Unhashable:
    __hash__ = None  # type: ignore[assignment]

    def __call__(self) -> int:
        return 1


@pytest.mark.parametrize(
    "provider, message",
    [
        (lacking, "provider .*lacking needs 'x', which nothing gives"),
        (circle, r"go in a circle: .*circle -> .*circle"),
        (managed, "wraps a generator: leave out @contextmanager"),
        (Unhashable(), "is not hashable"),
    ],
    ids=["lacking", "circle", "managed", "unhashable"],
)
def test_a_wrong_provider_is_refused_when_the_task_is_declared(
    provider: Callable[..., int], message: str
) -> None:
    def task(a: int = Depends(provider)) -> None: ...

    with pytest.raises(ConfigError, match=message):
        Tasks().task(name="wrong")(task)


def test_what_is_provided_has_no_place_of_its_own() -> None:
    def by_place(db: Session = Depends(get_session), /) -> None: ...
    def gathered(db: Session = Depends(get_session), *rest: int) -> None: ...

    for function in (by_place, gathered):
        with pytest.raises(
            ConfigError, match=r"db = Depends\(.*get_session\) has to come after a \*"
        ):
            Tasks().task(name="wrong")(function)


def test_only_what_can_be_called_provides() -> None:
    wrong: Any = 5
    with pytest.raises(ConfigError, match="Depends takes a function, not int"):
        Depends(wrong)
