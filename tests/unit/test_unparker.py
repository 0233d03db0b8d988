"""What is looked at when a worker starts, and what later."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from jobpipe.delivery.hub import Hint
from jobpipe.model.takes import Takes
from jobpipe.runtime import unparker
from jobpipe.runtime.unparker import Unparker
from jobpipe.store.port import Operation, Statement
from jobpipe.store.stepping import step


class Shelf:
    """A store whose parked jobs are parked again as soon as they are brought back."""

    def __init__(self, ids: list[int]) -> None:
        self.ids = ids
        self.looks: list[tuple[int, bool, set[str]]] = []
        self.back: list[int] = []

    async def run(self, operation: Operation[Any]) -> Any:
        return step(operation, self._answer)

    def _answer(self, statement: Statement) -> list[dict[str, Any]]:
        said = statement.params
        if statement.name == "unpark":
            self.back += said["ids"]
            return []
        self.looks.append((said["after"], said["anew"], set(said["reasons"])))
        found = [id for id in self.ids if id > said["after"]] if said["anew"] else []
        return [{"id": id} for id in found[: said["limit"]]]


def test_a_start_looks_at_each_parked_job_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unparker, "UNPARK_MAX", 2)
    shelf, rung = Shelf([3, 5, 7, 8, 9]), list[Hint]()
    looking = Unparker(shelf, lambda: [Takes("t")], rung.append)  # type: ignore[arg-type]
    assert looking.note(True)
    pauses = [asyncio.run(looking.once()) for _ in range(3)]
    assert pauses == [0.0, 0.0, None]
    assert shelf.back == [3, 5, 7, 8, 9]
    every, later = {"unknown_task", "incompatible", "undecodable"}, {"unknown_task", "incompatible"}
    assert shelf.looks == [(0, True, every), (5, True, every), (8, True, every)]
    assert not looking.note(True)  # it rests a moment
    monkeypatch.setattr(looking, "_rests_until", 0.0)
    assert looking.note(True)
    assert asyncio.run(looking.once()) is None
    assert shelf.looks[3:] == [(0, False, later)]
