"""Notes when the machine stands still, so that a lease lost to that has its cause in the ledger.

A thread asks for a moment of the processor and for one sync of the disk, again and again. Where
many programs share few processors both may come so late that leases end.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from tests.process.ledger import Ledger

STEP_SECONDS = 0.1


class Pulse:
    """Runs beside a round, from ``start`` to ``stop``."""

    def __init__(self, ledger: Ledger, folder: Path, longest: float) -> None:
        self.stalls = 0
        self._ledger, self._file, self._longest = ledger, folder / "pulse", longest
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        file = os.open(self._file, os.O_WRONLY | os.O_CREAT)
        while not self._stop.is_set():
            began = time.monotonic_ns()
            self._stop.wait(STEP_SECONDS)
            os.pwrite(file, b"x", 0)
            os.fsync(file)
            if time.monotonic_ns() - began > (STEP_SECONDS + self._longest) * 1e9:
                self.stalls += 1
                self._ledger.write("fault", how="the machine stood still", at=began)
                self._ledger.write("over")
        os.close(file)
