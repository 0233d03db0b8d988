"""Tasks without code here: their jobs take any JSON, and wait for programs elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobpipe import Jobpipe, Reason, State, Tasks
from jobpipe.app.task_views import task_view
from jobpipe.errors import ConfigError, InvalidArguments
from tests.conformance.app.site import Site


@pytest.mark.parametrize("args", [{}, {"src": "a", "self": 1, "deep": {"x": [None]}}, [1, "two"]])
def test_any_json_is_an_argument(site: Site, args: Any) -> None:
    jp = site.jobpipe()
    jp.remote_task("far", queue_name="elsewhere", priority=3, max_attempts=7, timeout=5)
    job = site.do(jp, "enqueue_named", "far", args)
    record = site.seen(job)
    assert msgspec.json.decode(record.args) == args
    assert (record.queue, record.priority, record.max_attempts) == ("elsewhere", 3, 7)
    assert (record.timeout_us, record.state) == (5_000_000, State.QUEUED)


def test_arguments_go_by_name_or_by_position(site: Site) -> None:
    far = site.jobpipe().remote_task("far")
    assert site.seen(site.enqueue(far, src="a")).args == '{"src":"a"}'
    assert site.seen(site.enqueue(far.using(priority=1), 1, 2)).args == "[1,2]"
    with pytest.raises(InvalidArguments, match="all by name or all by position"):
        site.enqueue(far, 1, src="a")
    with pytest.raises(InvalidArguments, match="NUL"):
        site.enqueue(far, src="\0")


def test_a_worker_of_ours_parks_its_jobs_once(site: Site) -> None:
    jp = site.jobpipe()
    far = jp.remote_task("far")
    job = site.enqueue(far)
    for _ in range(2):  # the second one would bring back what it could run
        site.drain(jp)
        record = site.seen(job)
        assert (record.state, record.reason) == (State.PARKED, Reason.UNKNOWN_TASK)
        assert (record.attempt, record.token) == (0, 1)


def test_there_is_nothing_to_call() -> None:
    with pytest.raises(ConfigError, match="task far has no code here"):
        Tasks().remote_task("far")(1)


def test_options_about_a_function_are_refused() -> None:
    with pytest.raises(ConfigError, match="remote task far has no option 'executor'"):
        Tasks().remote_task("far", executor="thread")
    with pytest.raises(ConfigError, match="task far: priority=1000 is refused"):
        Tasks().remote_task("far", priority=1_000)


def test_it_is_shown_as_remote() -> None:
    view = task_view(Tasks().remote_task("far", queue_name="elsewhere"))
    assert (view.name, view.queue, view.executor) == ("far", "elsewhere", "remote")


def test_files_declare_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobpipe.toml").write_text(
        '[tasks."image.resize"]\nqueue_name = "images"\nretry_delays = [1, 5]\n[tasks.plain]\n'
    )
    jp = Jobpipe("sqlite:///jobs.db")
    spec = jp.registry.get("image.resize").spec
    assert (spec.queue, str(spec.retry_delays), spec.executor) == ("images", "1,5", "remote")
    assert jp.registry.get("plain").spec.queue == "default"


@pytest.mark.parametrize(
    "text, refusal",
    [
        ("tasks = 1\n", "tasks is not a table"),
        ("[tasks]\nfar = 1\n", "tasks.far is not a table"),
        ("[tasks.far]\nqueue = 'x'\n", "tasks.far.queue: unknown option; the nearest known one is"),
        ("[tasks.far]\npriority = 'x'\n", "task far: priority='x' is refused"),
    ],
)
def test_files_with_mistakes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, refusal: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobpipe.toml").write_text(text)
    with pytest.raises(ConfigError, match=refusal):
        Jobpipe("sqlite:///jobs.db")
