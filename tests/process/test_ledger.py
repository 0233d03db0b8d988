"""The ledger keeps every line that was written, of every process, in the order of time."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.process.ledger import Ledger, Reader
from tests.process.scene import ROOT

DYING = """
import os, signal, sys
from pathlib import Path
from tests.process.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
for n in range(100):
    ledger.write("start", job=n)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_every_line_that_it_wrote(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", DYING, str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [entry.job for entry in Reader(tmp_path).read()] == list(range(100))


def test_lines_of_many_threads_do_not_mix(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)

    def write() -> None:
        for n in range(200):
            ledger.write("end", op="x" * 500, job=n, how="returned")

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.close()
    entries = Reader(tmp_path).read()
    assert sorted(entry.job or 0 for entry in entries) == sorted(list(range(200)) * 8)
    assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)


def test_each_line_is_read_once_however_often_one_looks(tmp_path: Path) -> None:
    ledger, reader = Ledger(tmp_path), Reader(tmp_path)
    assert reader.read() == []
    for n in (1, 2, 3):
        ledger.write("start", job=n)
        assert [entry.job for entry in reader.read()] == list(range(1, n + 1))
    ledger.close()
