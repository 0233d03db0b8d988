"""Where the store of a torture lives: on a small disk of its own, which can be filled and freed.

The disk is a tmpfs, which only root can mount; without it nothing is filled. A SQLite file lies on
it with its log; of PostgreSQL the tables do (a tablespace), not the server's log.
"""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.servers.postgres import PostgresServer

DISK_MB = 64
BLOCK = bytes(64 * 1024)


class Disk:
    """A folder whose file system can be filled, if it is one of its own."""

    def __init__(self, folder: Path, *, own: bool) -> None:
        self.folder, self.own = folder, own
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Take all the space that is left."""
        with self._filler.open("wb", buffering=0) as file:
            for size in (len(BLOCK), 512):
                try:
                    while file.write(BLOCK[:size]):
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise

    def free(self) -> None:
        """Give the space back."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk() -> Iterator[Disk]:
    """Mount a small disk; without the right to, offer a plain folder that cannot be filled."""
    with tempfile.TemporaryDirectory(prefix="jobpipe-disk-") as folder:
        if os.geteuid() != 0 or not _mount(folder):
            yield Disk(Path(folder), own=False)
            return
        try:
            yield Disk(Path(folder), own=True)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


def _mount(folder: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", folder]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class SqlitePlace:
    """A database file a round, each on the same small disk."""

    server: PostgresServer | None = None

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    def new(self, number: int) -> str:
        """Return the URL of an empty store."""
        for left in self.disk.folder.glob("jobs-*"):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()
        return f"sqlite:///{self.disk.folder / f'jobs-{number}.db'}"


class PostgresPlace:
    """A database a round on a server of our own, its tables on the small disk."""

    def __init__(self, disk: Disk, server: PostgresServer) -> None:
        self.disk, self.server = disk, server
        self._url: str | None = None
        tables = disk.folder / "tables"
        tables.mkdir()
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            disk.folder.chmod(0o755)
            os.chown(tables, account.pw_uid, account.pw_gid)
        place = sql.Literal(str(tables))
        self._run(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(place))

    def new(self, number: int) -> str:
        """Return the URL of an empty store."""
        if self._url is not None:
            self.server.drop_database(self._url)
        name = f"torture_{number}"
        self._run(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 TABLESPACE small").format(
                sql.Identifier(name)
            )
        )
        self._url = self.server.url(name)
        return self._url

    def _run(self, command: sql.Composed) -> None:
        with closing(psycopg.connect(self.server.url(), autocommit=True)) as connection:
            connection.execute(command)
