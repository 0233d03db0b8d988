"""A table beside the jobs, and tasks that write to it: each written once, run as def and as async.

What a task does inside its block is a generator: it yields SQL to execute (or an event to wait
for) and is sent the rows.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Generator
from typing import Any

from jobpipe import Jobpipe, current_job
from tests.conformance.app.site import ENOUGH_SECONDS, Site

Inside = Callable[[int], Generator[Any, Any, None]]
Open = Callable[[], Any]


class Shelf:
    """The table ``item`` of one site, with a key that two rows cannot share."""

    def __init__(
        self, site: Site, jp: Jobpipe, kind: str, spoken: Callable[[str], Any] = str
    ) -> None:
        self.site, self.jp, self.kind, self._spoken = site, jp, kind, spoken
        self.connection: Any = None
        """The connection of the block that began last."""
        self.is_file = site.place.is_file
        jp.migrate()
        deferrable = "" if self.is_file else " DEFERRABLE INITIALLY DEFERRED"
        site.place.sql(f"CREATE TABLE {{p}}item (n int PRIMARY KEY{deferrable})")

    @property
    def items(self) -> list[int]:
        """What everybody can see."""
        return [row["n"] for row in self.site.place.sql("SELECT n FROM {p}item ORDER BY n")]

    def put(self, n: int) -> str:
        """The SQL that adds an item."""
        return f"INSERT INTO {self.site.place.prefix}item VALUES ({n})"

    @property
    def count(self) -> str:
        return f"SELECT count(*) AS n FROM {self.site.place.prefix}item"

    def putting(self, n: int) -> Generator[Any, Any, None]:
        """What a block does that only adds an item."""
        yield self.put(n)

    def task(
        self,
        inside: Inside | None = None,
        after: Callable[[int], object] | None = None,
        *,
        on: Open | None = None,
        name: str = "put",
        **options: Any,
    ) -> Any:
        """Declare a task that runs ``inside`` in a transaction, and returns what ``after`` does.

        ``on`` opens a connection of the task's own, as a context manager of the task's kind.
        """
        steps = inside or self.putting

        def blocking(n: int) -> object:
            with on() if on else _nothing() as own:
                given = {"on": own} if on else {}
                with current_job().transaction(**given) as self.connection:
                    self._run(steps(n), self.connection)
            return after(n) if after else None

        async def awaited(n: int) -> object:
            async with on() if on else _nothing() as own:
                given = {"on": own} if on else {}
                async with current_job().transaction(**given) as self.connection:
                    await self._arun(steps(n), self.connection)
            return after(n) if after else None

        function = awaited if self.kind == "async" else blocking
        return self.jp.task(name=name, **options)(function)

    def _run(self, steps: Generator[Any, Any, None], connection: Any) -> None:
        answer: Any = None
        while True:
            try:
                wanted = steps.send(answer)
            except StopIteration:
                return
            if isinstance(wanted, threading.Event):
                assert wanted.wait(ENOUGH_SECONDS)
                answer = None
            else:
                answer = _rows(connection.execute(self._spoken(wanted)))

    async def _arun(self, steps: Generator[Any, Any, None], connection: Any) -> None:
        answer: Any = None
        while True:
            try:
                wanted = steps.send(answer)
            except StopIteration:
                return
            if isinstance(wanted, threading.Event):
                async with asyncio.timeout(ENOUGH_SECONDS):
                    while not wanted.is_set():  # noqa: ASYNC110 (set by another thread)
                        await asyncio.sleep(0.005)
                answer = None
            elif inspect.isawaitable(wanted):
                answer = await wanted
            elif hasattr(connection, "fetch") and wanted.startswith("SELECT"):
                answer = [tuple(row) for row in await connection.fetch(wanted)]
            else:
                found = connection.execute(self._spoken(wanted))
                answer = _rows(await found if inspect.isawaitable(found) else found)


class _nothing:  # noqa: N801 (it stands where a function would)
    """A context manager of both kinds that gives nothing."""

    def __enter__(self) -> None: ...

    def __exit__(self, *about: object) -> None: ...

    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *about: object) -> None: ...


def _rows(found: Any) -> list[tuple[Any, ...]] | None:
    is_read = getattr(found, "description", None) or getattr(found, "is_read", False)
    return [tuple(row) for row in found.fetchall()] if is_read else None
