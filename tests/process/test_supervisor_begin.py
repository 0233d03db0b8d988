"""How ``jobpipe worker`` begins: in any way of starting it, and when it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobpipe.runtime.supervisor.launch import Command, Launched, Launcher
from tests.process.supervised import Supervised, children_of

APP = """
from jobpipe import Jobpipe
import os
jp = Jobpipe()
@jp.task(name="pid")
def pid() -> int:
    return os.getpid()
"""
SCRIPT = Path(sys.executable).parent / "jobpipe"


@pytest.mark.parametrize(
    "text, code, words",
    [
        ("import nowhere", 2, "importing broken failed: ModuleNotFoundError"),
        ("raise SystemExit(9)", 2, "importing broken failed: SystemExit: 9"),
        ("import os; os._exit(9)", 9, ""),
        ("import os; os.kill(os.getpid(), 9)", 137, ""),
    ],
)
def test_a_worker_that_cannot_begin_ends_the_supervisor_with_its_code(
    on_sqlite: Supervised, tmp_path: Path, text: str, code: int, words: str
) -> None:
    (tmp_path / "broken.py").write_text(text, encoding="utf-8")
    program = on_sqlite.start("broken:jp", cwd=tmp_path, JOBPIPE_APP="none")
    assert program.wait(20) == code
    assert words in on_sqlite.text()
    assert len(on_sqlite.events("ChildDied")) == (not words)  # it has said why: one line is enough


def test_a_store_that_is_away_is_told_by_the_exit_code(on_sqlite: Supervised) -> None:
    url = "postgresql://me:s3cret@127.0.0.1:1/jobs"
    assert on_sqlite.start(JOBPIPE_URL=url).wait(20) == 75
    assert "s3cret" not in on_sqlite.text()
    assert on_sqlite.events("ChildDied") == []


def test_a_wrong_setting_is_refused_before_anything_is_started(on_sqlite: Supervised) -> None:
    assert on_sqlite.start("--processes", "65").wait(20) == 2
    assert "a whole number from 1 to 64" in on_sqlite.text()
    assert on_sqlite.events("ChildStarted") == []


def test_the_script_works_from_a_folder_with_a_misleading_module(
    on_sqlite: Supervised, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    (tmp_path / "signal.py").write_text("raise SystemExit('not this one')", encoding="utf-8")
    relative = os.path.relpath(SCRIPT, tmp_path)
    supervisor = on_sqlite.start(
        "app.py",
        command=[relative],
        cwd=tmp_path,
        JOBPIPE_APP="none",
        JOBPIPE_URL="sqlite:///jobs.db",
    )
    (child,) = on_sqlite.until(lambda: children_of(supervisor.pid), "a child")
    assert on_sqlite.jp.job(on_sqlite.ask_pid()).result(20) == child


def test_an_application_that_changes_the_folder_is_followed(
    on_sqlite: Supervised, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    text = f"import os\nos.chdir({str(tmp_path)!r})\n{APP}"
    (elsewhere / "app.py").write_text(text, encoding="utf-8")
    on_sqlite.start(
        "app:jp", cwd=elsewhere, JOBPIPE_URL="sqlite:///jobs.db", JOBPIPE_LEASE_SECONDS="1"
    )
    first = on_sqlite.jp.job(on_sqlite.ask_pid()).result(20)
    os.kill(first, 9)
    on_sqlite.until_events("WorkerStarted", 2)
    assert on_sqlite.jp.job(on_sqlite.ask_pid()).result(20) != first
    assert on_sqlite.events("StoreLost") == []


def test_a_store_in_memory_needs_no_leases(on_sqlite: Supervised) -> None:
    supervisor = on_sqlite.start("--burst", JOBPIPE_URL="sqlite:///:memory:")
    assert supervisor.wait(20) == 0
    assert on_sqlite.events("StoreLost") == []


AFTER_ITS_FIRST = """
import os
from jobpipe.config.load import load_settings
from jobpipe.runtime.supervisor.launch import Command, Launcher
from jobpipe.runtime.supervisor.supervisor import Plan, Supervisor

class Ahead(Launcher):
    def launch_ahead(self):
        super().launch_ahead()
        os.kill(self._ahead.popen.pid, 9)
        os.waitid(os.P_PID, self._ahead.popen.pid, os.WEXITED | os.WNOWAIT)

launcher = Ahead(Command(["worker"], is_script=False))
launcher.launch_ahead()
raise SystemExit(Supervisor(Plan(launcher, load_settings(), connect=None)).run())
"""


def test_a_first_worker_that_dies_before_its_supervisor_listens_is_seen(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", AFTER_ITS_FIRST], cwd=tmp_path, timeout=20)
    assert ended.returncode == 137


def test_a_worker_started_ahead_is_the_first_one_and_ends_with_its_launcher() -> None:
    launcher = Launcher(Command(["worker"], is_script=False))
    launcher.launch_ahead()
    first = launcher.launch()
    launcher.close()  # it has been asked for, so it is not the launcher's any more
    launcher.launch_ahead()
    second = launcher.launch()
    assert first.popen.pid != second.popen.pid
    assert first.popen.poll() is None
    for each in (first, second):
        each.discard()
        assert each.popen.returncode == -9


def test_a_worker_started_ahead_that_nobody_asks_for_is_ended() -> None:
    launcher = Launcher(Command(["worker"], is_script=False))
    before = children_of(os.getpid())
    launcher.launch_ahead()
    (child,) = set(children_of(os.getpid())) - set(before)
    launcher.close()
    assert not Path(f"/proc/{child}").exists()


def test_a_worker_whose_supervisor_is_gone_before_the_welcome_ends_without_a_word(
    capfd: pytest.CaptureFixture[str],
) -> None:
    launched = Launched(Command(["worker"], is_script=False))
    launched.link.close()
    assert launched.popen.wait(20) == 137
    launched.page.close()
    assert capfd.readouterr() == ("", "")
