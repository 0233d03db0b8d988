"""The workers of docs/any-language.md, run as they stand there, against a service on each store."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from jobpipe import Jobpipe, State
from tests.waiting import until

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "any_language"

COUNT = """#!/bin/sh
sed 's/.*"text":"//; s/".*//' | wc -w
"""
SLOW = """#!/bin/sh
echo $$ >> started
[ "$(wc -l < started)" -gt 1 ] || exec sleep 30
echo '"done"'
"""


@pytest.fixture
def app(store_url: str) -> Iterator[Jobpipe]:
    application = Jobpipe(store_url, poll_seconds=0.2, lease_seconds=2)
    for task in ("text.count", "text.slow", "text.broken"):
        application.remote_task(task, queue_name="shell", max_attempts=1)
    for task in ("text.reverse", "text.fail"):
        application.remote_task(task, queue_name="node", max_attempts=1)
    yield application
    application.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a shell worker finds its programs."""
    folder = tmp_path / "shell"
    (folder / "tasks").mkdir(parents=True)
    for name, text in {
        "text.count": COUNT,
        "text.slow": SLOW,
        "text.broken": "#!/bin/sh\nexit 3\n",
    }.items():
        (folder / "tasks" / name).write_text(text)
        (folder / "tasks" / name).chmod(0o755)
    return folder


def started(command: list[str], url: str, folder: Path) -> subprocess.Popen[bytes]:
    environ = {name: value for name, value in os.environ.items() if "JOBPIPE" not in name}
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**environ, "JOBPIPE_URL": url},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def killed(process: subprocess.Popen[bytes]) -> None:
    """Kill the worker alone, as a machine out of memory would."""
    process.kill()
    process.wait()


def cleared(process: subprocess.Popen[bytes]) -> None:
    """Kill the worker and all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def shell(served: str, folder: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Shell workers that the test starts; the first one runs."""
    workers = [started(["sh", str(EXAMPLES / "worker.sh"), "shell", "3"], served, folder)]
    yield workers
    for worker in workers:
        cleared(worker)


def test_a_shell_runs_jobs(app: Jobpipe, shell: list[subprocess.Popen[bytes]]) -> None:
    counted = app.enqueue_named("text.count", {"text": "one two three"})
    broken = app.enqueue_named("text.broken")
    assert counted.result(timeout=20) == 3
    until(lambda: broken.refresh().state is State.FAILED)
    error = app.job_view(broken.id).error
    assert error is not None
    assert (error["type"], error["message"]) == ("ExitCode", "3")
    view = app.job_view(counted.id)
    assert view.worker == f"shell-{shell[0].pid}"


def test_the_job_of_a_killed_shell_runs_again(
    app: Jobpipe, served: str, folder: Path, shell: list[subprocess.Popen[bytes]]
) -> None:
    """Lasts as long as a lease, 3 s, and what is left of the beat before."""
    job = app.enqueue_named("text.slow")
    until(lambda: (folder / "started").exists())
    killed(shell[0])
    shell.append(started(["sh", str(EXAMPLES / "worker.sh"), "shell", "3"], served, folder))
    assert job.result(timeout=30) == "done"
    record = job.refresh().record
    assert record is not None
    assert (record.token, record.losses, record.attempt) == (2, 1, 1)
    assert [each.outcome for each in app.attempts(job.id)] == ["lost", "succeeded"]


def test_node_runs_jobs(app: Jobpipe, served: str, tmp_path: Path) -> None:
    node = shutil.which("node")
    assert node is not None, "Node is needed: install it, as the README says"
    worker = started([node, str(EXAMPLES / "worker.mjs")], served, tmp_path)
    try:
        jobs = [app.enqueue_named("text.reverse", {"text": f"{n}añ"}) for n in range(10)]
        failing = app.enqueue_named("text.fail")
        assert [job.result(timeout=20) for job in jobs] == [f"ña{n}" for n in range(10)]
        until(lambda: failing.refresh().state is State.FAILED)
        error = app.job_view(failing.id).error
        assert error is not None
        assert (error["type"], error["message"]) == ("TypeError", "it failed")
        assert "worker.mjs" in error["traceback"]
    finally:
        cleared(worker)


def test_the_page_shows_the_workers_word_for_word() -> None:
    page = (ROOT / "docs" / "any-language.md").read_text(encoding="utf-8")
    for name in ("worker.sh", "worker.mjs"):
        assert (EXAMPLES / name).read_text(encoding="utf-8") in page
