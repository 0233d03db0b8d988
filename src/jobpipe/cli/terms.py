"""Filters in the short form that people type: ``state:failed queue:mail task:app.add``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import click

from jobpipe.model.state import State
from jobpipe.telemetry.escape import escape


def read_terms(text: str, given: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return what is wanted by term, from a filter and from options; raises UsageError."""
    wanted = dict(given)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise click.UsageError(f"The filter {escape(text)!r} cannot be read: {error}.") from None
    for word in words:
        name, colon, value = word.partition(":")
        if name not in wanted or not colon or not value:
            known = ", ".join(f"{term}:..." for term in wanted)
            from difflib import get_close_matches

            near = get_close_matches(name, wanted, n=1)
            hint = f" Did you mean {near[0]}:?" if near and near[0] != name else ""
            raise click.UsageError(
                f"The filter has no term {escape(word)!r}; the terms are {known}.{hint}"
            )
        if wanted[name] not in (None, value):
            raise click.UsageError(f"The filter asks for two values of {name}: no job has both.")
        if name == "state" and value not in list(State):
            states = ", ".join(State)
            raise click.UsageError(f"No state is named {escape(value)!r}; the states are {states}.")
        wanted[name] = value
    return wanted
