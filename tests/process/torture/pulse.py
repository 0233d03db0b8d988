"""Notes when the machine stands still, so that a lease lost to that has its cause in the ledger.

A thread asks for a moment of the processor, one sync of the disk and (of a server) one small
commit, again and again. Where many programs share few processors these may come so late that leases
end. The commit goes to a database of its own, so it waits for nothing that Jobpipe locks.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import psycopg

from tests.process.ledger import Ledger
from tests.servers.postgres import PostgresServer

STEP_SECONDS = 0.1


class Pulse:
    """Runs beside a round, from ``start`` to ``stop``."""

    def __init__(
        self, ledger: Ledger, folder: Path, longest: float, server: PostgresServer | None
    ) -> None:
        self.stalls = 0
        self._ledger, self._file, self._longest = ledger, folder / "pulse", longest
        self._server = server
        self._connection: psycopg.Connection[Any] | None = None
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
            self._commit()
            if time.monotonic_ns() - began > (STEP_SECONDS + self._longest) * 1e9:
                self.stalls += 1
                self._ledger.write("fault", how="the machine stood still", at=began)
                self._ledger.write("over")
        os.close(file)
        if self._connection is not None:
            self._connection.close()

    def _commit(self) -> None:
        """Commit a row; a server that is away at the moment has a fault of its own."""
        if self._server is None:
            return
        try:
            if self._connection is None:
                self._connection = psycopg.connect(self._server.url(), autocommit=True)
                self._connection.execute("CREATE TABLE IF NOT EXISTS pulse (n int)")
            self._connection.execute("INSERT INTO pulse VALUES (1)")
        except psycopg.Error:
            self._connection = None
