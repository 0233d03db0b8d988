"""Hand the results of jobs on: into the arguments of those that come after them.

Results may be large, so a round hands on only so much; whom it leaves waits on, with ``OWED`` in
its row, and is looked at by the next round.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any

from msgspec import Raw, Struct
from msgspec.json import encode

from jobpipe.model.change import Change
from jobpipe.model.state import State
from jobpipe.store.port import Batch, Op, Row, Statement

OWED = -1
"""Stands for how many nodes a job comes after: for none, but it has not got what it is handed."""
MAX_PAYLOAD = 1024 * 1024
"""Most bytes of a job's arguments, where nobody tells another bound."""
ROUND_BYTES = 8 * 1024 * 1024
"""Most bytes of arguments that one round fills in; one job gets its own, however large."""
SIZES_MAX = 100
"""Of how many results the sizes are read at once, or of all that one job is handed."""


class HandedOn(Struct):
    """What became of jobs that are handed results; the others are handed nothing."""

    left: set[int]
    """They get theirs in a later round."""
    failed: list[Change]
    """Their arguments would be too large."""

    @property
    def held_back(self) -> set[int]:
        return self.left | {change.id for change in self.failed}


def hand_on(ids: Collection[int], max_payload: int | None) -> Op[HandedOn]:
    """Fill in what these blocked jobs are handed; null where a job has not succeeded.

    Who would then have more than ``max_payload`` bytes of arguments fails. None leaves them all to
    a later round.
    """
    handed = HandedOn(set(), [])
    if not ids:
        return handed
    found = yield Statement("count_places", {"ids": sorted(ids)})
    counts = {row["child_id"]: row["n"] for row in found}
    handed.left.update(counts)
    if not counts or max_payload is None:
        return handed
    results = yield from _results(counts, max_payload)
    sizes = {id: size for id, size in results.items() if size > max_payload}
    texts = yield from _texts([id for id in results if id not in sizes])
    sizes.update((id, len(text.encode())) for id, text in texts.items())
    fitting = [(id, text) for id, text in texts.items() if sizes[id] <= max_payload]
    if fitting:
        yield Statement("fill_args", batch=Batch(("id", "args"), fitting))
    too_large = [
        (id, _refusal(size, max_payload)) for id, size in sizes.items() if size > max_payload
    ]
    if too_large:
        rows = yield Statement("fail_handed", batch=Batch(("id", "error"), too_large))
        handed.failed += [Change(row["id"], State.FAILED, row["queue"]) for row in rows]
    handed.left.difference_update(sizes)
    return handed


def _results(counts: Mapping[int, int], max_payload: int) -> Op[dict[int, int]]:
    """Return the bytes of the results for the first jobs, as far as this round goes.

    Their arguments will have as many at least.
    """
    sizes: dict[int, int] = {}
    room = ROUND_BYTES
    for some in _slices(counts):
        for row in (yield Statement("measure_args", {"ids": some})):
            room -= min(row["args"] + row["results"], max_payload)
            if room < 0 and sizes:
                return sizes
            sizes[row["id"]] = row["results"]
    return sizes


def _slices(counts: Mapping[int, int]) -> Iterator[list[int]]:
    some: list[int] = []
    n = 0
    for id in sorted(counts):
        if some and n + counts[id] > SIZES_MAX:
            yield some
            some, n = [], 0
        some.append(id)
        n += counts[id]
    yield some


def _texts(ids: Sequence[int]) -> Op[dict[int, str]]:
    """Return the arguments with the results; whom somebody else holds is missing."""
    if not ids:
        return {}
    places = yield Statement("read_places", {"ids": ids})
    texts = {row["id"]: row["args"] for row in (yield Statement("read_args", {"ids": ids}))}
    return {
        id: _filled(texts[id], list(rows))
        for id, rows in groupby(places, key=lambda row: row["child_id"])
        if id in texts
    }


def _filled(text: str, places: Sequence[Row]) -> str:
    version = text[: len(text) - len(text.lstrip())]  # the blanks in front tell it
    args = json.loads(text)
    for place in places:
        has_result = place["state"] == State.SUCCEEDED and place["result"] is not None
        with suppress(LookupError, TypeError, ValueError):  # other arguments were given meanwhile
            _put(args, place["pointer"], Raw(place["result"]) if has_result else None)
    try:
        return version + encode(args).decode()
    except UnicodeEncodeError:  # a lone surrogate
        return version + json.dumps(args, default=_loaded, separators=(",", ":"))


def _loaded(raw: Raw) -> Any:
    return json.loads(bytes(raw))


def _put(within: Any, pointer: str, value: Any) -> None:
    """Set what a JSON pointer leads to."""
    *way, last = [
        step.replace("~1", "/").replace("~0", "~") for step in pointer.removeprefix("/").split("/")
    ]
    for step in way:
        within = within[int(step) if isinstance(within, list) else step]
    within[int(last) if isinstance(within, list) else last] = value


def _refusal(size: int, max_payload: int) -> str:
    message = (
        f"with the results that it is handed the arguments need {size} bytes;"
        f" at most {max_payload} are allowed"
    )
    return json.dumps({"type": "PayloadTooLarge", "message": message, "traceback": ""})
