"""Hand the results of jobs on: into the arguments of those that come after them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any

from jobpipe.model.state import State
from jobpipe.store.port import Batch, Op, Row, Statement


def hand_on(ids: Sequence[int]) -> Op[None]:
    """Fill in what these blocked jobs are handed; null where a job has not succeeded."""
    if not ids:
        return
    places = yield Statement("read_places", {"ids": list(ids)})
    if not places:
        return
    wanted = sorted({row["child_id"] for row in places})
    texts = {row["id"]: row["args"] for row in (yield Statement("read_args", {"ids": wanted}))}
    filled = [
        (id, _filled(texts[id], list(rows)))
        for id, rows in groupby(places, key=lambda row: row["child_id"])
        if id in texts
    ]
    yield Statement("fill_args", batch=Batch(("id", "args"), filled))


def _filled(text: str, places: Sequence[Row]) -> str:
    version = text[: len(text) - len(text.lstrip())]  # the blanks in front tell it
    args = json.loads(text)
    for place in places:
        has_result = place["state"] == State.SUCCEEDED and place["result"] is not None
        with suppress(LookupError, TypeError, ValueError):  # other arguments were given meanwhile
            _put(args, place["pointer"], json.loads(place["result"]) if has_result else None)
    return version + json.dumps(args, separators=(",", ":"))


def _put(within: Any, pointer: str, value: Any) -> None:
    """Set what a JSON pointer leads to."""
    *way, last = [
        step.replace("~1", "/").replace("~0", "~") for step in pointer.removeprefix("/").split("/")
    ]
    for step in way:
        within = within[int(step) if isinstance(within, list) else step]
    within[int(last) if isinstance(within, list) else last] = value
